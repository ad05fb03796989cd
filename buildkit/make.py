"""Making layers: entries → content from git or LFS → bytes. The only stage that reads blobs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import BinaryIO, NamedTuple, Protocol

from buildkit.cache import Cache
from buildkit.errors import CorruptContent
from buildkit.git import tree
from buildkit.git.commit import Commit
from buildkit.git.repository import Repository
from buildkit.git.tree import Entry
from buildkit.layering import Layerer, Layering
from buildkit.layers import groups
from buildkit.layers.layer import Content, Written, write_layer
from buildkit.layers.members import Worker
from buildkit.plan import Slot
from buildkit.selection import PointerFile, lfs_content
from buildkit.spool import Spool

_CHUNK = 1 << 20


class LfsStore(Protocol):
    """Where the content of LFS pointers comes from, verified."""

    def prefetch(self, wanted: Sequence[PointerFile]) -> None:
        """Bring what is not here yet, many at once. An object that is nowhere: NotFound naming path and oid."""

    def open(self, wanted: PointerFile) -> BinaryIO:
        """The content; wrong bytes raise CorruptContent."""


class Made(NamedTuple):
    """A layer and how to read it."""

    written: Written
    open: Callable[[], BinaryIO]


class Maker:
    """Makes layers of one commit. `say` is told of symbolic links that leave the tree."""

    def __init__(
        self,
        repository: Repository,
        prefix: str,
        lfs: LfsStore,
        spool: Spool,
        cache: Cache,
        say: Callable[[str], None],
    ) -> None:
        self._repository = repository
        self._prefix = prefix
        self._lfs = lfs
        self._spool = spool
        self._cache = cache
        self._say = say
        self._lock = threading.Lock()

    def prepare(self, tree_id: str, entries: Sequence[Entry]) -> None:
        """Bring all content that these entries need and that is not here yet, in one go each from git and LFS."""
        pointers = [pointer for pointer in map(lfs_content, entries) if pointer]
        if pointers:
            self._lfs.prefetch(pointers)
        self._repository.hydrate(tree_id, [entry.oid for entry in entries if not lfs_content(entry)])

    def make(
        self,
        slot: Slot,
        entries: Sequence[Entry],
        before: Slot | None = None,
        worker: Worker | None = None,
    ) -> Callable[[], Made]:
        """Make one layer; what it returns waits for it. With a `worker`, another may be begun before.

        What an earlier layer in the same place, `before`, shares with it is copied from the cache.
        """
        blob = self._spool.blob()
        known = self._kept(before) if before else {}
        keep: dict[bytes, tuple[bytes, ...]] | None = {} if slot.name.startswith("light") else None
        written = write_layer(
            entries, self._prefix, self._contents, blob.write, known=known, keep=keep, worker=worker
        )

        def made() -> Made:
            result = Made(written(), blob.open)
            if keep:
                self._cache.put("members", slot.key.hex, groups.pack(keep))
            return result

        return made

    def again(self, commit: Commit, layerer: Layerer, layering: Layering, slot: Slot) -> BinaryIO:
        """Make a layer whose description was reused, since a destination turned out to lack it. From any thread.

        CorruptContent where the description was not true.
        """
        with self._lock:
            entries = layerer.entries(commit, layering, slot)
            self.prepare(commit.tree, entries)
            made = self.make(slot, entries)()
        if made.written != slot.written:
            raise CorruptContent(
                f"layer {slot.name} was described as {slot.written}, but its content is {made.written}",
                "the image it was reused from is not to be trusted: leave it out of --reuse-from, or give --no-reuse",
            )
        return made.open()

    def _kept(self, before: Slot) -> groups.Kept:
        data = self._cache.get("members", before.key.hex)
        try:
            return groups.unpack(data) if data else {}
        except ValueError:
            return {}

    def _contents(self, entries: Sequence[Entry]) -> Iterator[Content]:
        """One layer is all LFS or all git: they never share a slot."""
        if entries and lfs_content(entries[0]):
            return self._lfs_contents(entries)
        return self._git_contents(entries)

    def _git_contents(self, entries: Sequence[Entry]) -> Iterator[Content]:
        for entry, (header, chunks) in zip(
            entries, self._repository.blobs([entry.oid for entry in entries]), strict=True
        ):
            if header.kind != "blob":
                raise CorruptContent(
                    f"{tree.show(entry.path)} is a {header.kind} in git", "run `git fsck` there"
                )
            if entry.mode == tree.SYMLINK:
                target = b"".join(chunks) if header.size < tree.LONGEST else b""
                self._look_at_link(entry.path, target)
                yield Content(header.size, [target])
            else:
                yield Content(header.size, chunks)

    def _lfs_contents(self, entries: Sequence[Entry]) -> Iterator[Content]:
        for entry in entries:
            pointer = lfs_content(entry)
            assert pointer is not None
            with self._lfs.open(pointer) as stream:
                yield Content(pointer.size, iter(partial(stream.read, _CHUNK), b""))

    def _look_at_link(self, path: bytes, target: bytes) -> None:
        if leaves_tree(path, target):
            self._say(f"the symbolic link {tree.show(path)} leads out of the tree, to {tree.show(target)}")


def leaves_tree(path: bytes, target: bytes) -> bool:
    """Whether a symbolic link's target lies outside of the commit's tree, read as text."""
    if target.startswith(b"/"):
        return True
    return os.path.normpath(os.path.join(os.path.dirname(path), target)).split(b"/")[0] == b".."
