"""What goes into the image: submodules, LFS pointers, attributes; path by path."""

from __future__ import annotations

import pytest

from buildkit.config.values import Holds
from buildkit.errors import InvalidInput
from buildkit.git.repository import Repository
from buildkit.git.tree import Entry
from buildkit.rules import attributes_in, find_pointers, rules_of
from buildkit.selection import PointerFile, Selected, fingerprint, lfs_content
from buildkit.testing.repositories import File, ThrowAwayRepository, executable, link, submodule

TRACK = b"*.bin filter=lfs diff=lfs merge=lfs -text\n"
OID = "a" * 64


def pointer(oid: str = OID, size: int = 5) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n".encode()


def selected(
    origin: ThrowAwayRepository, repository: Repository, files: dict[str, bytes | File], holds: Holds
) -> Selected:
    tree = repository.commit(origin.commit(files)).tree
    entries = repository.listing(tree)
    rules = rules_of(repository, holds, attributes_in(repository, tree, entries))
    kept = rules.wanted(entries)
    found = find_pointers(repository, tree, rules.candidates(kept), rules.lfs_include)
    return rules.apply(kept, found)


def paths(found: Selected) -> list[str]:
    return [entry.path.decode() for entry in found.entries]


def test_without_settings_everything_goes_in(origin: ThrowAwayRepository, repository: Repository) -> None:
    files: dict[str, bytes | File] = {"a": b"1", ".gitignore": b"*", "d/x": executable(b""), "l": link(b"a")}
    assert paths(selected(origin, repository, files, Holds())) == sorted(files)


def test_patterns_have_the_meaning_of_gitignore(origin: ThrowAwayRepository, repository: Repository) -> None:
    files: dict[str, bytes | File] = dict.fromkeys(
        ["a.py", "a.md", "docs/b.md", "docs/c.py", "src/docs/d"], b""
    )
    for holds, expected in (
        (Holds(exclude=("*.md",)), ["a.py", "docs/c.py", "src/docs/d"]),
        (Holds(exclude=("/docs/",)), ["a.md", "a.py", "src/docs/d"]),
        (Holds(include=("*.py", "!a.py")), ["docs/c.py"]),
        (Holds(include=("docs",), exclude=("*.md",)), ["docs/c.py", "src/docs/d"]),
    ):
        assert paths(selected(origin, repository, files, holds)) == expected


def test_a_submodule_is_refused_skipped_or_excluded(
    origin: ThrowAwayRepository, repository: Repository
) -> None:
    files: dict[str, bytes | File] = {"a": b"", "libs/m": submodule("1" * 40)}
    with pytest.raises(InvalidInput, match="libs/m is a submodule") as caught:
        selected(origin, repository, files, Holds())
    assert 'submodules = "skip"' in caught.value.remedy
    assert paths(selected(origin, repository, files, Holds(submodules="skip"))) == ["a"]
    assert paths(selected(origin, repository, files, Holds(exclude=("libs/",)))) == ["a"]


def test_pointers_are_kept_as_they_are_and_listed(
    origin: ThrowAwayRepository, repository: Repository
) -> None:
    files: dict[str, bytes | File] = {
        ".gitattributes": TRACK,
        "w.bin": pointer(),
        "small.bin": b"not a pointer",
        "w.txt": pointer(),
    }
    found = selected(origin, repository, files, Holds())
    assert paths(found) == [".gitattributes", "small.bin", "w.bin", "w.txt"]
    assert found.pointers == [PointerFile(b"w.bin", OID, 5)]
    assert not any(lfs_content(entry) for entry in found.entries)


def test_pointers_can_be_left_out(origin: ThrowAwayRepository, repository: Repository) -> None:
    files: dict[str, bytes | File] = {
        ".gitattributes": TRACK,
        "w.bin": pointer(),
        "small.bin": b"not a pointer",
    }
    found = selected(origin, repository, files, Holds(lfs_pointers="drop"))
    assert paths(found) == [".gitattributes", "small.bin"]
    assert found.pointers == [PointerFile(b"w.bin", OID, 5)]


