"""From commit to layer keys: the cheap road and the long one give the same answer, in any history."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from buildkit.cache import Cache, NoCache
from buildkit.config.values import Holds
from buildkit.errors import InvalidInput
from buildkit.git.repository import Repository
from buildkit.layering import Layerer, Layering
from buildkit.layers.partition import Scheme
from buildkit.plan import Snapshot
from buildkit.testing.repositories import File, ThrowAwayRepository, executable, link, submodule

FINE = Scheme()


def pointer(name: str) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{name * 64}\nsize 12345\n".encode()


class CountingRepository(Repository):
    """Knows how often the whole tree was listed."""

    listings = 0

    def listing(self, tree: str) -> list:  # type: ignore[type-arg]
        self.listings += 1
        return super().listing(tree)


def fresh(repository: Repository, holds: Holds, commit: str, scheme: Scheme = FINE) -> Snapshot:
    return (
        Layerer(repository, holds, lambda: scheme, NoCache())
        .lay_out(repository.commit(commit))
        .snapshot._replace(listing="")
    )


def incremental(
    repository: Repository, holds: Holds, commit: str, cache: Cache, scheme: Scheme = FINE
) -> Layering:
    """As a build does: laid out, and remembered for the next."""
    layerer = Layerer(repository, holds, lambda: scheme, cache)
    found = repository.commit(commit)
    layering = layerer.lay_out(found)
    layerer.remember(found, layering, layering.snapshot.slots)
    # Where it was laid out from is of no matter to what it is.
    return layering._replace(snapshot=layering.snapshot._replace(listing=""))


NAMES = [b"a.py", b"b.png", b"c", b"vendor", b"d-e", b"\xff", b"n\n", b"w.bin", b"sub", b"skip"]
ATTRIBUTES = [
    b"*.bin filter=lfs diff=lfs merge=lfs -text\n", b"*.bin -filter\n", b"[attr]big filter=lfs\n*.png big\n",
    b"* text\n",
]  # fmt: skip
CONTENTS: list[bytes | File] = [
    b"1", b"2", b"", pointer("a"), pointer("b"), executable(b"1"), link(b"x"), link(b"../../x"), submodule("1" * 40),
]  # fmt: skip


def edited(dice: random.Random, files: dict[bytes, bytes | File]) -> dict[bytes, bytes | File]:
    """The next commit: some files come, change, go or move; folders become files and back; attributes change."""
    files = dict(files)
    for _ in range(dice.randrange(1, 4)):
        path = b"/".join(dice.choices(NAMES, k=dice.randrange(1, 4)))
        action = dice.randrange(8)
        if action == 0 and files:
            del files[dice.choice(sorted(files))]
        elif action == 1 and files:
            files = placed(files, path, files.pop(dice.choice(sorted(files))))
        elif action == 2 and files:
            folder = dice.choice(sorted(files)).rpartition(b"/")[0] + b"/"
            files = {name: file for name, file in files.items() if not name.startswith(folder)}
        elif action == 3 and not dice.randrange(3):
            files = placed(
                files, dice.choice([b"", b"sub/", b"c/"]) + b".gitattributes", dice.choice(ATTRIBUTES)
            )
        else:
            files = placed(files, path, dice.choice(CONTENTS))
    return files


def placed(files: dict[bytes, bytes | File], path: bytes, file: bytes | File) -> dict[bytes, bytes | File]:
    kept = {
        name: old
        for name, old in files.items()
        if not (name + b"/").startswith(path + b"/") and not path.startswith(name + b"/")
    }
    return kept | {path: file}


SETTINGS = [
    Holds(submodules="skip"),
    Holds(submodules="skip", lfs_pointers="drop"),
    Holds(submodules="skip", lfs_include=("*.bin", "c/**")),
    Holds(submodules="skip", exclude=("skip/", "*.png", "!b.png"), prefix="/opt/x"),
    Holds(submodules="skip", include=("a.py", "sub/"), lfs_pointers="drop"),
]


@pytest.mark.parametrize("number", range(len(SETTINGS)))
@pytest.mark.parametrize("seed", [1, 2])
def test_any_history_converges_to_what_a_fresh_build_has(
    origin: ThrowAwayRepository, tmp_path: Path, seed: int, number: int
) -> None:
    dice = random.Random(f"{seed} {number}")
    holds, scheme = SETTINGS[number], Scheme(dice.choice([1, 8]))
    cache, derived = Cache(tmp_path / "cache"), 0
    files: dict[bytes, bytes | File] = {b"keep/%d" % n: b"%d" % n for n in range(20)}
    files[b".gitattributes"] = ATTRIBUTES[0]
    tips = [origin.commit(files)]
    states = {tips[0]: files}
    with Repository(origin.directory) as repository:
        for _ in range(30):
            parent = dice.choice(tips[-3:])
            states_after = edited(dice, states[parent])
            tips.append(origin.commit(states_after, parents=[parent]))
            states[tips[-1]] = states_after
            layering = incremental(repository, holds, tips[-1], cache, scheme)
            derived += layering.before is not None
            assert layering.snapshot == fresh(repository, holds, tips[-1], scheme)
    assert derived > 15


def test_attributes_are_remembered_over_more_than_one_step(
    origin: ThrowAwayRepository, tmp_path: Path
) -> None:
    """Two commits after the one that was listed, a new pointer is still known for one."""
    files: dict[bytes, bytes | File] = {b".gitattributes": ATTRIBUTES[0], b"a": b"1"}
    holds, cache = Holds(lfs_pointers="drop"), Cache(tmp_path / "cache")
    with CountingRepository(origin.directory) as repository:
        snapshots = []
        for number in range(4):
            files[b"%d.bin" % number] = pointer("a")
            snapshots.append(incremental(repository, holds, origin.commit(files), cache).snapshot)
        assert repository.listings == 1
    assert [found.path for found in snapshots[-1].pointers] == [b"0.bin", b"1.bin", b"2.bin", b"3.bin"]
    assert sum(slot.paths for slot in snapshots[-1].slots) == 2


def test_a_change_of_one_file_touches_one_layer_and_lists_nothing(
    origin: ThrowAwayRepository, tmp_path: Path
) -> None:
    files: dict[bytes, bytes | File] = {b"d%d/%d.py" % (n % 20, n): b"%d" % n for n in range(600)}
    cache = Cache(tmp_path / "cache")
    with CountingRepository(origin.directory) as repository:
        before = incremental(repository, Holds(), origin.commit(files), cache).snapshot
        after = incremental(repository, Holds(), origin.commit(files | {b"d3/3.py": b"other"}), cache)
        assert repository.listings == 1
    changed = [new.name for old, new in zip(before.slots, after.snapshot.slots, strict=True) if old != new]
    home = Scheme().homes(b"d3/3.py")[0]
    assert changed == [home]
    assert len(after.statements) == 1
    assert after.changed[home] == (b"d3/3.py",)


def test_the_same_tree_is_known_whatever_commit_it_is_in(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    with CountingRepository(origin.directory) as repository:
        first = incremental(repository, Holds(), origin.commit({"a": b"1"}), cache)
        again = incremental(
            repository, Holds(), origin.commit({"a": b"1"}, parents=[], message="other"), cache
        )
        assert repository.listings == 1
    assert again.snapshot == first.snapshot
    assert again.statements == {}


def test_settings_that_decide_the_content_do_not_share_snapshots(
    origin: ThrowAwayRepository, tmp_path: Path
) -> None:
    commit = origin.commit({"a.py": b"1", "b.png": b"2"})
    cache, seen = Cache(tmp_path / "cache"), set()
    with Repository(origin.directory) as repository:
        for holds in (Holds(), Holds(prefix="/x"), Holds(exclude=("*.png",)), Holds(include=("*.png",))):
            for scheme in (Scheme(1), Scheme(8)):
                snapshot = incremental(repository, holds, commit, cache, scheme).snapshot
                assert snapshot == fresh(repository, holds, commit, scheme)
                seen.add(snapshot)
    assert len(seen) == 8


@pytest.mark.parametrize("kind", ["snapshots", "listings", "statements"])
@pytest.mark.parametrize("how", ["removed", "damaged"])
def test_a_cache_that_lost_something_only_costs_time(
    origin: ThrowAwayRepository, tmp_path: Path, kind: str, how: str
) -> None:
    files: dict[bytes, bytes | File] = {b"%d" % n: b"%d" % n for n in range(200)}
    cache = Cache(tmp_path / "cache")
    with Repository(origin.directory) as repository:
        incremental(repository, Holds(), origin.commit(files), cache)
        incremental(repository, Holds(), origin.commit(files | {b"7": b"before"}), cache)
        assert any((tmp_path / "cache").rglob(f"{kind}/*/*"))
        for path in (tmp_path / "cache").rglob(f"{kind}/*/*"):
            path.unlink() if how == "removed" else path.write_bytes(path.read_bytes()[:-3])
        commit = origin.commit(files | {b"7": b"other"})
        layering = incremental(repository, Holds(), commit, cache)
        assert layering.snapshot == fresh(repository, Holds(), commit)
        layerer = Layerer(repository, Holds(), Scheme, cache)
        held = [
            entry
            for slot in layering.snapshot.slots
            for entry in layerer.entries(repository.commit(commit), layering, slot)
        ]
        assert sorted(held) == repository.listing(repository.commit(commit).tree)


def test_what_a_slot_holds_is_known_without_any_cache_too(origin: ThrowAwayRepository) -> None:
    commit = origin.commit({f"{n}": b"%d" % n for n in range(100)})
    with Repository(origin.directory) as repository:
        layerer = Layerer(repository, Holds(), Scheme, NoCache())
        found = repository.commit(commit)
        known = Layering(layerer.lay_out(found).snapshot)
        held = [entry for slot in known.snapshot.slots for entry in layerer.entries(found, known, slot)]
        assert sorted(held) == repository.listing(found.tree)


def test_a_damaged_ancestor_does_not_stop_a_build(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    first = origin.commit({"d/a": b"1"})
    second = origin.commit({"d/a": b"2"})
    with Repository(origin.directory) as repository:
        incremental(repository, Holds(), first, cache)
        old = repository.commit(first).tree
        (origin.directory / ".git/objects" / old[:2] / old[2:]).unlink()
    with Repository(origin.directory) as repository:
        assert incremental(repository, Holds(), second, cache).snapshot == fresh(repository, Holds(), second)


def test_trees_that_only_git_can_read_are_left_to_it(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    """Modes with a zero in front, as an old server wrote them."""
    cache, first = Cache(tmp_path / "cache"), origin.commit({"a": b"1"})
    blob = origin.blob(b"2")
    inner = origin.tree([(b"100644", b"x", blob)])
    second = origin.commit_tree(origin.tree([(b"100644", b"a", blob), (b"040000", b"d", inner)]), first)
    with Repository(origin.directory) as repository:
        incremental(repository, Holds(), first, cache)
        after = incremental(repository, Holds(), second, cache)
        assert after.snapshot == fresh(repository, Holds(), second)
        assert sum(slot.paths for slot in after.snapshot.slots) == 2


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({b"m": submodule("1" * 40)}, "is a submodule"),
        ({b".wh.x": b""}, "deletes a file"),
        ({b"d/.wh..wh..opq/x": b""}, "deletes a file"),
    ],
)
def test_what_cannot_be_shipped_is_refused_by_either_road(
    origin: ThrowAwayRepository, tmp_path: Path, files: dict[bytes, bytes | File], message: str, warm: bool
) -> None:
    cache = Cache(tmp_path / "cache")
    first = origin.commit({"a": b"1"})
    second = origin.commit({b"a": b"1", **files})
    with Repository(origin.directory) as repository:
        if warm:
            incremental(repository, Holds(), first, cache)
        with pytest.raises(InvalidInput, match=message):
            incremental(repository, Holds(), second, cache)
        excluded = Holds(exclude=("m", ".wh*"))
        assert sum(slot.paths for slot in fresh(repository, excluded, second).slots) == 1


def test_case_collisions_are_refused_on_request_even_between_old_and_new(
    origin: ThrowAwayRepository, tmp_path: Path
) -> None:
    cache, strict = Cache(tmp_path / "cache"), Holds(case_collisions="refuse")
    first, second = origin.commit({"d/a": b"1"}), origin.commit({"d/a": b"1", "D/b": b"2"})
    with Repository(origin.directory) as repository:
        incremental(repository, strict, first, cache)
        with pytest.raises(InvalidInput, match="letter case alone"):
            incremental(repository, strict, second, cache)
        incremental(repository, Holds(), second, cache)


def test_a_hostile_tree_is_refused_after_a_good_one(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    cache, first = Cache(tmp_path / "cache"), origin.commit({"a": b"1"})
    blob = origin.blob(b"1")
    evil = origin.commit_tree(origin.tree([(b"100644", b"..", blob), (b"100644", b"a", blob)]), first)
    with Repository(origin.directory) as repository:
        incremental(repository, Holds(), first, cache)
        with pytest.raises(InvalidInput, match=r"\.\."):
            incremental(repository, Holds(), evil, cache)


def test_a_partial_clone_has_the_keys_of_a_full_one(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    origin.git("config", "uploadpack.allowFilter", "true")
    origin.git("config", "uploadpack.allowAnySHA1InWant", "true")
    origin.commit({"a": b"1"})
    commit = origin.commit(
        {".gitattributes": ATTRIBUTES[0], "w.bin": pointer("a"), **{f"d/{n}": b"%d" % n for n in range(50)}}
    )
    origin.git(
        "clone", "-q", "--bare", "--filter=blob:none", "--depth=1", origin.url, str(tmp_path / "clone")
    )
    with Repository(origin.directory) as full, Repository(tmp_path / "clone") as partial:
        for holds in (Holds(), Holds(lfs_pointers="drop"), Holds(lfs_include=("*.bin",))):
            assert fresh(full, holds, commit) == fresh(partial, holds, commit)
        listed = partial.run(["rev-list", "--objects", "--missing=print", "--no-walk", f"{commit}^{{tree}}"])
        assert listed.count(b"?") == 50  # the attributes and the pointer came, nothing else
