"""How is this repository's own server started, as `local/serve` runs it?"""

from server import REPOSITORY, Server


class Tombolo(Server):
    """The built Worker on workerd."""

    def command(self) -> list[str]:
        return [
            str(REPOSITORY / "local/serve"),
            *("--profile", "test"),
            *("--server-name", self.name),
            *("--client", f"127.0.0.1:{self.client_port}"),
            *("--federation", f"127.0.0.1:{self.federation_port}"),
            *("--tls-cert", str(self.authority.cert)),
            *("--tls-key", str(self.authority.key)),
            *("--trust", str(self.authority.ca)),
            *("--data", str(self.folder / "data")),
        ]

    def answers(self) -> bool:
        """Its plain socket answers before TLS and the migrations are in place: the ready line tells."""
        return "\nready client=" in f"\n{self.said()}"
