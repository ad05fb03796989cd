"""Trees: what is listed, what is refused, and what differs between two; git itself is the judge."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.errors import InvalidInput
from buildkit.git.repository import Repository
from buildkit.git.tree import Change, Entry, check, differences, parse_listing, show
from buildkit.testing.repositories import File, ThrowAwayRepository, executable, link, submodule

ODD: dict[bytes, bytes | File] = {
    b"plain": b"1",
    b"tool.sh": executable(b"#!/bin/sh\n"),
    b"link": link(b"plain"),
    b"dangling": link(b"../../etc/passwd"),
    b"line\nfeed": b"2",
    b"\xff\xfe not utf-8": b"3",
    b" leading and trailing ": b"4",
    b"-rf": b"5",
    b"--help": b"6",
    b"17 path=evil\n": b"7",
    b"back\\slash": b"8",
    b'"quoted"': b"9",
    b"tab\there": b"10",
    b"*?[a-z]": b"11",
    b".gitignore": b"12",
    b".github/x": b"13",
    b"..x/...": b"14",
    b"d/" + b"n" * 255: b"15",
    b"/".join([b"f" * 200] * 10) + b"/deep": b"16",
    b"a.b": b"17",
    b"a/b": b"18",
    b"a-b": b"19",
    b"empty": b"",
    b"module": submodule("1" * 40),
}
TREE, FILE = b"40000", b"100644"


def git_listing(origin: ThrowAwayRepository, tree: str) -> list[tuple[bytes, bytes, str]]:
    lines = origin.git("ls-tree", "-r", "-z", "--full-tree", tree).split(b"\0")[:-1]
    return [
        (path, meta.split()[0], meta.split()[2].decode())
        for meta, _, path in (x.partition(b"\t") for x in lines)
    ]


def test_the_listing_is_that_of_git_whatever_the_names(origin: ThrowAwayRepository) -> None:
    origin.commit(ODD)
    with Repository(origin.directory) as repository:
        commit = repository.commit("HEAD")
        listed = repository.listing(commit.tree)
    assert [tuple(entry) for entry in listed] == git_listing(origin, commit.tree)
    assert {entry.path for entry in listed} == set(ODD)
    modes = {entry.path: entry.mode for entry in listed}
    assert [modes[name] for name in (b"plain", b"tool.sh", b"link", b"module")] == [
        b"100644", b"100755", b"120000", b"160000",
    ]  # fmt: skip


def test_a_commit_without_files_lists_nothing(origin: ThrowAwayRepository) -> None:
    origin.commit({})
    with Repository(origin.directory) as repository:
        assert repository.listing(repository.commit("HEAD").tree) == []


def test_names_are_shown_on_one_line() -> None:
    assert show(b"caf\xc3\xa9") == "café"
    assert show(b"a\nb\xff\x1b[0m") == "a\\nb\\\\xff\\x1b[0m"
    assert len(show(b"x" * 5000)) == 300


class Hostile(NamedTuple):
    """A tree that git's porcelain would not write."""

    name: str
    build: Callable[[ThrowAwayRepository], str]


def named(name: bytes, mode: bytes = FILE) -> Callable[[ThrowAwayRepository], str]:
    return lambda origin: origin.tree([(mode, name, origin.blob(b"x"))])


def below(name: bytes) -> Callable[[ThrowAwayRepository], str]:
    return lambda origin: origin.tree([(TREE, name, named(b"config")(origin))])


def listed(*items: tuple[bytes, bytes]) -> Callable[[ThrowAwayRepository], str]:
    def build(origin: ThrowAwayRepository) -> str:
        blob, tree = origin.blob(b"x"), named(b"inner")(origin)
        return origin.tree([(mode, name, tree if mode == TREE else blob) for mode, name in items])

    return build


def nested(origin: ThrowAwayRepository) -> str:
    tree = named(b"x")(origin)
    for _ in range(20):
        tree = origin.tree([(TREE, b"f" * 250, tree)])
    return tree


