"""The plan of an image's layers: which there are, which are known, which must be made, and why. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

from buildkit.errors import InvalidInput
from buildkit.git.tree import Entry
from buildkit.image.digest import Digest
from buildkit.layers import key as keys
from buildkit.layers import partition
from buildkit.layers.layer import Written
from buildkit.layers.partition import Scheme
from buildkit.selection import PointerFile


class Reason(StrEnum):
    """Why a layer is what it is: how much of it had to be done."""

    NEW = "new"
    CHANGED = "changed"
    CACHED = "cached"
    ANCESTOR = "ancestor"


class Slot(NamedTuple):
    """One layer of a commit: its place, key, number of paths, and the layer itself where it was made before."""

    name: str
    key: Digest
    paths: int
    written: Written | None = None


class Snapshot(NamedTuple):
    """All slots of one commit under one set of settings, in the order of their layers; what the cache remembers.

    `attributes` are the paths and ids of the `.gitattributes` files that speak of LFS. `listing` names the whole
    listing that the slots were, or were once, laid out from: what they hold was kept together.
    """

    slots: tuple[Slot, ...]
    pointers: tuple[PointerFile, ...] = ()
    attributes: tuple[tuple[bytes, str], ...] = ()
    listing: str = ""

    def dump(self) -> bytes:
        """For the cache."""
        pointers = [(_text(pointer.path), pointer.oid, pointer.size) for pointer in self.pointers]
        attributes = [(_text(path), oid) for path, oid in self.attributes]
        return json.dumps((self.slots, pointers, attributes, self.listing)).encode()

    @classmethod
    def load(cls, data: bytes) -> Snapshot | None:
        """The inverse of `dump`; None where it is of another make."""
        try:
            slots, pointers, attributes, listing = json.loads(data)
            return cls(
                tuple(Slot(name, Digest(key), paths, _written(made)) for name, key, paths, made in slots),
                tuple(PointerFile(_bytes(path), oid, size) for path, oid, size in pointers),
                tuple((_bytes(path), oid) for path, oid in attributes),
                str(listing),
            )
        except (ValueError, TypeError, LookupError, AttributeError, InvalidInput):
            return None


class PlannedWheel(NamedTuple):
    """A wheel of a layer: its file's bytes (0: not known), and which requirement pulled it in."""

    name: str
    version: str
    size: int
    why: str


class PlannedLayer(NamedTuple):
    """A slot and why it is as it is. `changed` are the paths that differ from the ancestor's; `origin` is
    (host, repository) of a trusted image that has the layer.

    `wheels` are those of a layer of wheels; `told` is what its descriptor says of it; `beside` are the keys of the
    layers that the trusted image has which describes this one.
    """

    slot: Slot
    reason: Reason
    changed: tuple[bytes, ...] = ()
    origin: tuple[str, str] | None = None
    wheels: tuple[PlannedWheel, ...] = ()
    told: Mapping[str, str] = {}
    beside: frozenset[Digest] = frozenset()


def snapshot(groups: Mapping[str, list[Entry]], prefix: str) -> tuple[Snapshot, dict[Digest, bytes]]:
    """The slots of a partitioned tree, and what each holds by key."""
    slots, statements = [], {}
    for name in sorted(groups, key=partition.order):
        listed = keys.statement(groups[name])
        key = keys.layer_key(prefix, listed)
        slots.append(Slot(name, key, len(groups[name])))
        statements[key] = listed
    name = sha256("".join(slot.key.hex for slot in slots).encode()).hexdigest()
    return Snapshot(tuple(slots), listing=name), statements


def pack(statements: Mapping[Digest, bytes]) -> bytes:
    """As one piece of bytes: the keys and lengths as JSON on a line, then the statements."""
    head = json.dumps([(key, len(statement)) for key, statement in statements.items()])
    return b"\n".join((head.encode(), b"".join(statements.values())))


def unpack(data: bytes) -> dict[Digest, bytes]:
    """The inverse of `pack`; nothing where it is of another make."""
    head, _, rest = data.partition(b"\n")
    found, start = {}, 0
    try:
        for key, length in json.loads(head):
            found[Digest(key)] = rest[start : start + length]
            start += length
    except (ValueError, TypeError, InvalidInput):
        return {}
    return found


def edited(
    previous: Snapshot,
    edits: Mapping[bytes, Entry | None],
    held: Callable[[Slot], list[Entry]],
    *,
    prefix: str,
    scheme: Scheme,
) -> tuple[Snapshot, dict[Digest, bytes]]:
    """The snapshot after these edits, equal to a fresh one of the same tree; opens only the slots they reach.

    `edits` gives by path what is there now, None for nothing; `held` gives what a slot held before, and may raise.
    """
    reached: dict[str, dict[bytes, Entry | None]] = {}
    for path, entry in edits.items():
        for name in scheme.homes(path):
            reached.setdefault(name, {})[path] = None
        if entry is not None:
            reached[scheme.slot(entry)][path] = entry
    slots = {slot.name: slot for slot in previous.slots}
    statements: dict[Digest, bytes] = {}
    for name, changes in reached.items():
        before = held(slots[name]) if name in slots else []
        entries = _apply(before, changes)
        slots.pop(name, None)
        if entries:
            listed = keys.statement(entries)
            slots[name] = Slot(name, keys.layer_key(prefix, listed), len(entries))
            statements[slots[name].key] = listed
    ordered = tuple(slots[name] for name in sorted(slots, key=partition.order))
    return previous._replace(slots=ordered), statements


def _apply(entries: Iterable[Entry], edits: Mapping[bytes, Entry | None]) -> list[Entry]:
    kept = [entry for entry in entries if entry.path not in edits]
    return sorted([*kept, *(entry for entry in edits.values() if entry is not None)])


def _written(made: list[Any] | None) -> Written | None:
    return None if made is None else Written(Digest(made[0]), Digest(made[1]), int(made[2]))


def _text(path: bytes) -> str:
    return path.decode(errors="surrogateescape")


def _bytes(path: str) -> bytes:
    return path.encode(errors="surrogateescape")
