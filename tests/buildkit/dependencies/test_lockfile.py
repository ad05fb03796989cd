"""The lock of a commit: which file it is, what belongs to it, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit.config.values import Holds
from buildkit.dependencies.lockfile import LockFiles, find, parse
from buildkit.errors import InvalidInput, NotFound
from buildkit.git.repository import Repository
from buildkit.testing.repositories import File, ThrowAwayRepository, link
from buildkit.wheels.locks.model import LOCK_LIMIT, Lock, NotALock
from tests.buildkit.dependencies.support import locked, pylock
from tests.buildkit.wheels_locks.support import PYPROJECT, UV_LOCK

SIX = locked("six")
LOCK = pylock(SIX)
NOTHING_SAID = Holds()
REQUIREMENTS = b"six==1.0 --hash=" + SIX.hashes[0].encode() + b"\n"


class Files:
    """A commit of these files; it notes what is asked for, and refuses what is too large."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []

    def __call__(self, path: str, limit: int) -> bytes | None:
        assert limit == LOCK_LIMIT
        self.asked.append(path)
        return self.files.get(path)


def found(files: Mapping[str, bytes], holds: Holds = NOTHING_SAID) -> LockFiles:
    """The lock of these files, which there has to be."""
    lock = find(Files(files), holds)
    assert lock is not None
    return lock


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["pylock.toml", "uv.lock", "requirements.txt"], "pylock.toml"),
        (["uv.lock", "requirements.txt"], "uv.lock"),
        (["requirements.txt", "pylock.dev.toml", "sub/pylock.toml", "poetry.lock"], "requirements.txt"),
    ],
)
def test_the_first_known_name_at_the_root_is_the_lock(names: list[str], expected: str) -> None:
    contents = {"pylock.toml": LOCK, "uv.lock": UV_LOCK, "requirements.txt": REQUIREMENTS}
    files = {name: contents.get(name, LOCK) for name in names} | {"pyproject.toml": PYPROJECT}
    assert found(files).path == expected


def test_without_a_lock_there_is_none() -> None:
    assert find(Files({"pyproject.toml": PYPROJECT, "sub/uv.lock": UV_LOCK}), Holds()) is None


def test_where_no_dependencies_are_wanted_nothing_is_read() -> None:
    read = Files({"pylock.toml": b"broken"})
    for holds in (Holds(dependencies=False), Holds(dependencies=False, lock="env/pylock.toml")):
        assert find(read, holds) is None
    assert read.asked == []


@pytest.mark.parametrize("path", ["env/pylock.toml", "pylock.gpu.toml", "deploy/locked.txt", "env/uv.lock"])
def test_the_settings_may_name_another(path: str) -> None:
    content = {"uv.lock": UV_LOCK, "locked.txt": REQUIREMENTS}.get(path.rpartition("/")[2], LOCK)
    files = {path: content, "pylock.toml": b"other", "env/pyproject.toml": PYPROJECT}
    lock = found(files, Holds(lock=path))
    assert lock.path == path
    assert "pylock.toml" not in lock.files
    assert isinstance(parse(lock, Holds(lock=path)), Lock)


def test_a_named_one_that_is_not_there_is_an_error_even_if_others_are() -> None:
    with pytest.raises(NotFound, match=r"the commit has no env/pylock\.toml"):
        find(Files({"pylock.toml": LOCK}), Holds(lock="env/pylock.toml"))


def test_a_named_one_of_no_known_kind_is_an_error_before_it_is_read() -> None:
    read = Files({"poetry.lock": b"x"})
    with pytest.raises(InvalidInput, match="is no known lock"):
        find(read, Holds(lock="poetry.lock"))
    assert read.asked == []


@pytest.mark.parametrize(
    ("lock", "beside"), [("uv.lock", "pyproject.toml"), ("a/b/uv.lock", "a/b/pyproject.toml")]
)
def test_a_uv_lock_is_nothing_without_its_project(lock: str, beside: str) -> None:
    holds = Holds(lock=lock)
    with pytest.raises(NotFound, match=f"no {beside}"):
        find(Files({lock: UV_LOCK, "other/pyproject.toml": PYPROJECT}), holds)
    both = found({lock: UV_LOCK, beside: PYPROJECT}, holds)
    assert dict(both.files) == {lock: UV_LOCK, beside: PYPROJECT}
    assert isinstance(parse(both, holds), Lock)


def test_a_uv_lock_brings_the_extras_and_groups_of_the_settings() -> None:
    lock = found({"uv.lock": UV_LOCK, "pyproject.toml": PYPROJECT})
    plain, more = parse(lock, Holds()), parse(lock, Holds(groups=("test",)))
    assert isinstance(plain, Lock)
    assert isinstance(more, Lock)
    assert {each.name for each in plain.packages} < {each.name for each in more.packages}


def test_what_a_requirements_file_includes_belongs_to_it() -> None:
    files = {
        "requirements.txt": b"-r env/base.txt\n" + REQUIREMENTS,
        "env/base.txt": b"-c limits/all.txt\n--requirement=../no.txt\n",
        "env/limits/all.txt": b"six<2\n",
        "unrelated.txt": b"x",
    }
    with pytest.raises(InvalidInput, match=r"env/base\.txt:2 includes a file that is not of this commit"):
        found(files)
    files["env/base.txt"] = b"-c limits/all.txt\n--requirement=more.txt\n"
    files["env/more.txt"] = REQUIREMENTS.replace(b"six", b"idna")
    lock = found(files)
    assert set(lock.files) == {"requirements.txt", "env/base.txt", "env/limits/all.txt", "env/more.txt"}
    made = parse(lock, Holds())
    assert isinstance(made, Lock)
    assert sorted(each.name for each in made.packages) == ["idna", "six"]


