"""How is Synapse, from PyPI, started as a peer?"""

import base64
import json
import os
import secrets
import sys

from server import Server

_UNLIMITED = {"per_second": 10000, "burst_count": 10000}

_RATES = {
    "rc_message": _UNLIMITED,
    "rc_registration": _UNLIMITED,
    "rc_login": {"address": _UNLIMITED, "account": _UNLIMITED, "failed_attempts": _UNLIMITED},
    "rc_joins": {"local": _UNLIMITED, "remote": _UNLIMITED},
    "rc_joins_per_room": _UNLIMITED,
    "rc_invites": {"per_room": _UNLIMITED, "per_user": _UNLIMITED, "per_issuer": _UNLIMITED},
    "rc_room_creation": _UNLIMITED,
    "rc_federation": {"window_size": 1000, "sleep_limit": 10000, "sleep_delay": 1, "reject_limit": 10000, "concurrent": 100},
}


class Synapse(Server):
    """A Synapse with its SQLite."""

    def command(self) -> list[str]:
        config = self.folder / "homeserver.yaml"
        if not config.exists():
            # A key of a new name: a peer may have cached an old key by its name.
            seed = base64.b64encode(os.urandom(32)).decode().rstrip("=")
            (self.folder / "signing.key").write_text(f"ed25519 a_{secrets.token_hex(4)} {seed}\n")
            (self.folder / "log.yaml").write_text(json.dumps(self._logging()))
            # JSON is YAML.
            config.write_text(json.dumps(self._configuration()))
        return [sys.executable, "-m", "synapse.app.homeserver", "-c", str(config)]

    def _configuration(self) -> dict:
        folder = self.folder
        return {
            "server_name": self.name,
            "report_stats": False,
            "pid_file": str(folder / "pid"),
            "log_config": str(folder / "log.yaml"),
            "media_store_path": str(folder / "media"),
            "signing_key_path": str(folder / "signing.key"),
            "listeners": [self._listener(self.federation_port, True), self._listener(self.client_port, False)],
            "tls_certificate_path": str(self.authority.cert),
            "tls_private_key_path": str(self.authority.key),
            "federation_custom_ca_list": [str(self.authority.ca)],
            "ip_range_blacklist": [],
            "trusted_key_servers": [],
            "suppress_key_server_warning": True,
            "database": {"name": "sqlite3", "args": {"database": str(folder / "homeserver.db")}},
            "enable_registration": True,
            "enable_registration_without_verification": True,
            "registration_shared_secret": "peers",
            "macaroon_secret_key": "peers",
            "form_secret": "peers",
            "bcrypt_rounds": 4,
            "presence": {"enabled": False},
            "experimental_features": {"msc3814_enabled": True, "msc3391_enabled": True, "msc4306_enabled": True},
            # An initial sync is answered anew each time, not from memory for two minutes.
            "caches": {"sync_response_cache_duration": "0s"},
            "federation": {
                "destination_min_retry_interval": "1s",
                "destination_max_retry_interval": "5s",
                "client_timeout": "20s",
                "max_short_retries": 1,
                "max_long_retries": 1,
            },
            **_RATES,
        }

    @staticmethod
    def _listener(port: int, tls: bool) -> dict:
        resources = [{"names": ["client", "federation"]}]
        return {"port": port, "type": "http", "tls": tls, "bind_addresses": ["127.0.0.1"], "resources": resources}

    @staticmethod
    def _logging() -> dict:
        return {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
            "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": "WARNING", "handlers": ["console"]},
        }
