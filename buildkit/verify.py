"""Streams that prove what they hand out (image-spec, descriptor.md § Verification)."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO

from buildkit.errors import CorruptContent
from buildkit.files import explain
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest

_REMEDY = "the copy is broken or was tampered with; fetch or build it again"


def check(raw: bytes, descriptor: Descriptor, what: str) -> bytes:
    """The bytes themselves; CorruptContent where they are not the descriptor's."""
    if len(raw) != descriptor.size:
        raise CorruptContent(
            f"{what} has {len(raw)} bytes, {descriptor.size} were announced: {descriptor.digest}", _REMEDY
        )
    check_digest(raw, descriptor.digest, what)
    return raw


def check_digest(raw: bytes, digest: Digest, what: str) -> bytes:
    """The bytes themselves; CorruptContent where they have another digest."""
    found = Digest.of(raw)
    if found != digest:
        raise CorruptContent(f"{what} has the digest {found}, not {digest}", _REMEDY)
    return raw


class Verified(io.BufferedIOBase, BinaryIO):
    """A forward-only reader; instead of the last bytes of a wrong content it raises CorruptContent.

    Exactly the announced size is handed out, and only after it is known to have the digest is the last of it.
    `store_path` names a file of a content-addressed store that holds exactly these bytes and is never written
    again: who wants a copy on the same file system may link it instead, after reading this stream to its end.
    """

    def __init__(self, stream: BinaryIO, descriptor: Descriptor, what: str, store_path: str = "") -> None:
        self.descriptor = descriptor
        self.store_path = store_path
        self.verified = False
        self._stream = stream
        self._what = what
        self._left = descriptor.size
        self._state = hashlib.sha256()

    @property
    def name(self) -> str:
        """What is read, for messages."""
        return self._what

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes (all that are left without it); none at the end."""
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        if not self._left and not self.verified:
            self._finish()
        parts = []
        while wanted:
            parts.append(self._take(wanted))
            wanted -= len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read1(self, size: int = -1, /) -> bytes:
        """As `read`."""
        return self.read(size)

    def fileno(self) -> int:
        """The inner stream's, where it has one."""
        return self._stream.fileno()

    def close(self) -> None:
        """The inner stream too."""
        if not self.closed:
            self._stream.close()
        super().close()

    def _take(self, wanted: int) -> bytes:
        try:
            data = self._stream.read(wanted)
        except OSError as error:
            raise explain(error, f"read {self._what}") from error
        if not data:
            short = self.descriptor.size - self._left
            raise CorruptContent(
                f"{self._what} ends after {short} of {self.descriptor.size} bytes: {self.descriptor.digest}",
                _REMEDY,
            )
        self._state.update(data)
        self._left -= len(data)
        if not self._left:
            self._finish()
        return data

    def _finish(self) -> None:
        found = f"sha256:{self._state.hexdigest()}"
        if found != self.descriptor.digest:
            raise CorruptContent(
                f"{self._what} has the digest {found}, not {self.descriptor.digest}", _REMEDY
            )
        if self._stream.read(1):
            raise CorruptContent(
                f"{self._what} has more than {self.descriptor.size} bytes: {self.descriptor.digest}", _REMEDY
            )
        self.verified = True


def verified(stream: BinaryIO, descriptor: Descriptor, what: str) -> Verified:
    """The stream itself where it already proves this very content, so that nothing is hashed twice."""
    same = isinstance(stream, Verified) and (stream.descriptor.digest, stream.descriptor.size) == (
        descriptor.digest, descriptor.size)  # fmt: skip
    return stream if same and isinstance(stream, Verified) else Verified(stream, descriptor, what)
