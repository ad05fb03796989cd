"""The best wheel for a target, and errors that say which of Python, platform and libc is in the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.pylock import Pylock

from buildkit.config.toml import Place, load
from buildkit.errors import InvalidInput
from buildkit.image.platform import Platform
from buildkit.wheels.locks.model import Lock, LockedPackage, reasons, why
from buildkit.wheels.locks.pylock import read_pylock
from buildkit.wheels.locks.select import Wanted, select
from tests.buildkit.wheels_locks.support import BASE, HASH, package, pylock

ANY = "demo-1.0-py3-none-any.whl"
NATIVE = "demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
NAMES = [
    ANY,
    NATIVE,
    "demo-1.0-cp38-abi3-manylinux_2_28_x86_64.whl",
    "demo-1.0-cp311-cp311-manylinux_2_39_x86_64.whl",
    "demo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl",
    "demo-1.0-cp311-cp311-manylinux_2_17_aarch64.whl",
    "demo-1.0-cp312-cp312-manylinux_2_17_x86_64.whl",
    "demo-1.0-cp311-cp311-win_amd64.whl",
    "demo-1.0-py2.py3-none-any.whl",
    "demo-1.0-cp311-none-any.whl",
]


def chosen(*filenames: str) -> str:
    return select(Lock("pylock.toml", (package(*filenames),)), BASE).wheels[0].filename


def refusal(*packages: LockedPackage, target: object = BASE, **fields: object) -> InvalidInput:
    lock = Lock("pylock.toml", packages)._replace(**fields)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput) as caught:
        select(lock, target)  # type: ignore[arg-type]
    assert caught.value.remedy
    return caught.value


def test_the_best_tag_wins_and_build_numbers_break_ties() -> None:
    assert chosen(ANY, NATIVE) == NATIVE
    assert chosen(ANY, "demo-1.0-2-py3-none-any.whl", "demo-1.0-10-py3-none-any.whl").startswith(
        "demo-1.0-10"
    )


@given(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
def test_packaging_selects_the_same(names: list[str]) -> None:
    wheels = ", ".join(
        f'{{ url = "https://x.example/{name}", hashes = {{ sha256 = "{HASH}" }} }}' for name in names
    )
    sdist = f'{{ url = "https://x.example/demo-1.0.tar.gz", hashes = {{ sha256 = "{HASH}" }} }}'
    data = pylock(f'name = "demo"\nversion = "1.0"\nsdist = {sdist}\nwheels = [{wheels}]')
    found = Pylock.from_dict(load(data, Place("pylock.toml")))
    ((_, expected),) = found.select(environment=BASE.environment(), tags=BASE.tags())
    try:
        ours = select(read_pylock(data), BASE).wheels[0].filename
    except InvalidInput:
        ours = "demo-1.0.tar.gz"
    assert ours == getattr(expected, "filename")  # noqa: B009  # the union of packaging has it in two of five


@pytest.mark.parametrize(
    ("filename", "said"),
    [
        ("demo-1.0-cp311-cp311-manylinux_2_39_x86_64.whl", "glibc 2.39 or later, and the base is too old"),
        ("demo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl", "need musl 1.2, and the base has glibc 2.36"),
        ("demo-1.0-cp311-cp311-manylinux_2_17_aarch64.whl", "platform linux/amd64"),
        ("demo-1.0-cp311-cp311-win_amd64.whl", "there are win_amd64"),
        ("demo-1.0-cp312-cp312-manylinux_2_17_x86_64.whl", "this Python (there are cp312-cp312)"),
        ("demo-1.0-cp312-cp312-win_amd64.whl", "and none for linux/amd64"),
        ("demo-1.0-py2-none-any.whl", "this Python (there are py2-none)"),
        ("demo-1.0-cp311-cp311t-manylinux_2_17_x86_64.whl", "this Python (there are cp311-cp311t)"),
    ],
)
def test_the_error_says_what_is_in_the_way(filename: str, said: str) -> None:
    error = refusal(package(filename))
    assert said in error.what
    assert "demo" in error.what
    assert str(BASE) in error.what


def test_wheels_for_glibc_do_not_run_on_musl() -> None:
    error = refusal(package(NATIVE), target=BASE._replace(glibc=None, musl=(1, 2)))
    assert "need glibc 2.17, and the base has musl 1.2" in error.what


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"wheels": (), "sdist": True}, "only a source distribution"),
        ({"wheels": (), "source": "vcs"}, "a repository"),
        ({"wheels": (), "source": "directory", "directory": "libs/x"}, "'libs/x'"),
        ({"wheels": (), "source": "archive"}, "source archive"),
        ({"requires_python": ">=3.12"}, "needs Python >=3.12"),
        ({"requires_python": "what"}, "is none"),
        ({"marker": "platform_release >= '5' and nope == '1'"}, "cannot be evaluated"),
    ],
)
def test_packages_that_cannot_be_had_as_wheels(fields: dict[str, object], said: str) -> None:
    error = refusal(package(ANY, **fields))
    assert said in error.what
    assert "demo" in error.what


def test_the_lock_must_serve_the_target() -> None:
    assert "is for Python <3.11" in refusal(package(ANY), requires_python="<3.11").what
    assert "none of them" in refusal(package(ANY), environments=("sys_platform == 'win32'",)).what
    assert "two entries apply" in refusal(package(ANY), package(ANY)).what


def test_the_target_counts_and_not_the_host() -> None:
    lock = Lock(
        "l", (package("demo-1.0-cp39-cp39-manylinux_2_17_aarch64.whl", marker="python_version == '3.9'"),)
    )
    arm = BASE._replace(python="3.9.1", platform=Platform("linux", "arm64"))
    assert len(select(lock, arm).wheels) == 1
    assert select(lock, BASE).wheels == ()


def test_extras_and_groups_choose_by_markers() -> None:
    optional = package(ANY, marker="'gpu' in extras or 'dev' in dependency_groups")
    lock = Lock("l", (optional,), extras=("gpu",), groups=("dev", "Docs"), default_groups=("dev",))
    assert select(lock, BASE).wheels
    assert not select(lock, BASE, groups=()).wheels
    assert not select(lock, BASE, groups=["docs"]).wheels
    assert select(lock, BASE, extras=["GPU"], groups=()).wheels
    for asked in ({"extras": ["x"]}, {"groups": ["x"]}):
        with pytest.raises(InvalidInput, match="has no"):
            select(lock, BASE, **asked)


def test_what_the_commit_itself_provides_is_no_wheel() -> None:
    found = select(Lock("l", (package(source="directory", directory=".", wheels=()),)), BASE)
    assert (found.wheels, found.project) == ((), ("demo",))


def test_hashes_without_names_are_wanted() -> None:
    found = select(Lock("l", (package(hashes=("sha256:00",)),)), BASE)
    assert found.wanted == (Wanted("demo", "1.0", ("sha256:00",), "pylock.toml: demo"),)


def test_why_is_the_shortest_chain() -> None:
    edges = {"a": ("b", "c"), "b": ("c",), "c": ("d", "a"), "d": (), "e": ()}
    lock = Lock("l", tuple(LockedPackage(name, dependencies=below) for name, below in edges.items()))
    assert why(lock, "d") == "named in the lock", "nobody starts the circle"
    lone = Lock(
        "l", tuple(LockedPackage(n, dependencies=tuple(x for x in b if x != "a")) for n, b in edges.items())
    )
    assert why(lone, "d") == "a → c → d"
    assert why(lone, "d", ["a", "b", "d"]) == "named in the lock"
    assert why(lone, "e") == "named in the lock"


def test_a_lock_that_is_one_chain_is_explained_all_the_same() -> None:
    names = [f"p{at}" for at in range(2000)]
    packages = [LockedPackage(name, dependencies=(f"p{at + 1}",)) for at, name in enumerate(names)]

    found = reasons(Lock("pylock.toml", tuple(packages)), names)

    assert found["p2"] == "p0 → p1 → p2"
    assert found["p1999"].startswith("… → p")
    assert max(map(len, found.values())) < 400
