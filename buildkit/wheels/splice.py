"""The layer of one or several wheels, without compressing again what the wheels have compressed.

A gzip member is a head, a deflate stream, a CRC and a size; a zip has the last three of each file. So a large member
becomes one of the layer as it is. What lies between (tar headers, padding, small and stored files) is collected and
goes through `gzip.member`, 1 MiB at a time; its bytes depend on nothing but its content, so the layer's do too.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence

from buildkit.image.digest import Digest
from buildkit.layers import gzip, system, tar
from buildkit.layers.layer import Written
from buildkit.layers.members import Worker
from buildkit.wheels import payload
from buildkit.wheels.archive import DEFLATED, Archive, Member
from buildkit.wheels.installed import File, Merged, Plan, merged

# Compressed bytes from which a member is copied. Below it, members next to each other compress better together.
SPLICED = 64 << 10
# Raise it whenever the bytes of any layer of wheels change, even by one.
FORMAT = 1
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

Write = Callable[[bytes], object]


def recipe() -> str:
    """Everything beside plans that decides the bytes of a layer; a part of its key."""
    return f"wheels {FORMAT}, members of {SPLICED}, {gzip.recipe()}, {tar.MTIME}, 0:0"


def write_wheels(plans: Sequence[Plan], write: Write) -> Written:
    """Write the layer of these wheels; their order does not matter, and their archives must still be open.

    Each member is inflated once and held against its size, CRC and RECORD. CorruptContent names the wheel and member;
    what was written by then is no layer. InvalidInput where two wheels write one path.
    """
    files = merged(plans)
    with Worker() as worker:
        writer = _Inflating(write, worker)
        _write(writer, files, plans)
    return Written(_digest(writer.digest), _digest(writer.diff_id), writer.size)


def write_known(plans: Sequence[Plan], write: Write, *, diff_id: Digest) -> Written:
    """The same bytes where the diff id is known: from `write_wheels`, the same wheels (by sha256), scheme and recipe.

    Members that are copied are not inflated, and so not checked again.
    """
    writer = _Copying(write)
    _write(writer, merged(plans), plans)
    return Written(_digest(writer.digest), diff_id, writer.size)


def folders(files: Iterable[File], roots: frozenset[bytes]) -> dict[bytes, int]:
    """The folders that a layer with these files states, and their modes, outermost first.

    Those of the scheme itself, and above, are the base's; `roots` has them without slashes around.
    """
    left = set(system.FOLDERS)
    for root in roots:
        left.update(_above(root + b"/"))
    seen = {
        folder
        for parent in {file.path.rpartition(b"/")[0] for file in files}
        for folder in _above(parent + b"/")
    }
    ours = (folder for folder in seen if folder in system.MODES or folder not in left)
    return {folder: system.MODES.get(folder, 0o755) for folder in sorted(ours)}


class _Copying:
    """Cuts the tar stream into gzip members, and copies those that a wheel has already."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._pending: list[bytes] = []
        self._length = 0
        self.digest = hashlib.sha256()
        self.size = 0

    def add(self, data: bytes) -> None:
        """Tar bytes that are still to be compressed."""
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

    def copy(self, archive: Archive, file: File, member: Member) -> None:
        """The tar bytes of this file, as the wheel has them."""
        self.cut()
        self._emit(_HEAD)
        reader = payload.Reader(archive.wheel, member, file.hash)
        for block in archive.payload(member):
            self._emit(block)
            self._inflate(reader, block)
        self._emit(struct.pack("<II", member.crc, member.size & 0xFFFFFFFF))
        self._finish(reader)

    def _member(self, data: bytes) -> None:
        self._emit(gzip.member(data))

    def _inflate(self, reader: payload.Reader, block: bytes) -> None:
        pass

    def _finish(self, reader: payload.Reader) -> None:
        pass

    def _emit(self, data: bytes) -> None:
        self.digest.update(data)
        self.size += len(data)
        self._write(data)


class _Inflating(_Copying):
    """Also inflates what is copied, in a thread that is a few blocks behind, and hashes it all for the diff id."""

    def __init__(self, write: Write, worker: Worker) -> None:
        super().__init__(write)
        self._worker = worker
        self.diff_id = hashlib.sha256()

    def _member(self, data: bytes) -> None:
        self._worker.give(self.diff_id.update, data)
        super()._member(data)

    def _inflate(self, reader: payload.Reader, block: bytes) -> None:
        def work(block: bytes) -> None:
            for content in reader.feed(block):
                self.diff_id.update(content)

        self._worker.give(work, block)

    def _finish(self, reader: payload.Reader) -> None:
        self._worker.give(lambda _: reader.finish(), None)


def _write(writer: _Copying, files: Sequence[Merged], plans: Sequence[Plan]) -> None:
    """Folders, then the files, by path."""
    roots = frozenset(root for plan in plans for root in plan.roots)
    for folder, mode in folders((each.file for each in files), roots).items():
        writer.add(tar.header(folder + b"/", tar.FOLDER, mode=mode))
    for file, plan in files:
        _write_file(writer, plan.archive, file)
    writer.add(tar.END)
    writer.cut()


def _write_file(writer: _Copying, archive: Archive, file: File) -> None:
    writer.add(tar.header(file.path, tar.FILE, mode=file.mode, size=file.size))
    content = file.content
    if isinstance(content, bytes):
        writer.add(content)
    elif content.method == DEFLATED and content.compressed >= SPLICED:
        writer.copy(archive, file, content)
    else:
        for block in payload.contents(archive, content, file.hash):
            writer.add(block)
    writer.add(tar.padding(file.size))


def _above(path: bytes) -> Iterator[bytes]:
    """The folders that this path is in."""
    while path := path.rpartition(b"/")[0]:
        yield path


def _digest(state: hashlib._Hash) -> Digest:
    return Digest("sha256:" + state.hexdigest())
