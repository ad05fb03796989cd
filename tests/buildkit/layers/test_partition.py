"""Which layer a path belongs to: frozen, and a function of the path alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.git.tree import Entry
from buildkit.layers import partition
from buildkit.layers.partition import Scheme, is_bulk, order

LFS = "lfs:" + "a" * 64 + ":5"
paths = st.binary(min_size=1, max_size=60).filter(lambda path: b"\0" not in path)
schemes = st.sampled_from([Scheme(fold) for fold in (1, 2, 4, 8)])
oids = st.sampled_from(["1" * 40, "2" * 64, LFS])


@given(schemes, paths, oids, oids, st.sampled_from([b"100644", b"100755", b"120000"]))
def test_neither_content_nor_mode_moves_a_file(
    scheme: Scheme, path: bytes, one: str, two: str, mode: bytes
) -> None:
    """Except that LFS content has layers of its own."""
    first, second = scheme.slot(Entry(path, b"100644", one)), scheme.slot(Entry(path, mode, two))
    assert (first == second) == (one.startswith("lfs:") == two.startswith("lfs:"))


@given(schemes, paths, oids)
def test_a_path_lives_in_one_of_its_homes(scheme: Scheme, path: bytes, oid: str) -> None:
    homes = scheme.homes(path)
    assert scheme.slot(Entry(path, b"100644", oid)) == homes[oid.startswith("lfs:")]
    assert len(set(homes)) == 2


@given(schemes, st.lists(st.tuples(paths, oids), max_size=30, unique_by=lambda pair: pair[0]))
def test_every_entry_is_in_one_layer_and_in_order(scheme: Scheme, found: list[tuple[bytes, str]]) -> None:
    entries = sorted(Entry(path, b"100644", oid) for path, oid in found)
    groups = scheme.groups(entries)
    assert sorted(entry for group in groups.values() for entry in group) == entries
    assert all(group == sorted(group) for group in groups.values())
    assert len(set(groups)) <= 72 // scheme.fold


@pytest.mark.parametrize("fold", [1, 2, 4, 8])
def test_there_are_never_more_layers_than_the_scheme_says(fold: int) -> None:
    scheme = Scheme(fold)
    entries = [
        Entry(b"%d%s" % (n, end), b"100644", oid)
        for n in range(3000)
        for end in (b"", b".png")
        for oid in ("1" * 40, LFS)
    ]
    assert len({scheme.slot(entry) for entry in entries}) == 72 // fold


@pytest.mark.parametrize(
    ("room", "fold"),
    [
        (125, 1),
        (72, 1),
        (71, 2),
        (36, 2),
        (35, 4),
        (18, 4),
        (17, 8),
        (9, 8),
        (8, None),
        (0, None),
        (-3, None),
    ],
)
def test_the_finest_scheme_that_fits_is_taken(room: int, fold: int | None) -> None:
    assert Scheme.for_room(room) == (Scheme(fold) if fold else None)


def test_what_changes_most_seldom_lies_lowest() -> None:
    names = ["light-03", "bulk-01", "lfs-07", "light-00", "lfs-00"]
    assert sorted(names, key=order) == ["lfs-00", "lfs-07", "bulk-01", "light-00", "light-03"]


BULKY = [b"a.PNG", b"d/weights.safetensors", b"uv.lock", b"x.min.js", b"api_pb2.py", b"vendor/x/y.go", b"data.csv",
         b"web/node_modules/a.js", b"Vendor/x.py", b"a.b.gz"]  # fmt: skip
LIGHT = [
    b"a.py",
    b"README.md",
    b"vendor",
    b"vendor.py",
    b".png",
    b"d/.json",
    b"png",
    b"a.png/x.py",
    b"min.js",
    b"Makefile",
    b"a.txt",
]


def test_bulk_is_told_by_suffix_or_folder() -> None:
    assert [path for path in BULKY if not is_bulk(path)] == []
    assert [path for path in LIGHT if is_bulk(path)] == []


def test_the_partition_is_golden() -> None:
    """When this fails on purpose, raise `partition.VERSION`; every image's layers change with it."""
    scheme = Scheme()
    assert partition.VERSION == 1
    assert {path: scheme.homes(path) for path in GOLDEN} == GOLDEN
    assert {path: Scheme(8).homes(path) for path in COARSE} == COARSE


GOLDEN: dict[bytes, tuple[str, str]] = {
    b"README.md": ("light-30", "lfs-06"),
    b"pyproject.toml": ("light-37", "lfs-05"),
    b"src/app/__init__.py": ("light-15", "lfs-07"),
    b"src/app/train.py": ("light-32", "lfs-00"),
    b"\xff\nodd": ("light-50", "lfs-02"),
    b"uv.lock": ("bulk-01", "lfs-01"),
    b"data/a.parquet": ("bulk-05", "lfs-05"),
    b"vendor/x/y.go": ("bulk-06", "lfs-06"),
    b"Dockerfile": ("light-12", "lfs-04"),
    b"d/e/f/g/h.txt": ("light-54", "lfs-06"),
    b"web/logo.PNG": ("bulk-02", "lfs-02"),
    b"api_pb2.py": ("bulk-01", "lfs-01"),
}
COARSE: dict[bytes, tuple[str, str]] = {
    b"README.md": ("light-02", "lfs-00"),
    b"pyproject.toml": ("light-02", "lfs-00"),
    b"src/app/__init__.py": ("light-01", "lfs-00"),
    b"src/app/train.py": ("light-04", "lfs-00"),
    b"\xff\nodd": ("light-01", "lfs-00"),
}
