"""Content digests (OCI image-spec, descriptor.md § Digests)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from buildkit.errors import InvalidInput

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Whether `Digest` would take it."""
    return bool(_SHA256.fullmatch(text))


class Digest(str):
    """`sha256:<64 lower-case hex>`; other algorithms are refused, nothing in the field uses them."""

    __slots__ = ()

    def __new__(cls, text: str) -> Digest:
        """Raises InvalidInput where `text` is no sha256 digest."""
        if not is_digest(text):
            raise InvalidInput(
                f"not a sha256 digest: {text[:100]!r}", "expected 'sha256:' and 64 lower-case hex digits"
            )
        return super().__new__(cls, text)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The digest of these bytes."""
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @classmethod
    def of_chunks(cls, chunks: Iterable[bytes]) -> Digest:
        """The digest of a stream."""
        state = hashlib.sha256()
        for chunk in chunks:
            state.update(chunk)
        return cls("sha256:" + state.hexdigest())

    @property
    def hex(self) -> str:
        """The digest without its algorithm."""
        return self[7:]
