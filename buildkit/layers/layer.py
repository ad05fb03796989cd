"""A layer's bytes: entries → tar → gzip members → digests, in one pass, in bounded memory.

Every folder of the commit's tree belongs to the image, so each layer states the folders above its own files
(equal in all layers). Folders that belong to the base do not: nothing above the prefix is stated, and where the
prefix itself lets files into the system's folders (`/`, `/usr`), those are left alone, since stating `/tmp`
would take its sticky bit, and stating `/lib` would replace the link of a merged /usr.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import NamedTuple

from buildkit.errors import InvalidInput
from buildkit.git import tree
from buildkit.git.tree import Entry
from buildkit.image.digest import Digest
from buildkit.layers import gzip, tar

# Linux: a longer target cannot be followed.
_LONGEST_TARGET = 4095

_SYSTEM = frozenset(
    b"""bin boot dev etc home lib lib32 lib64 libx32 lost+found media mnt opt proc root run sbin srv sys tmp usr var
    etc/opt usr/bin usr/games usr/include usr/lib usr/lib32 usr/lib64 usr/libexec usr/libx32 usr/local usr/sbin
    usr/share usr/src usr/local/bin usr/local/etc usr/local/games usr/local/include usr/local/lib usr/local/man
    usr/local/sbin usr/local/share usr/local/src var/cache var/lib var/local var/lock var/log var/mail var/opt
    var/run var/spool var/tmp""".split()
)


class Content(NamedTuple):
    """What one entry holds: `size` in bytes, and the bytes, to be read once."""

    size: int
    chunks: Iterable[bytes]


Contents = Callable[[Sequence[Entry]], Iterator[Content]]
"""Gives the content of these entries in their order; each is read to its end before the next is asked for."""


class Written(NamedTuple):
    """A layer that was written: `size` in compressed bytes."""

    digest: Digest
    diff_id: Digest
    size: int


def write_layer(
    entries: Sequence[Entry], prefix: str, contents: Contents, write: Callable[[bytes], object]
) -> Written:
    """Write the layer that holds `entries` (sorted by path) below `prefix`. Raises what `contents` raises."""
    members = _Members(write)
    try:
        for part in _tar(entries, prefix.strip("/").encode(), contents):
            members.add(part)
        return members.finish()
    except BaseException:
        members.abandon()
        raise


def refuse_unshippable(entries: Iterable[Entry], *, case_collisions: bool) -> None:
    """InvalidInput for what no layer can hold: whiteout names, and on request names that differ in case alone."""
    folded: dict[bytes, bytes] = {}
    for path, _, _ in entries:
        if b".wh." in path and any(name.startswith(b".wh.") for name in path.split(b"/")):
            raise InvalidInput(
                f"{tree.show(path)} cannot be shipped: in a layer, a name with '.wh.' in front deletes a file",
                "rename it, or leave it out with `exclude`",
            )
        if case_collisions:
            _refuse_collision(path, folded)


def _refuse_collision(path: bytes, folded: dict[bytes, bytes]) -> None:
    while path:
        other = folded.setdefault(path.decode(errors="surrogateescape").casefold().encode(errors="surrogateescape"), path)
        if other != path:
            raise InvalidInput(
                f"{tree.show(path)} and {tree.show(other)} differ in letter case alone",
                "rename one, or set case_collisions = \"allow\"",
            )
        path = path.rpartition(b"/")[0]


def _tar(entries: Sequence[Entry], prefix: bytes, contents: Contents) -> Iterator[bytes]:
    stated: set[bytes] = set()
    for entry, content in zip(entries, contents(entries), strict=True):
        path = prefix + b"/" + entry.path if prefix else entry.path
        for folder in _folders(path.rpartition(b"/")[0], prefix, stated):
            yield tar.header(folder + b"/", tar.FOLDER, mode=0o755)
        if entry.mode == tree.SYMLINK:
            yield tar.header(path, tar.LINK, mode=0o777, target=_target(entry, content))
            continue
        mode = 0o755 if entry.mode == tree.EXECUTABLE else 0o644
        yield tar.header(path, tar.FILE, mode=mode, size=content.size)
        yield from content.chunks
        yield tar.padding(content.size)
    yield tar.END


def _folders(folder: bytes, prefix: bytes, stated: set[bytes]) -> list[bytes]:
    """The folders above a file that have not been stated yet, outermost first."""
    found = []
    while folder and folder not in stated and len(folder) >= len(prefix):
        stated.add(folder)
        if folder not in _SYSTEM:
            found.append(folder)
        folder = folder.rpartition(b"/")[0]
    return found[::-1]


def _target(entry: Entry, content: Content) -> bytes:
    if not 0 < content.size <= _LONGEST_TARGET:
        raise InvalidInput(
            f"the symbolic link {tree.show(entry.path)} has a target of {content.size} bytes",
            "no system can follow it; remove it from the commit or `exclude` it",
        )
    target = b"".join(content.chunks)
    if b"\0" in target:
        raise InvalidInput(f"the symbolic link {tree.show(entry.path)} has a NUL byte in its target", "remove it")
    return target


class _Members:
    """Cuts a stream into members and keeps the three results: digest, diff id, size.

    From the second member on a thread hashes and deflates while the next one is read: both leave Python's lock.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._pending: list[bytes] = []
        self._length = 0
        self._diff_id = hashlib.sha256()
        self._digest = hashlib.sha256()
        self._size = 0
        self._worker: _Worker | None = None

    def add(self, data: bytes) -> None:
        self._pending.append(data)
        self._length += len(data)
        while self._length >= gzip.MEMBER:
            joined = b"".join(self._pending)
            self._pending = [joined[gzip.MEMBER :]]
            self._length -= gzip.MEMBER
            if self._worker is None:
                self._worker = _Worker(self._emit)
            self._worker.give(joined[: gzip.MEMBER])

    def finish(self) -> Written:
        if self._worker is not None:
            self._worker.end()
        self._emit(b"".join(self._pending))
        return Written(
            Digest("sha256:" + self._digest.hexdigest()), Digest("sha256:" + self._diff_id.hexdigest()), self._size
        )

    def abandon(self) -> None:
        """End the thread; what it was about to raise comes second to what is being raised."""
        if self._worker is not None:
            with suppress(BaseException):
                self._worker.end()

    def _emit(self, data: bytes) -> None:
        if not data:
            return
        self._diff_id.update(data)
        member = gzip.member(data)
        self._digest.update(member)
        self._size += len(member)
        self._write(member)


class _Worker:
    """One thread that does one thing to each piece it is given, in order, at most two pieces behind."""

    def __init__(self, work: Callable[[bytes], None]) -> None:
        self._work = work
        self._pieces: SimpleQueue[bytes | None] = SimpleQueue()
        self._room = threading.Semaphore(2)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def give(self, piece: bytes) -> None:
        """Hand over a piece; raises what the work on an earlier one raised."""
        self._room.acquire()
        if self._failure is not None:
            raise self._failure
        self._pieces.put(piece)

    def end(self) -> None:
        """Wait for the rest; raises what the work raised."""
        self._pieces.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            try:
                if self._failure is None:
                    self._work(piece)
            except BaseException as error:
                self._failure = error
            self._room.release()
