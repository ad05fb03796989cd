"""Snapshots: kept and read back, and edited to what a fresh one would be."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.git.tree import Entry
from buildkit.image.digest import Digest
from buildkit.layers import key as keys
from buildkit.layers.layer import Written
from buildkit.layers.partition import Scheme
from buildkit.plan import Slot, Snapshot, edited, snapshot
from buildkit.selection import PointerFile

ONE = Digest.of(b"1")
paths = st.sampled_from([b"a", b"b", b"c.png", b"d/e", b"d/f.bin", b"\xff\n", b"vendor/x", b"g"])
oids = st.sampled_from(["1" * 40, "2" * 40, "lfs:" + "a" * 64 + ":5", "lfs:" + "b" * 64 + ":6"])
trees = st.dictionaries(paths, oids)


def entries_of(tree: dict[bytes, str]) -> list[Entry]:
    return sorted(Entry(path, b"100644", oid) for path, oid in tree.items())


@given(trees, trees, st.sampled_from([Scheme(1), Scheme(8)]))
def test_an_edited_snapshot_is_that_of_a_fresh_build(
    before: dict[bytes, str], after: dict[bytes, str], scheme: Scheme
) -> None:
    old, statements = snapshot(scheme.groups(entries_of(before)), "/app")
    old = old._replace(
        pointers=(PointerFile(b"p", "a" * 64, 1),), attributes=((b".gitattributes", "1" * 40),)
    )
    differing = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
    edits = {path: Entry(path, b"100644", after[path]) if path in after else None for path in differing}
    opened: list[str] = []

    def held(slot: Slot) -> list[Entry]:
        opened.append(slot.name)
        return keys.parse_statement(statements[slot.key])

    found, changed = edited(old, edits, held, prefix="/app", scheme=scheme)
    fresh, all_statements = snapshot(scheme.groups(entries_of(after)), "/app")
    assert found.slots == fresh.slots
    assert (found.pointers, found.attributes) == (old.pointers, old.attributes)
    assert changed.items() <= all_statements.items()
    assert set(opened) <= {name for path in differing for name in scheme.homes(path)}


def test_without_edits_nothing_is_opened() -> None:
    old, _ = snapshot(Scheme().groups(entries_of({b"a": "1" * 40})), "/app")

    def held(slot: Slot) -> list[Entry]:
        raise AssertionError("opened")

    assert edited(old, {}, held, prefix="/app", scheme=Scheme()) == (old, {})


written = st.none() | st.builds(Written, st.just(ONE), st.just(Digest.of(b"2")), st.integers(0, 1 << 50))
slots = st.builds(Slot, st.sampled_from(["light-00", "bulk-03"]), st.just(ONE), st.integers(0, 9999), written)
pointers = st.builds(
    PointerFile, st.binary(min_size=1, max_size=20), st.just("a" * 64), st.integers(0, 1 << 62)
)
attributes = st.tuples(st.binary(min_size=1, max_size=20), st.just("1" * 40))


@given(st.lists(slots, max_size=4), st.lists(pointers, max_size=3), st.lists(attributes, max_size=3))
def test_a_snapshot_survives_the_cache(
    found: list[Slot], files: list[PointerFile], named: list[tuple[bytes, str]]
) -> None:
    whole = Snapshot(tuple(found), tuple(files), tuple(named))
    assert Snapshot.load(whole.dump()) == whole


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(str(ONE)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
)


@given(
    json_values
    | st.tuples(st.lists(st.lists(json_values, min_size=4, max_size=4), max_size=2), st.just([]), st.just([]))
)
def test_a_snapshot_of_another_make_is_none_at_all(value: object) -> None:
    found = Snapshot.load(json.dumps(value).encode())
    assert found is None or isinstance(found, Snapshot)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"[]", b"{}", b"[[],[]]", b'[[["a","x",1,null]],[],[]]', b"\xff"]
)
def test_bytes_that_are_no_snapshot_are_none(data: bytes) -> None:
    assert Snapshot.load(data) is None


def test_every_layer_has_its_statement_by_key() -> None:
    tree = {b"a.py": "1" * 40, b"b.png": "2" * 40, b"w": "lfs:" + "a" * 64 + ":5"}
    found, statements = snapshot(Scheme().groups(entries_of(tree)), "/app")
    assert [slot.name.partition("-")[0] for slot in found.slots] == ["lfs", "bulk", "light"]
    assert {slot.key for slot in found.slots} == statements.keys()
    assert all(keys.layer_key("/app", statement) == key for key, statement in statements.items())
