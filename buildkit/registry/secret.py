"""Values that no message, log or debugger's repr may show."""

from __future__ import annotations


class Secret:
    """Text that must be asked for by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text, for the wire only."""
        return self._text

    def hidden_in(self, data: bytes) -> bytes:
        """What somebody else has said, without this: servers repeat what they were sent in their errors."""
        for part in _parts(self._text):
            data = data.replace(part, b"***")
        return data

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("secrets are not pickled")


def _parts(text: str) -> list[bytes]:
    """All of it, what stands behind the scheme, and the password in a Basic authorization; the longest first."""
    import binascii

    scheme, _, token = text.rpartition(" ")
    parts = [text.encode(), token.encode()]
    if scheme == "Basic":
        try:
            parts.append(binascii.a2b_base64(token).partition(b":")[2])
        except ValueError:
            pass
    return [part for part in parts if part]


def basic(username: str, password: str) -> Secret:
    """The value of an Authorization header (RFC 7617)."""
    import binascii

    text = binascii.b2a_base64(f"{username}:{password}".encode(), newline=False)
    return Secret(f"Basic {text.decode()}")
