"""Where finished layers wait for their upload: a little in memory, the rest in one file that has no name.

A layer can be larger than memory, and its digest is known only when its last byte is; so it has to wait somewhere.
"""

from __future__ import annotations

import io
import os
from typing import BinaryIO

from buildkit.errors import Unavailable

_IN_MEMORY = 32 << 20


class Spool:
    """Append-only storage of blobs; readers may run in other threads. Close it when all is uploaded."""

    def __init__(self, in_memory: int = _IN_MEMORY) -> None:
        self._room = in_memory
        self._file = -1
        self._end = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give memory and disk back."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def blob(self) -> SpooledBlob:
        """A new, empty blob; finish writing it before the next one is asked for."""
        return SpooledBlob(self)

    def take(self, size: int) -> bool:
        """Whether this many more bytes may stay in memory."""
        self._room -= size
        return self._room >= 0

    def append(self, data: bytes) -> int:
        """Put bytes at the end of the file; the offset of the first."""
        try:
            if self._file < 0:
                self._file = _nameless_file()
            start = self._end
            view = memoryview(data)
            while view:
                view = view[os.pwrite(self._file, view, self._end) :]
                self._end = start + len(data) - len(view)
        except OSError as error:
            raise Unavailable(
                f"no room for a layer in the temporary folder: {error.strerror}",
                "free some space, or name another folder in TMPDIR",
            ) from None
        return start

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file, from any thread."""
        return os.pread(self._file, size, offset)


class SpooledBlob:
    """One blob of a spool: write it once, open it as often as needed."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._parts: list[bytes] = []
        self._start = -1
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append to the blob."""
        self._size += len(data)
        if self._start < 0 and self._spool.take(len(data)):
            self._parts.append(data)
            return
        if self._start < 0:
            self._start = self._spool.append(b"".join(self._parts))
            self._parts = []
        self._spool.append(data)

    def open(self) -> BinaryIO:
        """The blob from its beginning."""
        if self._start < 0:
            return io.BytesIO(b"".join(self._parts))
        return io.BufferedReader(_Window(self._spool, self._start, self._size), 1 << 20)


class _Window(io.RawIOBase):
    def __init__(self, spool: Spool, start: int, size: int) -> None:
        self._spool, self._position, self._left = spool, start, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._spool.read(self._position, min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._position += len(data)
        self._left -= len(data)
        return len(data)


def _nameless_file() -> int:
    """A file that is gone when its descriptor is closed, however the process ends."""
    import tempfile

    descriptor, path = tempfile.mkstemp(prefix="treeship-")
    os.unlink(path)
    return descriptor


class Void(Spool):
    """Keeps nothing: for those who want to know what a layer is, not to have it."""

    def blob(self) -> SpooledBlob:
        """A blob that forgets what is written to it."""
        return _Forgetful(self)


class _Forgetful(SpooledBlob):
    def write(self, data: bytes) -> None:
        pass

    def open(self) -> BinaryIO:
        raise AssertionError("a layer that was not kept cannot be read")
