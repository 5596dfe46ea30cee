"""What does a name of a sequence stand for on one server, and what is the name of what the server answers?"""

import re

from .call import USERS, Json

_NAME = re.compile(r"<[^<>]+>")
_TOKENS = ("<since:", "<chain:", "<watch:", "<end:", "<prev:", "<filter:")


class Names:
    """The IDs of one run of a sequence on one server, both ways."""

    def __init__(self, server_name: str, tag: str):
        self._ids = {"<server>": server_name, "<tag>": tag}
        self._names = {}
        self._server_name = server_name
        self._seen: dict[str, int] = {}
        for user in (*USERS, "nobody"):
            self.learn(f"<{user}>", f"@{user}-{tag}:{server_name}")
        for alias in ("quay", "pier", "mole"):
            self.learn(f"<alias:{alias}>", f"#{alias}-{tag}:{server_name}")

    def learn(self, name: str, known: str) -> None:
        """Takes in what a name stands for; what has a name already keeps it."""
        self._ids[name] = known
        self._names.setdefault(known, name)

    def name_event(self, kind: str, key: str, known: str) -> None:
        """Names an event that no answer named before: by its type, its state key, and how many such came before."""
        if known not in self._names:
            stem = f"{kind} {key.strip('<>')}".strip()
            self._seen[stem] = self._seen.get(stem, 0) + 1
            self.learn(f"<{stem} #{self._seen[stem]}>", known)

    def fill(self, value: Json) -> Json:
        """The value as this server has to be asked."""
        if isinstance(value, str):
            return _NAME.sub(lambda found: self._known(found[0]), value)
        if isinstance(value, list):
            return [self.fill(each) for each in value]
        if isinstance(value, dict):
            return {self.fill(key): self.fill(each) for key, each in value.items()}
        return value

    def has(self, value: Json) -> bool:
        """Whether a value is no token, or one that some answer gave."""
        return not isinstance(value, str) or not value.startswith(_TOKENS) or value in self._ids

    def tell(self, text: str) -> str:
        """A text with the names of all that it mentions."""
        for known, name in sorted(self._names.items(), key=lambda pair: -len(pair[0])):
            text = text.replace(known, name)
        return text

    def know(self, text: str) -> bool:
        """Whether all rooms that a text names were made."""
        return all(name in self._ids for name in re.findall(r"<room:[^<>]+>", text))

    def unfill(self, value: Json) -> Json:
        """The value as every server would have said it."""
        if isinstance(value, str):
            return self._name(value)
        if isinstance(value, list):
            return [self.unfill(each) for each in value]
        if isinstance(value, dict):
            return {self._name(key): self.unfill(each) for key, each in value.items()}
        return value

    def _known(self, name: str) -> str:
        if name in self._ids:
            return self._ids[name]
        # What a failed call would have made: of form, and nowhere.
        number = re.sub(r"[^0-9]", "", name).rjust(43, "A")
        return f"!{number}:{self._server_name}" if name.startswith("<room:") else f"${number}"

    def _name(self, text: str) -> str:
        # A filter's ID is a small number, and so is the version of a backup.
        if text in self._names and not self._names[text].startswith("<filter:"):
            return self._names[text]
        if re.fullmatch(r"\$[A-Za-z0-9_-]{43}", text):
            return "<event:?>"
        return text.replace(self._server_name, "<server>").replace(self._ids["<tag>"], "<tag>")
