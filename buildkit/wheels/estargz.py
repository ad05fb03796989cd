"""The same layer for nodes that pull lazily (eStargz): each file in gzip members of its own, and a table of them.

A member of a wheel is copied as it is, however small, unless it is larger than 8 MiB: a node inflates a member from its
beginning, so large ones are cut into chunks of 1 MiB and deflated again. Any gzip reader reads the layer as it
reads others; in a container two more files are seen at the root, the landmark and the table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from buildkit.errors import InvalidInput
from buildkit.git import tree
from buildkit.image.digest import Digest
from buildkit.layers import gzip, tar
from buildkit.layers.layer import Written
from buildkit.layers.members import Worker
from buildkit.wheels import payload, toc
from buildkit.wheels.archive import DEFLATED, Member
from buildkit.wheels.installed import File, Merged, Plan, merged
from buildkit.wheels.splice import Copying, Inflating, Write, digest_of, folders
from buildkit.wheels.toc import Entry, Table

# Bytes of content up to which a member is copied.
COPIED = 8 << 20
# Raise it whenever the bytes of any such layer change, even by one.
FORMAT = 1

TOC_DIGEST = "containerd.io/snapshot/stargz/toc.digest"
UNCOMPRESSED_SIZE = "io.containers.estargz.uncompressed-size"


class Lazy(NamedTuple):
    """An eStargz layer that was written: `toc` the digest of its table, `uncompressed` the size of its tar in bytes."""

    written: Written
    toc: Digest
    uncompressed: int

    @property
    def annotations(self) -> dict[str, str]:
        """What the layer's descriptor has to say: without the first, nodes do not pull it lazily."""
        return {TOC_DIGEST: self.toc, UNCOMPRESSED_SIZE: str(self.uncompressed)}


def recipe() -> str:
    """Everything beside plans that decides the bytes of a layer; a part of its key."""
    return f"estargz {FORMAT}, copied to {COPIED}, {gzip.recipe()}, {tar.MTIME}, 0:0"


def write_estargz(plans: Sequence[Plan], write: Write) -> Lazy:
    """Write the eStargz layer of these wheels; their order does not matter, and their archives must still be open.

    All content is inflated once and held against size, CRC and RECORD. Raises as `splice.write_wheels` does, and
    InvalidInput for a file that has the name of one of eStargz's own.
    """
    files = _mergeable(plans)
    with Worker() as worker:
        writer = Inflating(write, worker)
        layer = _Layer(writer, worker)
        layer.write(files, plans)
    written = Written(digest_of(writer.digest), digest_of(writer.diff_id), writer.size)
    return Lazy(written, layer.table, layer.uncompressed)


def write_known_estargz(plans: Sequence[Plan], write: Write, *, diff_id: Digest) -> Lazy:
    """The same bytes where the diff id is known; what is copied is not inflated, and so not checked again."""
    files = _mergeable(plans)
    with Worker() as worker:
        writer = Copying(write)
        layer = _Layer(writer, worker)
        layer.write(files, plans)
    return Lazy(Written(digest_of(writer.digest), diff_id, writer.size), layer.table, layer.uncompressed)


class _Layer:
    """Tar entries and their table.

    The thread of the worker takes turns: while it deflates a large file, nothing else is written.
    """

    def __init__(self, writer: Copying, worker: Worker) -> None:
        self._writer = writer
        self._worker = worker
        self._toc = Table()
        self.uncompressed = 0
        self.table = Digest.of(b"")

    def write(self, files: Sequence[Merged], plans: Sequence[Plan]) -> None:
        """The landmark, folders, then the files by path, and what ends the layer."""
        landmark = toc.LANDMARK_CONTENT
        self._header(toc.LANDMARK, tar.FILE, mode=0o644, size=len(landmark))
        self._single(self._toc.file(toc.LANDMARK, 0o644, len(landmark), _sha256(landmark)), landmark)
        self._add(tar.padding(len(landmark)))
        roots = frozenset(root for plan in plans for root in plan.roots)
        for folder, mode in folders((each.file for each in files), roots).items():
            self._header(folder + b"/", tar.FOLDER, mode=mode)
            self._toc.folder(folder + b"/", mode)
        for file, plan in files:
            self._file(plan, file)
        self._end()

    def _file(self, plan: Plan, file: File) -> None:
        content = file.content
        sha256 = "sha256:" + file.hash.digest.hex() if file.hash.algorithm == "sha256" else ""
        self._header(file.path, tar.FILE, mode=file.mode, size=file.size)
        entry = self._toc.file(file.path, file.mode, file.size, sha256)
        if isinstance(content, Member) and _is_copied(content) and sha256:
            self._writer.cut()
            self._toc.chunk(entry, self._writer.size, 0, file.size)["chunkDigest"] = sha256
            self._writer.copy(plan.archive, file, content)
            self.uncompressed += file.size
        elif isinstance(content, Member):
            self._deflated(entry, file.size, payload.contents(plan.archive, content, file.hash))
        else:
            self._deflated(entry, file.size, [content])
        self._add(tar.padding(file.size))

    def _deflated(self, entry: Entry, size: int, blocks: Iterable[bytes]) -> None:
        """A file that is not copied. Where it has several chunks, they are deflated while more are read and hashed."""
        if size <= gzip.MEMBER:
            self._single(entry, b"".join(blocks))
            return
        self._writer.cut()
        for number, data in enumerate(_cut(blocks)):
            self._worker.give(partial(self._chunk, entry, number * gzip.MEMBER, _sha256(data)), data)
        self._worker.mark()()

    def _chunk(self, file: Entry, start: int, sha256: str, data: bytes) -> None:
        """The next chunk of the file; in the thread."""
        self._toc.chunk(file, self._writer.size, start, len(data))["chunkDigest"] = sha256
        self._writer.whole(data)
        self.uncompressed += len(data)

    def _single(self, entry: Entry, data: bytes) -> None:
        """A file of one member, or none where it is empty."""
        self._writer.cut()
        if data:
            self._toc.chunk(entry, self._writer.size, 0, len(data))["chunkDigest"] = _sha256(data)
        self._add(data)
        self._writer.cut()

    def _header(self, path: bytes, kind: bytes, *, mode: int, size: int = 0) -> None:
        self._add(tar.header(path, kind, mode=mode, size=size))

    def _add(self, data: bytes) -> None:
        self._writer.add(data)
        self.uncompressed += len(data)

    def _end(self) -> None:
        self._writer.cut()
        table = self._toc.json()
        self.table = Digest.of(table)
        offset, last = self._writer.size, toc.member(table)
        self._worker.give(self._writer.whole, last)
        self._worker.mark()()
        self.uncompressed += len(last)
        self._writer.emit(toc.footer(offset))


def _is_copied(member: Member) -> bool:
    return member.method == DEFLATED and 0 < member.size <= COPIED


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _cut(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of one gzip member."""
    pending: list[bytes] = []
    length = 0
    for block in blocks:
        pending.append(block)
        length += len(block)
        while length >= gzip.MEMBER:
            joined = b"".join(pending)
            yield joined[: gzip.MEMBER]
            pending, length = [joined[gzip.MEMBER :]], length - gzip.MEMBER
    if length:
        yield b"".join(pending)


def _mergeable(plans: Sequence[Plan]) -> list[Merged]:
    files = merged(plans)
    for file, plan in files:
        if file.path.partition(b"/")[0] in toc.RESERVED:
            raise InvalidInput(
                f"{plan.archive.wheel} writes /{tree.show(file.path)}, a name that eStargz layers have for themselves",
                "leave the file out with a slim rule, or set estargz = false",
            )
    return files
