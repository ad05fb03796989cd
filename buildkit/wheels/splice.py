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
from buildkit.layers.members import Cutter, Worker
from buildkit.wheels import payload
from buildkit.wheels.archive import DEFLATED, Archive, Member
from buildkit.wheels.installed import File, Merged, Plan, merged

# Compressed bytes from which a member is copied. Below it, members next to each other compress better together.
SPLICED = 64 << 10
# Raise it whenever the bytes of any layer of wheels change, even by one.
FORMAT = 1
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

Write = Callable[[bytes], object]
Refer = Callable[[Callable[[int, int], bytes], int, int], object]
"""Takes bytes of a wheel that need not be copied: how to read them, where they begin, and their number."""


def recipe() -> str:
    """Everything beside plans that decides the bytes of a layer; a part of its key."""
    return f"wheels {FORMAT}, members of {SPLICED}, {gzip.recipe()}, {tar.MTIME}, 0:0"


def write_wheels(plans: Sequence[Plan], write: Write, refer: Refer | None = None) -> Written:
    """Write the layer of these wheels; their order does not matter, and their archives must still be open.

    What is the wheel's own goes to `refer`, where there is one, in its turn. Each member is inflated once and held
    against its size, CRC and RECORD. CorruptContent names the wheel and member; what was written by then is no layer.
    InvalidInput where two wheels write one path.
    """
    files = merged(plans)
    with Worker() as worker:
        writer = Inflating(write, worker, refer)
        _write(writer, files, plans)
    return Written(digest_of(writer.digest), digest_of(writer.diff_id), writer.size)


def write_known(
    plans: Sequence[Plan], write: Write, refer: Refer | None = None, *, diff_id: Digest
) -> Written:
    """The same bytes where the diff id is known: from `write_wheels`, the same wheels (by sha256), scheme and recipe.

    Members that are copied are not inflated, and so not checked again.
    """
    writer = Copying(write, refer)
    _write(writer, merged(plans), plans)
    return Written(digest_of(writer.digest), diff_id, writer.size)


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


class Copying(Cutter):
    """Makes gzip members of the tar stream, and copies those that a wheel has already."""

    def __init__(self, write: Write, refer: Refer | None = None) -> None:
        super().__init__()
        self._write = write
        self._refer = refer
        self.digest = hashlib.sha256()
        self.size = 0

    def copy(self, archive: Archive, file: File, member: Member) -> None:
        """The tar bytes of this file, as the wheel has them: in a member of their own."""
        self.cut()
        self.emit(_HEAD)
        reader = payload.Reader(archive.wheel, member, file.hash)
        for block in archive.payload(member):
            self._pass(block)
            self._inflate(reader, block)
        if self._refer is not None:
            self._refer(archive.read_at, member.offset, member.compressed)
        self.emit(struct.pack("<II", member.crc, member.size & 0xFFFFFFFF))
        self._finish(reader)

    def whole(self, data: bytes) -> None:
        """Tar bytes that are one member, however many; only after `cut`."""
        self.emit(gzip.member(data))

    def _member(self, data: bytes) -> None:
        self.emit(gzip.member(data))

    def _inflate(self, reader: payload.Reader, block: bytes) -> None:
        pass

    def _finish(self, reader: payload.Reader) -> None:
        pass

    def emit(self, data: bytes) -> None:
        """Bytes of the layer, as they are."""
        self.digest.update(data)
        self.size += len(data)
        self._write(data)

    def _pass(self, block: bytes) -> None:
        """The wheel's own bytes: written here, or referred to when all of them were seen."""
        if self._refer is None:
            self.emit(block)
        else:
            self.digest.update(block)
            self.size += len(block)


class Inflating(Copying):
    """Also inflates what is copied, in a thread that is a few blocks behind, and hashes it all for the diff id."""

    def __init__(self, write: Write, worker: Worker, refer: Refer | None = None) -> None:
        super().__init__(write, refer)
        self._worker = worker
        self.diff_id = hashlib.sha256()

    def whole(self, data: bytes) -> None:
        """The same; only in the thread of the worker, which alone may touch the diff id."""
        self.diff_id.update(data)
        super().whole(data)

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


def _write(writer: Copying, files: Sequence[Merged], plans: Sequence[Plan]) -> None:
    """Folders, then the files, by path."""
    roots = frozenset(root for plan in plans for root in plan.roots)
    for folder, mode in folders((each.file for each in files), roots).items():
        writer.add(tar.header(folder + b"/", tar.FOLDER, mode=mode))
    for file, plan in files:
        _write_file(writer, plan.archive, file)
    writer.add(tar.END)
    writer.cut()


def _write_file(writer: Copying, archive: Archive, file: File) -> None:
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


def digest_of(state: hashlib._Hash) -> Digest:
    """The digest of what this sha256 has seen."""
    return Digest("sha256:" + state.hexdigest())
