"""What of a commit's tree goes into the image: patterns, submodules, LFS. Decided path by path, so that a
change of one file never asks about another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from buildkit.config.values import Holds
from buildkit.errors import InvalidInput
from buildkit.git import tree
from buildkit.git.tree import Entry
from buildkit.layers.layer import refuse_unshippable

_LFS = "lfs:"

Predicate = Callable[[bytes], bool]


class PointerFile(NamedTuple):
    """A Git LFS pointer in the tree: `oid` is the sha256 in hex of a content of `size` bytes."""

    path: bytes
    oid: str
    size: int


class Selected(NamedTuple):
    """What goes in, sorted by path, and the LFS pointers among the files of the tree."""

    entries: list[Entry]
    pointers: list[PointerFile]


class Rules(NamedTuple):
    """The settings as predicates over paths; None where a setting says nothing."""

    keep: Predicate | None
    lfs_tracked: Predicate | None
    lfs_include: Predicate | None
    drop_pointers: bool
    skip_submodules: bool
    case_collisions: bool
    prefix: str = "/app"

    def candidates(self, entries: Iterable[Entry]) -> list[Entry]:
        """The files that may be LFS pointers: those that attributes or `lfs.include` name."""
        tests = [test for test in (self.lfs_tracked, self.lfs_include) if test]
        if not tests:
            return []
        regular = (entry for entry in entries if entry.mode in (tree.REGULAR, tree.EXECUTABLE))
        return [entry for entry in regular if any(test(entry.path) for test in tests)]

    def wanted(self, entries: list[Entry]) -> list[Entry]:
        """Without what the patterns leave out. InvalidInput for a submodule, unless they are skipped."""
        kept = [entry for entry in entries if self.keep(entry.path)] if self.keep else entries
        if any(entry.mode == tree.SUBMODULE for entry in kept):
            kept = [entry for entry in kept if not self._is_submodule(entry)]
        refuse_unshippable(kept, self.prefix, case_collisions=self.case_collisions)
        return kept

    def apply(self, entries: list[Entry], pointers: Mapping[bytes, PointerFile]) -> Selected:
        """With LFS content in place of the pointers that `lfs.include` names, and without those to be dropped."""
        if not pointers:
            return Selected(entries, [])
        chosen = [self._pointed(entry, pointers.get(entry.path)) for entry in entries]
        return Selected([entry for entry in chosen if entry], [pointers[path] for path in sorted(pointers)])

    def _pointed(self, entry: Entry, pointer: PointerFile | None) -> Entry | None:
        if pointer is None:
            return entry
        if self.lfs_include and self.lfs_include(entry.path):
            return entry._replace(oid=f"{_LFS}{pointer.oid}:{pointer.size}")
        return None if self.drop_pointers else entry

    def _is_submodule(self, entry: Entry) -> bool:
        if entry.mode == tree.SUBMODULE and not self.skip_submodules:
            raise InvalidInput(
                f"{tree.show(entry.path)} is a submodule: the commit holds its id, not its files",
                'leave it out with `exclude`, or all of them with submodules = "skip"',
            )
        return entry.mode == tree.SUBMODULE


def fingerprint(holds: Holds) -> bytes:
    """What of the settings decides the entries and where they are put; equal ones may share cached layers' lists."""
    parts = (holds.prefix, holds.include, holds.exclude, holds.lfs_include, holds.lfs_pointers, holds.submodules,
             holds.case_collisions)  # fmt: skip
    return repr(parts).encode()


def lfs_content(entry: Entry) -> PointerFile | None:
    """The LFS content that an entry stands for; None where it is a blob of the repository."""
    if not entry.oid.startswith(_LFS):
        return None
    oid, _, size = entry.oid.removeprefix(_LFS).partition(":")
    return PointerFile(entry.path, oid, int(size))