HOSTILE = [
    Hostile("a file named '..'", named(b"..")),
    Hostile("a file named '.'", named(b".")),
    Hostile("a folder named '..'", below(b"..")),
    Hostile("a folder named '.'", below(b".")),
    Hostile("a folder named '.git'", below(b".git")),
    Hostile("a folder named '.GiT'", below(b".GiT")),
    Hostile("a link named '.git'", named(b".git", b"120000")),
    Hostile("a submodule named '.Git'", named(b".Git", b"160000")),
    Hostile("a file without name", named(b"")),
    Hostile("a folder without name", below(b"")),
    Hostile("a name that climbs", named(b"../../etc/passwd")),
    Hostile("an absolute name", named(b"/etc/passwd")),
    Hostile("a name twice", listed((FILE, b"a"), (FILE, b"a"))),
    Hostile("a file and a folder", listed((FILE, b"a"), (TREE, b"a"))),
    Hostile("a file and a folder apart", listed((FILE, b"a"), (FILE, b"a.b"), (TREE, b"a"))),
    Hostile("unsorted files", listed((FILE, b"b"), (FILE, b"a"))),
    Hostile("unsorted folders", listed((TREE, b"a"), (FILE, b"a.b"))),
    Hostile("a name of 256 bytes", named(b"n" * 256)),
    Hostile("a path of 5,000 bytes", nested),
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_a_hostile_tree_is_refused(origin: ThrowAwayRepository, hostile: Hostile) -> None:
    commit = origin.commit_tree(hostile.build(origin))
    with Repository(origin.directory) as repository, pytest.raises(InvalidInput):
        repository.listing(repository.commit(commit).tree)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_the_walk_does_not_let_a_hostile_tree_in_by_the_back_door(
    origin: ThrowAwayRepository, hostile: Hostile
) -> None:
    """What an incremental build does with a change: compare, then check what is new."""
    before = origin.tree([(FILE, b"other", origin.blob(b"y"))])
    with Repository(origin.directory) as repository, pytest.raises(InvalidInput):
        check(
            sorted(change.new for change in repository.changes(before, hostile.build(origin)) if change.new)
        )


def test_a_tree_cut_short_is_refused(origin: ThrowAwayRepository) -> None:
    empty = origin.tree([])
    for raw in (b"100644 a\0short", b"100644 a", b"100644", b"\0" * 30):
        with Repository(origin.directory) as repository, pytest.raises(InvalidInput):
            list(repository.changes(empty, origin.literal("tree", raw)))


def test_modes_of_old_gits_are_read_as_today(origin: ThrowAwayRepository) -> None:
    blob = origin.blob(b"x")
    old, new = origin.tree([(b"100664", b"a", blob)]), origin.tree([(FILE, b"a", blob)])
    with Repository(origin.directory) as repository:
        assert repository.listing(old) == repository.listing(new) == [Entry(b"a", FILE, blob)]
        assert list(repository.changes(old, new)) == []
        assert check([Entry(b"a", b"100664", blob)]) == [Entry(b"a", FILE, blob)]


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(InvalidInput, match="a has the unknown mode 100600"):
        check([Entry(b"a", b"100600", "1" * 40)])


def test_the_malformed_name_is_in_the_error() -> None:
    with pytest.raises(InvalidInput, match=r"x/\.GIT/config has the name|x/\.GIT has the name"):
        parse_listing(b"100644 blob " + b"1" * 40 + b"\tx/.GIT/config\0")


def test_a_name_with_a_slash_is_listed_as_the_path_it_spells_and_no_shortcut_is_taken(
    origin: ThrowAwayRepository,
) -> None:
    flat = named(b"a/b")(origin)
    with Repository(origin.directory) as repository:
        assert [entry.path for entry in repository.listing(flat)] == [b"a/b"]
        with pytest.raises(InvalidInput, match="a '/'"):
            list(repository.changes(origin.tree([]), flat))


# What differs between two trees

NAMES = [b"a", b"b", b"a.b", b"a-b", b"\xff", b"n\n"]
MODES = [b"100644", b"100755", b"120000"]


def random_tree(dice: random.Random, files: dict[bytes, File]) -> dict[bytes, File]:
    """The next commit of a random history: files come, go, change, move, and turn into folders and back."""
    files = dict(files)
    for _ in range(dice.randrange(4)):
        path = b"/".join(dice.choices(NAMES, k=dice.randrange(1, 5)))
        action = dice.randrange(4)
        if action == 0 and files:
            del files[dice.choice(sorted(files))]
        elif action == 1 and files:
            moved = files.pop(dice.choice(sorted(files)))
            files = _placed(files, path, moved)
        elif action == 2 and files:
            prefix = dice.choice(sorted(files)).rpartition(b"/")[0]
            files = {
                name: file for name, file in files.items() if not prefix or not name.startswith(prefix + b"/")
            }
        else:
            files = _placed(files, path, File(b"%d" % dice.randrange(5), dice.choice(MODES)))
    return files


def _placed(files: dict[bytes, File], path: bytes, file: File) -> dict[bytes, File]:
    """In place of whatever is a folder there, or a file further up."""
    kept = {
        name: old
        for name, old in files.items()
        if name != path and not name.startswith(path + b"/") and not path.startswith(name + b"/")
    }
    return kept | {path: file}


def git_changes(origin: ThrowAwayRepository, old: str, new: str) -> set[Change]:
    words = origin.git("diff-tree", "-r", "-z", "--no-renames", old, new).split(b"\0")[:-1]
    found = set()
    for meta, path in zip(words[::2], words[1::2], strict=True):
        old_mode, new_mode, old_id, new_id, _ = meta.removeprefix(b":").split()
        before = None if old_mode == b"000000" else Entry(path, old_mode, old_id.decode())
        after = None if new_mode == b"000000" else Entry(path, new_mode, new_id.decode())
        found.add(Change(path, before, after))
    return found


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_the_walk_finds_what_git_finds_in_any_history(tmp_path: Path, object_format: str) -> None:
    dice = random.Random(object_format)
    origin = ThrowAwayRepository(tmp_path / "repository", object_format=object_format)
    files: dict[bytes, File] = {}
    trees = []
    with Repository(origin.directory) as repository:
        for _ in range(60):
            files = random_tree(dice, files)
            trees.append(repository.commit(origin.commit(files)).tree)
            assert [tuple(entry) for entry in repository.listing(trees[-1])] == git_listing(origin, trees[-1])
        for _ in range(120):
            old, new = dice.choice(trees), dice.choice(trees)
            found = list(repository.changes(old, new))
            by_path = merged(found)
            assert by_path == git_changes(origin, old, new)


def merged(changes: list[Change]) -> set[Change]:
    """Each path once: git joins what became of a file and of the folder of its name, too."""
    assert len({change.path for change in changes}) == len(changes)
    return set(changes)


class CountingReader:
    """Reads trees, and knows which."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.opened: list[str] = []

    def __call__(self, oid: str) -> bytes:
        self.opened.append(oid)
        return self._repository.run(["cat-file", "tree", oid])


def test_only_trees_that_differ_are_opened(origin: ThrowAwayRepository) -> None:
    files = {f"{a}/{b}/{c}": b"x" for a in range(5) for b in range(5) for c in range(5)}
    first = origin.commit(files)
    second = origin.commit({**files, "2/3/4": b"y"})
    with Repository(origin.directory) as repository:
        reader = CountingReader(repository)
        trees = (repository.commit(first).tree, repository.commit(second).tree)
        assert [change.path for change in differences(reader, *trees)] == [b"2/3/4"]
        assert len(reader.opened) == 6  # two roots, and the two of each folder on the way
        reader.opened.clear()
        assert list(differences(reader, trees[0], trees[0])) == []
        assert not reader.opened or set(reader.opened) == {trees[0]}


def test_a_folder_that_came_or_went_is_opened_on_its_side_alone(origin: ThrowAwayRepository) -> None:
    first = origin.commit({"a": b"x", "d/e/f": b"y", "d/g": b"z"})
    second = origin.commit({"a": b"x"})
    with Repository(origin.directory) as repository:
        trees = (repository.commit(first).tree, repository.commit(second).tree)
        gone = {(change.path, change.new) for change in repository.changes(*trees)}
        come = {(change.path, change.old) for change in repository.changes(*trees[::-1])}
    assert gone == come == {(b"d/e/f", None), (b"d/g", None)}


HOSTILE_NAMES = st.sampled_from(
    [b"a", b"b", b"a-", b".", b"..", b".git", b".GIT", b".gitx", b"...", b"", b"n" * 256]
)
HOSTILE_PATHS = st.lists(HOSTILE_NAMES, min_size=1, max_size=3).map(b"/".join)
ALL_MODES = st.sampled_from([b"100644", b"100755", b"120000", b"160000", b"100664", b"40000"])


@given(st.lists(st.tuples(HOSTILE_PATHS, ALL_MODES), max_size=4), st.booleans())
def test_what_is_refused_does_not_hang_on_how_it_is_found(
    found: list[tuple[bytes, bytes]], in_order: bool
) -> None:
    """The passes over all entries let through what a look at each one would."""
    entries = [Entry(path, mode, "1" * 40) for path, mode in (sorted(found) if in_order else found)]
    paths = [entry.path for entry in entries]
    names = [name for path in paths for name in path.split(b"/")]
    folders = {path[:at] for path in paths for at, letter in enumerate(path) if letter == ord("/")}
    sound = (
        paths == sorted(set(paths))
        and not any(name.lower() in (b"", b".", b"..", b".git") or len(name) > 255 for name in names)
        and folders.isdisjoint(paths)
        and all(entry.mode != b"40000" for entry in entries)
    )
    try:
        checked = check(list(entries))
    except InvalidInput:
        assert not sound
    else:
        assert sound
        assert [entry.mode for entry in checked] == [
            b"100644" if entry.mode == b"100664" else entry.mode for entry in entries
        ]
