"""Locks that cannot be followed, or not here: a message, its exit code, and nothing half-pushed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from buildkit.testing.index import faults
from tests.buildkit.wheels.support import wheel_bytes
from tests.end_to_end.complaints import complains
from tests.end_to_end.house import REFUSED, writes
from tests.end_to_end.locked import (
    CODE,
    Watched,
    Wheel,
    Yard,
    everything,
    of_wheels,
    pylock,
    python_base,
    requirements,
    small_lock,
    wheel,
)

UNREACHABLE = 4
SMALL = Path(__file__).parent / "locks" / "small"
SDIST = b"""\
lock-version = "1.0"
created-by = "a test"
[[packages]]
name = "source-only"
version = "2.0"
[packages.sdist]
name = "source_only-2.0.tar.gz"
url = "https://files.pythonhosted.org/source_only-2.0.tar.gz"
hashes = { sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
"""


@contextmanager
def nothing_sent(yard: Yard) -> Iterator[None]:
    """Neither the registry nor the layout is other than before, and no bytes were sent at all."""
    layout = everything(yard.treeship.home / "layout")
    stored = yard.stored()
    with Watched(yard.registry) as registry:
        yield
    assert writes(registry.requests) == []
    assert yard.stored() == stored
    assert everything(yard.treeship.home / "layout") == layout


def refused(yard: Yard, code: int, *says: str, more: tuple[str, ...] = (), base: str = "") -> str:
    """A build to the registry and one to a layout fail so, and so does `explain` where nothing has to be fetched for
    it; what it said."""
    with nothing_sent(yard):
        ran = yard.fails(*more, base=base)
        complains(ran, code, *says)
        complains(yard.fails("--to", "oci:layout:x", *more, base=base), code, *says)
    return ran.err


def test_a_wheel_with_another_hash(yard: Yard) -> None:
    yard.commit(small_lock())
    yard.index.files["beta-1.0-py3-none-any.whl"] = wheel("beta", "1.0", {"evil.py": b""}, size=100).data
    refused(yard, 2, "beta 1.0", "beta-1.0-py3-none-any.whl")
    yard.index.files["beta-1.0-py3-none-any.whl"] = small_lock()[1].data[:-1] + b"x"
    said = refused(yard, 2, "beta 1.0", small_lock()[1].sha256, "is locked")
    assert yard.index.host in said, "who gave it"
    assert not list((yard.treeship.cache / "wheels").rglob("beta*.whl"))


@pytest.mark.parametrize(
    ("tag", "says"),
    [
        ("cp312-cp312-manylinux_2_17_aarch64", ("linux/amd64", "aarch64")),
        ("cp312-cp312-win_amd64", ("linux/amd64", "win_amd64")),
        ("cp310-cp310-manylinux_2_17_x86_64", ("3.12", "cp310")),
        ("cp312-cp312-manylinux_2_38_x86_64", ("glibc 2.38", "glibc 2.36")),
        ("cp312-cp312-musllinux_1_2_x86_64", ("musl", "glibc")),
    ],
)
def test_no_wheel_for_the_base(yard: Yard, tag: str, says: tuple[str, ...]) -> None:
    """Of another machine, another Python, a later glibc: each is said, with what the base has."""
    yard.commit([*small_lock(), wheel("native", tag=tag)])
    with Watched(yard.index) as index:
        refused(yard, 2, "native 1.0", "pylock.toml", *says)
    assert index.requests == [], "it is known before anything is fetched"


def test_a_package_that_has_only_its_source(yard: Yard) -> None:
    yard.repository.commit({**CODE, "pylock.toml": SDIST})
    refused(yard, 2, "source-only 2.0", "source distribution", "build a wheel of it")


def test_two_wheels_that_write_one_path(yard: Yard) -> None:
    """Both are named; equal bytes are one file, as in namespace packages."""
    same = {"shared/__init__.py": b"", "shared/note.py": b"NOTE = 1\n"}
    one, two = wheel("one", files=same), wheel("two", files=same)
    yard.commit([one, two])
    assert len(of_wheels(yard.build(to="fine/app:main"))) in (1, 2)
    yard.commit([one, wheel("two", "1.1", files={**same, "shared/note.py": b"NOTE = 2\n"})])
    said = refused(yard, 2, "shared/note.py", "one-1.0", "two-1.1")
    assert "note.py" in said
    yard.commit([one, wheel("two", "1.2", files={"shared": b"a file"})])
    refused(yard, 2, "one-1.0", "two-1.2")


def test_a_clash_is_found_again_when_all_layers_are_known(yard: Yard) -> None:
    """Each of two wheels was built with others; together they clash, and no layer has to be made to see it."""
    mine = wheel("mine", files={"common.py": b"1\n"}, size=5 << 20)
    theirs = wheel("theirs", files={"common.py": b"2\n"}, size=5 << 20)
    for each in (mine, theirs):
        yard.commit([each])
        yard.build(to=f"alone/{each.name}:main")
    yard.commit([mine, theirs])
    with Watched(yard.index) as index:
        refused(yard, 2, "common.py", "mine-1.0", "theirs-1.0")
    assert index.requests == []


def test_a_yanked_wheel_is_used_with_a_note(yard: Yard) -> None:
    """PEP 592: a lock is a pin, and those who pinned it shall know."""
    yard.commit(small_lock())
    yard.index.yanked["gamma-1.0-py3-none-any.whl"] = "it deletes\x1b[31m files"
    ran = yard.treeship(*yard.words("build", "--index", yard.index.url, named=False))
    assert "gamma 1.0 (gamma-1.0-py3-none-any.whl) was yanked from its index: it deletes" in ran.err
    assert "\x1b[31m" not in ran.err
    assert len(of_wheels(ran.json)) == 5


def test_an_index_that_cannot_be_reached(yard: Yard) -> None:
    yard.commit(small_lock())
    words = yard.words("build", "--index", "http://127.0.0.1:1/simple/", named=False)
    with nothing_sent(yard):
        complains(yard.treeship(*words, code=None), UNREACHABLE, "alpha 1.0", "127.0.0.1:1")


def test_an_index_that_answers_with_errors(yard: Yard) -> None:
    yard.commit(small_lock())
    yard.index.faults.append(faults.Status(503, "GET unknown"))
    yard.index.faults.append(faults.Status(503, "GET file", times=faults.ALWAYS))
    refused(yard, UNREACHABLE, "answered 503", yard.index.host)
    yard.index.faults.clear()
    assert len(of_wheels(yard.build())) == 5


def test_a_host_that_the_settings_do_not_name(yard: Yard) -> None:
    """Whoever wrote the commit wrote its lock: it is not asked."""
    yard.commit(small_lock())
    words = yard.words("build", named=False)
    with nothing_sent(yard), Watched(yard.index) as index:
        complains(yard.treeship(*words, code=None), REFUSED, yard.index.host, "wheels.hosts")
    assert index.requests == []


def test_requirements_with_hashes_for_some(yard: Yard) -> None:
    wheels = yard.offer(small_lock())
    text = requirements(yard.index.url, wheels).decode().splitlines()
    text[-1] = text[-1].partition(" ")[0]
    yard.repository.commit({**CODE, "requirements.txt": "\n".join(text).encode()})
    refused(yard, 2, "requirements.txt:7", "zeta", "has no hash")


def test_requirements_without_hashes_are_no_lock(yard: Yard) -> None:
    """A note, and an image without dependencies: such files are in many repositories."""
    yard.repository.commit({**CODE, "requirements.txt": b"alpha\nbeta>=1\n"})
    ran = yard.treeship(*yard.words("build"))
    assert "requirements.txt is no lock, and no dependencies are built" in ran.err
    assert of_wheels(ran.json) == {}
    assert ran.json["dependencies"] is None


def test_a_base_without_python(yard: Yard, tiny_base: Path) -> None:
    yard.commit(small_lock())
    refused(yard, 2, "no Python", "--no-dependencies", base=f"oci:{tiny_base}")
    result = yard.build("--no-dependencies", base=f"oci:{tiny_base}")
    assert of_wheels(result) == {}


def test_what_the_base_has_already(yard: Yard, tmp_path: Path) -> None:
    """In the same version it is not brought again, which `explain` says; in another one it is an error."""
    base = python_base(tmp_path / "torch", {"alpha": "1.0", "zeta": "1.0.0"})
    yard.commit(small_lock())
    result = yard.build(base=f"oci:{base}")
    assert result["dependencies"]["carried"] == {"alpha": "1.0", "zeta": "1.0.0"}
    assert "wheel-alpha" not in of_wheels(result)
    words = tuple(word for word in yard.words("explain", base=f"oci:{base}") if word != "--json")
    assert "alpha 1.0 is in the base already" in yard.treeship(*words).out
    yard.commit(small_lock(alpha="1.1"))
    said = refused(yard, 2, "alpha 1.1", "has alpha 1.0", "lock alpha==1.0", base=f"oci:{base}")
    assert "dist-info" in said or "site-packages" in said, "where it is"


@pytest.mark.parametrize(
    ("lock", "says"),
    [
        (b"not toml [", "pylock.toml"),
        (b'lock-version = "2.0"\ncreated-by = "x"\npackages = []\n', "2.0"),
        (
            b'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "../x"\nversion = "1"\n',
            "pylock.toml",
        ),
    ],
)
def test_a_lock_that_is_none(yard: Yard, lock: bytes, says: str) -> None:
    yard.repository.commit({**CODE, "pylock.toml": lock})
    refused(yard, 2, says)


def _broken(change: Callable[[bytes], bytes]) -> Wheel:
    made = wheel("broken", size=1000)
    return made._replace(data=change(made.data))


@pytest.mark.parametrize(
    "change", [lambda data: data[:-30], lambda data: b"PK\x03\x04" + data[4:-200] + bytes(200), lambda data: data[:4]],
    ids=["cut", "no directory", "four bytes"],
)  # fmt: skip
def test_a_wheel_that_is_locked_as_it_is_and_is_broken(yard: Yard, change: Callable[[bytes], bytes]) -> None:
    """The hash is right: whoever locked it locked this."""
    yard.commit([*small_lock(), _broken(change)])
    refused(yard, 2, "broken-1.0-py3-none-any.whl")


def test_a_wheel_whose_record_is_not_true(yard: Yard) -> None:
    """It is seen while its layer is made, when others may be on their way: no manifest and no tag follows them."""
    made = wheel_bytes({"liar.py": b"1"}, name="liar", record="liar.py,sha256=%s,1\n" % ("A" * 43))
    yard.commit([*small_lock(), Wheel("liar-1.0-py3-none-any.whl", made)])
    before = yard.stored()
    complains(yard.fails(), 2, "liar-1.0-py3-none-any.whl", "RECORD")
    assert yard.stored() == before


def test_a_wheel_of_another_project_under_this_name(yard: Yard) -> None:
    other = wheel("innocent")
    yard.commit([Wheel("popular-1.0-py3-none-any.whl", other.data)])
    refused(yard, 2, "popular")


def test_a_lock_for_another_python(yard: Yard) -> None:
    yard.repository.commit(
        {**CODE, "pylock.toml": pylock("https://pypi.org/", small_lock(), head='requires-python = ">=3.13"')}
    )
    refused(yard, 2, ">=3.13", "3.12")


def test_extras_that_the_lock_does_not_have(yard: Yard) -> None:
    head = CODE["treeship.toml"]
    assert isinstance(head, bytes)
    yard.commit(small_lock(), {"treeship.toml": head + b'extras = ["nothing"]\n'})
    refused(yard, 2, "no extra nothing")


@pytest.mark.parametrize(
    ("project", "says"),
    [
        (lambda text: text.replace(b'"numpy"', b'"numpy>=99"'), "numpy>=99"),
        (lambda text: text.replace(b'"numpy",', b""), "numpy"),
        (lambda text: text.replace(b"==3.11.*", b">=3.12"), ">=3.12"),
        (lambda text: text + b'[dependency-groups]\ndev = ["six"]\n', "six"),
    ],
)
def test_a_uv_lock_that_is_not_in_step_with_its_project(
    yard: Yard, project: Callable[[bytes], bytes], says: str
) -> None:
    """uv itself exports it all the same; whoever edits pyproject.toml and forgets `uv lock` must not get old wheels."""
    files = {name: (SMALL / name).read_bytes() for name in ("pyproject.toml", "uv.lock")}
    yard.repository.commit({**CODE, **files, "pyproject.toml": project(files["pyproject.toml"])})
    refused(yard, 2, "not in step", says, "uv lock")


def test_a_uv_lock_without_its_project(yard: Yard) -> None:
    yard.repository.commit({**CODE, "uv.lock": (SMALL / "uv.lock").read_bytes()})
    refused(yard, 2, "uv.lock", "pyproject.toml")