def test_content_is_named_where_the_settings_say_so(
    origin: ThrowAwayRepository, repository: Repository
) -> None:
    """Tracked or not: the settings are enough. The other pointers are dropped."""
    files: dict[str, bytes | File] = {
        ".gitattributes": TRACK,
        "m/w.bin": pointer(),
        "m/plain": b"1",
        "m/odd": pointer("b" * 64),
        "x.bin": pointer(),
    }
    found = selected(origin, repository, files, Holds(lfs_include=("m/",), lfs_pointers="drop"))
    assert [(entry.path, lfs_content(entry)) for entry in found.entries] == [
        (b".gitattributes", None),
        (b"m/odd", PointerFile(b"m/odd", "b" * 64, 5)),
        (b"m/plain", None),
        (b"m/w.bin", PointerFile(b"m/w.bin", OID, 5)),
    ]


def test_a_pointer_that_another_program_has_to_undo_is_refused_where_it_is_included(
    origin: ThrowAwayRepository, repository: Repository
) -> None:
    text = pointer().replace(b"oid", b"ext-0-crypt sha256:" + b"c" * 64 + b"\noid")
    files: dict[str, bytes | File] = {".gitattributes": TRACK, "w.bin": text}
    assert paths(selected(origin, repository, files, Holds())) == [".gitattributes", "w.bin"]
    with pytest.raises(InvalidInput, match="ext-0-crypt"):
        selected(origin, repository, files, Holds(lfs_include=("*.bin",)))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({".gitattributes": TRACK, "sub/.gitattributes": b"*.bin -filter\n"}, ["w.bin"]),
        ({".gitattributes": TRACK, "sub/.gitattributes": b"w.bin !filter\n"}, ["w.bin"]),
        ({".gitattributes": b"[attr]big filter=lfs\n", "sub/.gitattributes": b"*.bin big\n"}, ["sub/w.bin"]),
        ({"sub/.gitattributes": TRACK}, ["sub/w.bin"]),
        ({".gitattributes": link(b"sub/w.bin"), "sub/.gitattributes": TRACK}, ["sub/w.bin"]),
        ({".gitattributes": submodule("1" * 40)}, []),
        ({".gitattributes": b"#" * (2 << 20) + b"\n" + TRACK}, []),
        ({".gitattributes/x": TRACK}, []),
        ({}, []),
    ],
)
def test_the_attributes_of_the_tree_say_what_is_tracked(
    origin: ThrowAwayRepository,
    repository: Repository,
    attributes: dict[str, bytes | File],
    expected: list[str],
) -> None:
    files: dict[str, bytes | File] = {**attributes, "w.bin": pointer(), "sub/w.bin": pointer()}
    found = selected(origin, repository, files, Holds(submodules="skip"))
    assert [pointer.path.decode() for pointer in found.pointers] == expected


def test_attributes_of_the_machine_do_not_count(origin: ThrowAwayRepository, repository: Repository) -> None:
    (origin.directory / ".git/info").mkdir(exist_ok=True)
    (origin.directory / ".git/info/attributes").write_bytes(TRACK)
    (origin.directory / "attributes").write_bytes(TRACK)
    origin.git("config", "core.attributesFile", str(origin.directory / "attributes"))
    assert selected(origin, repository, {"w.bin": pointer()}, Holds()).pointers == []


def test_links_and_large_files_are_no_pointers(origin: ThrowAwayRepository, repository: Repository) -> None:
    files: dict[str, bytes | File] = {
        ".gitattributes": TRACK, "l.bin": link(pointer()), "large.bin": pointer() + b"\n" * 2000, "e.bin": b"",
        "x.bin": executable(pointer()),
    }  # fmt: skip
    assert [p.path for p in selected(origin, repository, files, Holds()).pointers] == [b"x.bin"]


def test_a_file_that_is_missing_from_the_repository_is_no_pointer_and_no_crash(
    origin: ThrowAwayRepository, repository: Repository
) -> None:
    tree = repository.commit(origin.commit({"a.bin": b"1", "b.bin": pointer()})).tree
    entries = [Entry(b"0.bin", b"100644", "2" * 40), *repository.listing(tree)]
    assert list(find_pointers(repository, tree, entries, None)) == [b"b.bin"]


def test_only_settings_that_decide_the_entries_are_in_the_fingerprint() -> None:
    base = fingerprint(Holds())
    assert fingerprint(Holds(base="x", labels={"a": "b"}, cmd=("x",), source="y", workdir="/z")) == base
    others = [
        Holds(prefix="/x"), Holds(include=("a",)), Holds(exclude=("a",)), Holds(lfs_include=("a",)),
        Holds(lfs_pointers="drop"), Holds(submodules="skip"), Holds(case_collisions="refuse"),
    ]  # fmt: skip
    assert len({base, *map(fingerprint, others)}) == len(others) + 1
