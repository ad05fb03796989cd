"""Layers on top of each other: the paths that are left are those that a runtime would leave."""

from __future__ import annotations

import tarfile
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.bases.tree import File, Link, Tree
from buildkit.errors import CorruptContent
from tests.buildkit.bases_facts.support import entry, file, folder, hard, link, shown, tar, tree_of


def test_later_layers_override_and_directories_keep_what_is_in_them() -> None:
    tree = tree_of(
        tar(folder("a"), file("a/one"), file("b")), tar(folder("a"), link("b", "a"), file("a/two"))
    )
    assert shown(tree) == {"/a": "folder", "/a/one": "file", "/a/two": "file", "/b": "-> a"}


def test_a_file_over_a_directory_takes_what_was_in_it() -> None:
    assert shown(tree_of(tar(file("a/one")), tar(file("a")))) == {"/a": "file"}


def test_a_directory_entry_over_a_link_replaces_the_link() -> None:
    tree = tree_of(tar(folder("usr/lib"), link("lib", "usr/lib")), tar(folder("lib"), file("lib/x")))
    assert shown(tree) == {"/lib": "folder", "/lib/x": "file", "/usr": "folder", "/usr/lib": "folder"}


def test_what_is_written_below_a_link_is_where_the_link_leads() -> None:
    tree = tree_of(tar(folder("usr/lib"), link("lib", "usr/lib")), tar(file("lib/x")))
    assert shown(tree)["/usr/lib/x"] == "file"
    assert isinstance(tree.at("/lib/x"), File)


def test_whiteouts_hide_lower_layers_only_wherever_they_stand() -> None:
    below = tar(file("a/one"), file("a/two"), file("c"))
    above = tar(file("a/new"), file(".wh.c"), file("c"), file("a/.wh.one"), file("a/.wh.nothing"))
    assert shown(tree_of(below, above)) == {"/a": "folder", "/a/new": "file", "/a/two": "file", "/c": "file"}


def test_an_opaque_directory_hides_all_of_lower_layers() -> None:
    below = tar(file("a/one"), file("a/deep/two"), file("a/deep/three"))
    above = tar(file("a/deep/new"), file("a/.wh..wh..opq"), file("a/.wh..wh.plnk"))
    assert shown(tree_of(below, above)) == {"/a": "folder", "/a/deep": "folder", "/a/deep/new": "file"}


def test_a_whiteout_of_a_link_leaves_what_it_leads_to() -> None:
    assert shown(tree_of(tar(file("a"), link("b", "a")), tar(file(".wh.b")))) == {"/a": "file"}


def test_hard_links_are_files_of_their_own() -> None:
    tree = tree_of(
        tar(file("a"), link("l", "a"), hard("b", "a"), hard("m", "l"), hard("out", "../../etc/passwd"))
    )
    assert {path: kind for path, kind in shown(tree).items() if path in ("/b", "/m", "/out")} == {
        "/b": "file", "/m": "-> a", "/out": "file"}  # fmt: skip
    assert shown(tree_of(tar(file("a"), hard("b", "/a")), tar(file(".wh.a")))) == {"/b": "file"}


def test_loops_of_links_lead_nowhere() -> None:
    tree = tree_of(
        tar(link("a", "b"), link("b", "a"), link("self", "self/x"), link("up", "../../.."), file("a/x"))
    )
    assert tree.at("/a") is None
    assert tree.at("/self") is None
    assert tree.at("/up") is tree.root


def test_links_are_followed_inside_the_root() -> None:
    tree = tree_of(tar(file("etc/passwd"), link("opt/out", "../../../etc"), link("abs", "/opt/out/passwd")))
    assert tree.locate("/abs") == ("/etc/passwd", tree.at("/etc/passwd"))
    assert isinstance(tree.at("/abs", follow=False), Link)
    assert tree.at("/etc/passwd/x") is None


def test_devices_are_no_regular_files() -> None:
    tree = tree_of(tar(entry("null", tarfile.CHRTYPE), entry("pipe", tarfile.FIFOTYPE)))
    assert shown(tree) == {"/null": "device", "/pipe": "device"}


def test_memory_is_bounded() -> None:
    tree = Tree(budget=10_000)
    with pytest.raises(CorruptContent, match="more links"):
        _fill(tree)
    tree = Tree(budget=10_000)
    for _ in range(100):
        tree.put("status", File(content=b"x" * 5000))


def _fill(tree: Tree) -> None:
    for number in range(100):
        tree.put(f"{number}", Link("x" * 100))


class Operation(NamedTuple):
    """What one entry does."""

    kind: str
    path: str


# Links are at names below which nothing is written: the dictionary follows none.
PATHS = st.tuples(st.lists(st.sampled_from("abc"), max_size=2), st.sampled_from("abcl")).map(
    lambda pair: "/".join([*pair[0], pair[1]])
)
OPERATIONS = st.builds(Operation, st.sampled_from(["file", "folder", "link", "whiteout", "opaque"]), PATHS)


@given(st.lists(st.lists(OPERATIONS, max_size=8), max_size=4))
def test_any_layers_leave_what_a_plain_dictionary_leaves(layers: list[list[Operation]]) -> None:
    model: dict[str, str] = {}
    for operations in layers:
        _apply_to_model(model, operations)
    assert shown(tree_of(*(tar(*map(_entry, operations)) for operations in layers))) == model


def _entry(operation: Operation) -> tuple[tarfile.TarInfo, bytes]:
    above, _, name = operation.path.rpartition("/")
    match operation.kind:
        case "folder":
            return entry(operation.path, tarfile.DIRTYPE), b""
        case "link":
            return entry(f"{operation.path.rstrip('abc')}l", tarfile.SYMTYPE, target="nowhere"), b""
        case "whiteout":
            return entry(f"{above}/.wh.{name}".lstrip("/")), b""
        case "opaque":
            return entry(f"{operation.path}/.wh..wh..opq"), b""
        case _:
            return entry(operation.path), b""


def _apply_to_model(model: dict[str, str], operations: list[Operation]) -> None:
    """Whiteouts first, since they mean lower layers only."""
    for kind, path in operations:
        if kind in ("whiteout", "opaque"):
            _drop(model, f"/{path}", itself=kind == "whiteout")
    for kind, path in operations:
        full = f"/{path.rstrip('abc')}l" if kind == "link" else f"/{path}"
        if kind in ("whiteout", "opaque"):
            continue
        above = full.split("/")[1:-1]
        for depth in range(len(above)):
            model["/" + "/".join(above[: depth + 1])] = "folder"
        if kind != "folder" or model.get(full) != "folder":
            _drop(model, full, itself=True)
            model[full] = "-> nowhere" if kind == "link" else kind


def _drop(model: dict[str, str], path: str, *, itself: bool) -> None:
    for known in list(model):
        if known.startswith(f"{path}/") or (itself and known == path):
            del model[known]
