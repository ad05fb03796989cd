"""Where finished layers wait for their upload: a little in memory, the rest in one file that has no name.

A layer can be larger than memory, and its digest is known only when its last byte is; so it has to wait somewhere.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import BinaryIO, NamedTuple

from buildkit.errors import Unavailable

_IN_MEMORY = 32 << 20

ReadAt = Callable[[int, int], bytes]
"""So many bytes from an offset; fewer at the end."""


class Spool:
    """Append-only storage of blobs; several may be written at once, and readers may run in other threads. Close it
    when all is uploaded."""

    def __init__(self, in_memory: int = _IN_MEMORY) -> None:
        self.held = ExitStack()
        """What has to stay open until all is uploaded."""
        self._room = in_memory
        self._file = -1
        self._end = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give memory and disk back."""
        self.held.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def blob(self) -> SpooledBlob:
        """A new, empty blob."""
        return SpooledBlob(self)

    def take(self, size: int) -> bool:
        """Whether this many more bytes may stay in memory."""
        with self._lock:
            if self._room < size:
                self._room = 0  # what comes later does not overtake what went to the file
                return False
            self._room -= size
            return True

    def append(self, data: bytes) -> int:
        """Put bytes at the end of the file; the offset of the first."""
        try:
            start = self._reserve(len(data))
            view, offset = memoryview(data), start
            while view:
                written = os.pwrite(self._file, view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            raise Unavailable(
                f"no room for a layer in the temporary folder: {error.strerror}",
                "free some space, or name another folder in TMPDIR",
            ) from None
        return start

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file, from any thread."""
        return os.pread(self._file, size, offset)

    def _reserve(self, size: int) -> int:
        with self._lock:
            if self._file < 0:
                self._file = _nameless_file()
            start = self._end
            self._end += size
            return start


class _Piece(NamedTuple):
    """Bytes of something that does not change: where they begin, and how many they are."""

    read_at: ReadAt
    start: int
    size: int


class SpooledBlob:
    """One blob of a spool: write it once, open it as often as needed."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._pieces: list[_Piece] = []
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Append to the blob."""
        if not data:
            return
        if self._spool.take(len(data)):
            self._held.append(data)
        else:
            self._settle()
            self._add(_Piece(self._spool.read, self._spool.append(data), len(data)))

    def refer(self, read_at: ReadAt, start: int, size: int) -> None:
        """Append bytes that are on this machine and are not copied; they must stay until the blob has been read."""
        self._settle()
        self._pieces.append(_Piece(read_at, start, size))

    def open(self) -> BinaryIO:
        """The blob from its beginning."""
        self._settle()
        return io.BufferedReader(_Window(self._pieces), 1 << 20)

    def _settle(self) -> None:
        """What was held in memory becomes a piece."""
        if self._held:
            data = b"".join(self._held)
            self._pieces.append(_Piece(lambda start, size: data[start : start + size], 0, len(data)))
            self._held = []

    def _add(self, piece: _Piece) -> None:
        """Mostly a blob's pieces follow each other; another one that is written meanwhile comes between them."""
        last = self._pieces[-1] if self._pieces else None
        if last is not None and last.read_at == piece.read_at and last.start + last.size == piece.start:
            self._pieces[-1] = last._replace(size=last.size + piece.size)
        else:
            self._pieces.append(piece)


class _Window(io.RawIOBase):
    def __init__(self, pieces: Iterable[_Piece]) -> None:
        self._left = list(pieces)[::-1]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._left:
            return 0
        read_at, start, size = self._left.pop()
        data = read_at(start, min(len(buffer), size))
        buffer[: len(data)] = data
        if len(data) < size:
            self._left.append(_Piece(read_at, start + len(data), size - len(data)))
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

    def refer(self, read_at: ReadAt, start: int, size: int) -> None:
        pass

    def open(self) -> BinaryIO:
        raise AssertionError("a layer that was not kept cannot be read")
