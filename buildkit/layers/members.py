"""The stream of a layer: tar bytes in, gzip members out, and the three results: digest, diff id, size."""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

from buildkit.layers import gzip

# Compressed bytes of a layer up to which its members are collected: they are held in memory, and a layer may be huge.
MOST_COLLECTED = 16 << 20
# Below this a thread costs more than it saves.
_INLINE = 128 << 10


class Cutter(ABC):
    """Cuts a stream into members, at most `gzip.MEMBER` bytes each, and wherever `cut` says so."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._length = 0

    def add(self, data: bytes) -> None:
        """More tar bytes."""
        self._pending.append(data)
        self._length += len(data)
        while self._length >= gzip.MEMBER:
            joined = b"".join(self._pending)
            self._pending = [joined[gzip.MEMBER :]]
            self._length -= gzip.MEMBER
            self._member(joined[: gzip.MEMBER])

    def cut(self) -> None:
        """End the member."""
        if self._length:
            self._member(b"".join(self._pending))
        self._pending, self._length = [], 0

    @abstractmethod
    def _member(self, data: bytes) -> None:
        """Take what one member shall hold; members come in order."""


class MemberWriter(Cutter):
    """Makes gzip members of a stream, and takes digest, diff id and size.

    A thread hashes and deflates while more is read: both leave Python's lock. It is that of `worker`, else one of its
    own, which begins when there is enough to do.
    """

    def __init__(self, write: Callable[[bytes], object], worker: Worker | None = None) -> None:
        super().__init__()
        self._write = write
        self._taken = 0
        self._diff_id = hashlib.sha256()
        self._digest = hashlib.sha256()
        self._size = 0
        self._members: list[bytes] | None = None
        self._shared = worker is not None
        self._worker = worker

    def copy(self, member: bytes) -> None:
        """A finished member, as it is; only between `cut` and the next `add`."""
        self._do(self._copy, member)

    def collect(self, into: list[bytes] | None) -> None:
        """Give the members from here on to this list too, as long as the layer is no larger than `MOST_COLLECTED`."""
        self._do(self._collect, into)

    def finish(self) -> Callable[[], tuple[str, str, int]]:
        """Nothing more will come. What it returns waits until all is written, and gives digest and diff id in hex and
        the size in bytes; it raises what went wrong in the thread."""
        self.cut()
        wait = self._worker.mark() if self._worker is not None else lambda: None

        def results() -> tuple[str, str, int]:
            wait()
            if self._worker is not None and not self._shared:
                self._worker.end()
            return self._digest.hexdigest(), self._diff_id.hexdigest(), self._size

        return results

    def abandon(self) -> None:
        """End a thread of its own; what it was about to raise comes second to what is being raised."""
        if self._worker is not None and not self._shared:
            with suppress(BaseException):
                self._worker.end()

    def _member(self, data: bytes) -> None:
        self._do(self._deflate, data)

    def _do(self, work: Callable[..., None], piece: bytes | list[bytes] | None) -> None:
        """Here, or in the thread, in order."""
        if self._worker is None and self._taken >= _INLINE:
            self._worker = Worker()
        if self._worker is None:
            self._taken += len(piece or ())
            work(piece)
        else:
            self._worker.give(work, piece)

    def _deflate(self, data: bytes) -> None:
        self._diff_id.update(data)
        self._emit(gzip.member(data))

    def _copy(self, member: bytes) -> None:
        self._diff_id.update(gzip.content(member))
        self._emit(member)

    def _collect(self, into: list[bytes] | None) -> None:
        self._members = into

    def _emit(self, member: bytes) -> None:
        self._digest.update(member)
        self._size += len(member)
        self._write(member)
        if self._members is not None and self._size <= MOST_COLLECTED:
            self._members.append(member)


class Worker:
    """One thread that does what it is given, in order, a few pieces behind; several layers in turn may share it."""

    def __init__(self) -> None:
        self._pieces: SimpleQueue[tuple[Callable[..., None], object] | None] = SimpleQueue()
        self._room = threading.Semaphore(4)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def give(self, work: Callable[..., None], piece: object) -> None:
        """Hand over a piece; raises what the work on an earlier one raised."""
        self._room.acquire()
        if self._failure is not None:  # nothing will be done with it, so nothing would give the room back
            self._room.release()
            raise self._failure
        self._pieces.put((work, piece))

    def mark(self) -> Callable[[], None]:
        """A function that waits until all that was given so far is done; raises what the work raised."""
        reached = threading.Event()
        self._pieces.put((self._raise, reached))

        def wait() -> None:
            reached.wait()
            self._raise()

        return wait

    def end(self) -> None:
        """Wait for the rest; raises what the work raised."""
        self._pieces.put(None)
        self._thread.join()
        self._raise()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.end()
        else:
            with suppress(BaseException):
                self.end()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while (given := self._pieces.get()) is not None:
            work, piece = given
            if isinstance(piece, threading.Event):
                piece.set()
                continue
            try:
                if self._failure is None:
                    work(piece)
            except BaseException as error:
                self._failure = error
            self._room.release()
