"""From a commit to the keys of its layers, by the cheapest road that gives the same answer.

1. The same tree under the same settings was laid out before: the cached snapshot is the answer.
2. An ancestor's was: the two trees are compared, and only the slots that the difference reaches are laid out again.
3. Neither: the whole tree is listed. Where the cache has no snapshot at all, that begins before the base is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from hashlib import sha256
from typing import NamedTuple

from buildkit import plan, selection
from buildkit.ancestors import lineage
from buildkit.cache import Cache
from buildkit.config.values import Holds
from buildkit.errors import InvalidInput
from buildkit.git import tree
from buildkit.git.commit import Commit
from buildkit.git.repository import Repository
from buildkit.git.tree import Entry
from buildkit.image.digest import Digest
from buildkit.layers import key as keys
from buildkit.layers import partition
from buildkit.layers.partition import Scheme
from buildkit.plan import Slot, Snapshot
from buildkit.rules import AttributeFiles, attributes_in, find_pointers, rules_of
from buildkit.selection import PointerFile, Rules, Selected


class Layering(NamedTuple):
    """The slots of a commit. `statements` holds, by key, what the slots that were laid out now hold.

    `before` is the snapshot it was derived from, `changed` the paths that differ from it, by slot name.
    `statements` are to be kept: those of a whole listing together, those of single slots each by itself.
    """

    snapshot: Snapshot
    statements: Mapping[Digest, bytes] = {}
    before: Snapshot | None = None
    changed: Mapping[str, tuple[bytes, ...]] = {}


class _Listed(NamedTuple):
    """A whole tree: what of it goes in, and its files of attributes."""

    selected: Selected
    attributes: AttributeFiles


class Layerer:
    """Lays out the commits of one repository under one set of settings; `scheme` may wait for the base."""

    def __init__(
        self, repository: Repository, holds: Holds, scheme: Callable[[], Scheme], cache: Cache
    ) -> None:
        self._repository = repository
        self._holds = holds
        self._wait_for_scheme = scheme
        self._cache = cache
        self._listings: dict[str, Mapping[Digest, bytes]] = {}

    @cached_property
    def _scheme(self) -> Scheme:
        return self._wait_for_scheme()

    @cached_property
    def _identity(self) -> str:
        holds, fold = self._holds, self._scheme.fold
        identity = (selection.fingerprint(holds), keys.recipe(holds.prefix), partition.VERSION, fold)
        return sha256(repr(identity).encode()).hexdigest()

    def lay_out(self, commit: Commit) -> Layering:
        """The layers of a commit, lowest first. Raises InvalidInput for a tree that cannot be shipped."""
        if self._cache.is_empty("snapshots"):
            return self._laid_out(self._listed(commit))
        known = self._remembered(commit.tree)
        if known is not None:
            return Layering(known, before=known)
        try:
            derived = self._derive(commit)
        except InvalidInput:  # a hostile tree, a damaged ancestor: the full listing says which
            derived = None
        return derived or self._laid_out(self._listed(commit))

    def remember(self, commit: Commit, layering: Layering, slots: tuple[Slot, ...]) -> None:
        """Keep it, with all layers known, for the builds to come."""
        if layering.snapshot is layering.before and slots == layering.snapshot.slots:
            return
        if layering.before is None:
            self._cache.put("listings", layering.snapshot.listing, plan.pack(layering.statements))
        else:
            for key, statement in layering.statements.items():
                self._cache.put("statements", key.hex, statement)
        self._cache.put("snapshots", self._name(commit.tree), layering.snapshot._replace(slots=slots).dump())

    def entries(self, commit: Commit, layering: Layering, slot: Slot) -> list[Entry]:
        """What a slot holds, from wherever it is known."""
        statement = layering.statements.get(slot.key) or self._statement(slot.key, layering.snapshot)
        if statement is None:
            statement = self._laid_out(self._listed(commit)).statements[slot.key]
        return keys.parse_statement(statement)

    def _remembered(self, tree_id: str) -> Snapshot | None:
        data = self._cache.get("snapshots", self._name(tree_id))
        return Snapshot.load(data) if data else None

    def _name(self, tree_id: str) -> str:
        return sha256(f"{self._identity} {tree_id}".encode()).hexdigest()

    def _statement(self, key: Digest, snapshot: Snapshot) -> bytes | None:
        """A cached statement; it proves itself, being what the key is the hash of."""
        found = self._cache.get("statements", key.hex)
        if found is None:
            found = self._unpacked(snapshot.listing).get(key)
        return found if found is not None and keys.layer_key(self._holds.prefix, found) == key else None

    def _unpacked(self, listing: str) -> Mapping[Digest, bytes]:
        """The statements of a whole listing, read once."""
        if listing not in self._listings:
            data = self._cache.get("listings", listing) if listing else None
            self._listings[listing] = plan.unpack(data) if data else {}
        return self._listings[listing]

    def _listed(self, commit: Commit) -> _Listed:
        entries = self._repository.listing(commit.tree)
        attributes = attributes_in(self._repository, commit.tree, entries)
        rules = rules_of(self._repository, self._holds, attributes)
        return _Listed(self._select(rules, commit.tree, entries), attributes)

    def _laid_out(self, listed: _Listed) -> Layering:
        entries, pointers = listed.selected
        found, statements = plan.snapshot(self._scheme.groups(entries), self._holds.prefix)
        snapshot = found._replace(pointers=tuple(pointers), attributes=listed.attributes)
        return Layering(snapshot, statements)

    def _derive(self, commit: Commit) -> Layering | None:
        """From the nearest ancestor that was laid out before; None where there is none, or no way from it."""
        if self._holds.case_collisions == "refuse" or self._repository.promisor_remote():
            return None  # the first needs all names at once; a partial clone would fetch old trees one by one
        for oid in lineage(self._repository, commit):
            ancestor = self._repository.find_commit(oid)
            before = self._remembered(ancestor.tree) if ancestor else None
            if ancestor is not None and before is not None:
                return self._from(before, ancestor, commit)
        return None

    def _from(self, before: Snapshot, ancestor: Commit, commit: Commit) -> Layering | None:
        now: dict[bytes, Entry | None] = {}
        for change in self._repository.changes(ancestor.tree, commit.tree):
            now[change.path] = change.new
        if any(path.rpartition(b"/")[2] == b".gitattributes" for path in now):
            return None  # it may make pointers of any files below it
        rules = rules_of(self._repository, self._holds, before.attributes)
        present = tree.check(sorted(entry for entry in now.values() if entry))
        selected = self._select(rules, commit.tree, present)
        edits = {**dict.fromkeys(now), **{entry.path: entry for entry in selected.entries}}
        try:
            after, statements = plan.edited(
                before, edits, partial(self._held, before), prefix=self._holds.prefix, scheme=self._scheme
            )
        except KeyError:
            return None  # the cache has lost what an old slot held
        after = after._replace(pointers=_merged(before.pointers, now, selected.pointers))
        return Layering(after, statements, before, self._changed(edits))

    def _held(self, before: Snapshot, slot: Slot) -> list[Entry]:
        statement = self._statement(slot.key, before)
        if statement is None:
            raise KeyError(slot.key)
        return keys.parse_statement(statement)

    def _changed(self, paths: Iterable[bytes]) -> dict[str, tuple[bytes, ...]]:
        changed: dict[str, tuple[bytes, ...]] = {}
        for path in sorted(paths):
            for name in self._scheme.homes(path):
                changed[name] = (*changed.get(name, ()), path)
        return changed

    def _select(self, rules: Rules, tree_id: str, entries: list[Entry]) -> Selected:
        kept = rules.wanted(entries)
        return rules.apply(kept, self._pointers(rules, tree_id, kept))

    def _pointers(self, rules: Rules, tree_id: str, kept: list[Entry]) -> Mapping[bytes, PointerFile]:
        return find_pointers(self._repository, tree_id, rules.candidates(kept), rules.lfs_include)


def _merged(
    before: Iterable[PointerFile], touched: Mapping[bytes, object], now: Iterable[PointerFile]
) -> tuple[PointerFile, ...]:
    return tuple(sorted([*(pointer for pointer in before if pointer.path not in touched), *now]))