def test_an_included_file_that_is_missing_is_named_with_its_line() -> None:
    with pytest.raises(
        InvalidInput, match=r"requirements\.txt:2 includes env/base\.txt, which the commit does not"
    ):
        found({"requirements.txt": REQUIREMENTS + b"-r env/base.txt\n"})


def test_files_that_include_each_other_are_read_once() -> None:
    read = Files(
        {
            "requirements.txt": REQUIREMENTS + b"-r other.txt\n",
            "other.txt": b"-r requirements.txt\n-r other.txt\n",
        }
    )
    lock = find(read, Holds())
    assert lock is not None
    assert read.asked.count("other.txt") == read.asked.count("requirements.txt") == 1
    assert set(lock.files) == {"requirements.txt", "other.txt"}
    assert isinstance(parse(lock, Holds()), Lock)


def test_a_chain_of_many_files_is_refused_as_such() -> None:
    files = {f"r{number}.txt": b"-r r%d.txt\n" % (number + 1) for number in range(1000)}
    files["requirements.txt"] = REQUIREMENTS + b"-r r0.txt\n"
    read = Files(files)
    with pytest.raises(InvalidInput, match=r"r\d+\.txt:1: more than \d+ files are included"):
        find(read, Holds())
    assert len(read.asked) < 70


def test_files_that_are_too_large_together_are_refused() -> None:
    part = b"#" * (LOCK_LIMIT // 3)
    files = {f"r{number}.txt": part for number in range(4)}
    files["requirements.txt"] = b"".join(b"-r %s\n" % name.encode() for name in files)
    with pytest.raises(InvalidInput, match=f"includes more than {LOCK_LIMIT} bytes"):
        find(Files(files), Holds())


def test_as_many_files_as_anybody_has_are_read() -> None:
    files = {f"r{number}.txt": REQUIREMENTS.replace(b"six", b"p%d" % number) for number in range(50)}
    files["requirements.txt"] = b"".join(b"-r r%d.txt\n" % number for number in range(50))
    made = parse(found(files), Holds())
    assert isinstance(made, Lock)
    assert len(made.packages) == 50


def test_requirements_without_hashes_are_no_lock_and_no_error() -> None:
    made = parse(found({"requirements.txt": b"six>=1\n-r more.txt\n", "more.txt": b"idna\n"}), Holds())
    assert isinstance(made, NotALock)


NAMES = ["requirements.txt", "a.txt", "sub/a.txt", "sub/b.txt"]
CONTENTS = st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=3))


@settings(max_examples=300, deadline=None)
@given(st.tuples(st.sampled_from(NAMES), CONTENTS), st.tuples(st.sampled_from(NAMES), CONTENTS))
def test_the_fingerprint_is_of_the_paths_and_contents(
    one: tuple[str, dict[str, bytes]], other: tuple[str, dict[str, bytes]]
) -> None:
    same = LockFiles(*one).fingerprint == LockFiles(*other).fingerprint
    assert same is (one == other)
    assert LockFiles(one[0], dict(reversed(one[1].items()))).fingerprint == LockFiles(*one).fingerprint


def test_the_fingerprint_changes_with_an_included_file_and_with_no_other() -> None:
    files = {
        "requirements.txt": REQUIREMENTS + b"-c limits.txt\n",
        "limits.txt": b"six<2",
        "readme.txt": b"1",
    }
    first = found(files).fingerprint
    assert found(files | {"readme.txt": b"2"}).fingerprint == first
    assert found(files | {"limits.txt": b"six<3"}).fingerprint != first
    assert found({"pylock.toml": LOCK} | files).fingerprint != first


@pytest.mark.parametrize("path", ["pylock.toml", "env/pylock.toml", "a/b/pylock.toml"])
def test_a_symbolic_link_is_no_lock(origin: ThrowAwayRepository, repository: Repository, path: str) -> None:
    """Git would hand out its target as if that were the lock."""
    files: dict[str, bytes | File] = {path: link(b"/etc/passwd"), "other": b"x"}
    origin.commit(files)
    read = partial(repository.small_file, repository.commit("HEAD").tree)
    with pytest.raises(InvalidInput, match=f"{path} in the commit is a symbolic link"):
        find(read, Holds(lock=path))


def test_nothing_is_read_through_a_link_to_a_folder(
    origin: ThrowAwayRepository, repository: Repository
) -> None:
    files: dict[str, bytes | File] = {"real/pylock.toml": LOCK, "env": link(b"real")}
    origin.commit(files)
    read = partial(repository.small_file, repository.commit("HEAD").tree)
    with pytest.raises(NotFound):
        find(read, Holds(lock="env/pylock.toml"))
    assert find(read, Holds(lock="real/pylock.toml")) is not None


def test_an_included_file_that_is_a_link_is_refused(
    origin: ThrowAwayRepository, repository: Repository
) -> None:
    files: dict[str, bytes | File] = {
        "requirements.txt": REQUIREMENTS + b"-r env/more.txt\n",
        "env/more.txt": link(b"../secret"),
    }
    origin.commit(files)
    read = partial(repository.small_file, repository.commit("HEAD").tree)
    with pytest.raises(InvalidInput, match=r"env/more\.txt in the commit is a symbolic link"):
        find(read, Holds())
