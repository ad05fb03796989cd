"""What would break on another base, by facts."""

from __future__ import annotations

import pytest

from buildkit.bases.facts import Cuda, Facts, Installed, Libc, Python, User
from buildkit.rebase.fit import misfits, remarks, wheels_in

SITE = ("/usr/local/lib/python3.12/site-packages",)
PYTHON = Python("/usr/local/bin/python3.12", "3.12.4", "", "cpython-312-x86_64-linux-gnu", "/usr/local", SITE,
                venv=False, externally_managed=False, installed=(Installed("numpy", "1.26", "", ""),), modules=(),
                lacks=())  # fmt: skip
FACTS = Facts(
    libc=Libc("glibc", "2.36", ""), cuda=Cuda("12.4", ""), pythons=(PYTHON,), python=PYTHON.path,
    users=(User("app", 1000, 1000, "/home/app"),),
)  # fmt: skip
NONE = Facts()


def python(**changed: object) -> Facts:
    other = PYTHON._replace(**changed)  # type: ignore[arg-type]
    return FACTS._replace(pythons=(other,), python=other.path)


def items(old: Facts, new: Facts, wheels: dict[str, str] | None = None) -> list[str]:
    return [misfit.item for misfit in misfits(old, new, wheels or {})]


@pytest.mark.parametrize(
    "new",
    [
        FACTS,
        python(version="3.12.11"),
        python(site=("/usr/lib/more", *SITE)),
        FACTS._replace(libc=Libc("glibc", "2.41", "elsewhere")),
        FACTS._replace(libc=Libc("glibc", "2.100", "")),
        FACTS._replace(cuda=Cuda("12.9", "")),
    ],
)
def test_what_is_newer_without_being_another_fits(new: Facts) -> None:
    assert items(FACTS, new) == []


@pytest.mark.parametrize(
    ("new", "item"),
    [
        (python(version="3.13.0"), "Python"),
        (python(version="3.1.0"), "Python"),
        (python(soabi="cpython-312d-x86_64-linux-gnu"), "the ABI of Python"),
        (python(soabi=""), "the ABI of Python"),
        (python(path="/usr/bin/python3.12"), "the path of Python"),
        (python(site=("/usr/lib/python3.12/site-packages",)), "site-packages"),
        (FACTS._replace(pythons=(), python=""), "Python"),
        (FACTS._replace(libc=Libc("glibc", "2.31", "")), "the C library"),
        (FACTS._replace(libc=Libc("musl", "1.2.5", "")), "the C library"),
        (FACTS._replace(libc=Libc("glibc", "", "")), "the C library"),
        (FACTS._replace(libc=None), "the C library"),
        (FACTS._replace(cuda=Cuda("13.0", "")), "CUDA"),
        (FACTS._replace(cuda=None), "CUDA"),
    ],
)
def test_what_would_break_is_named_in_either_direction(new: Facts, item: str) -> None:
    assert items(FACTS, new) == [item]
    if "2.31" not in str(new.libc):
        assert items(new, FACTS) == [item]


def test_an_older_c_library_is_below_a_newer_one_by_number() -> None:
    assert items(FACTS._replace(libc=Libc("glibc", "2.9", "")), FACTS) == []
    (misfit,) = misfits(FACTS, FACTS._replace(libc=Libc("glibc", "2.9", "")), {})
    assert str(misfit) == "the C library is glibc 2.36 in the old base and glibc 2.9 in the new one"


def test_without_a_python_in_either_there_is_nothing_to_break() -> None:
    assert items(NONE, Facts(libc=Libc("musl", "1.2", ""), cuda=Cuda("12", ""))) == []
    assert items(NONE, FACTS)[0] == "Python"


def test_a_distribution_that_the_new_base_has_in_another_version_than_the_image_is_refused() -> None:
    newer = python(installed=(Installed("NumPy", "2.3", "", ""),))
    assert items(python(installed=()), newer, {"numpy": "1.26"}) == ["numpy, of which the image has 1.26,"]
    assert items(python(installed=()), newer, {"numpy": "2.3"}) == []
    assert items(python(installed=()), newer, {"numpy": "2.3.0"}) == [], "the same version in other words"
    assert items(newer, newer, {"numpy": "1.26"}) == [], "it was so before"


def test_what_may_break_is_said() -> None:
    without = python(installed=())
    assert remarks(FACTS, without, {"torch": "2.9"}, "") == [
        "the old base brought numpy 1.26, the new one does not: wheels may count on it"
    ]
    assert remarks(FACTS, without, {}, "") == []
    assert remarks(FACTS, NONE, {}, "app:staff") == [
        "user app is 1000 in the old base and absent in the new one"
    ]
    assert remarks(FACTS, FACTS, {}, "app") == remarks(FACTS, NONE, {}, "1000") == []


def test_wheels_are_read_from_what_layers_say_of_themselves() -> None:
    assert wheels_in(["Foo_Bar==1 x==2", "", "rubbish =="]) == {"foo-bar": "1", "x": "2"}
