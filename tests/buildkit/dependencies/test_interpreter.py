"""The Python of a base: what fits it, and where it keeps packages."""

from __future__ import annotations

import pytest

from buildkit.bases.facts import Cuda, Facts, Installed, Libc, Python
from buildkit.dependencies.interpreter import Interpreter, interpreter_of
from buildkit.errors import InvalidInput
from buildkit.wheels import scheme
from buildkit.wheels.scheme import Scheme
from tests.buildkit.dependencies.support import AMD64, GLIBC, SLIM, facts, python, scratch

ABI = "cpython-{}-x86_64-linux-gnu"


def of(found: Python | None, libc: Libc | None = GLIBC) -> Interpreter:
    """What dependencies know of a base with it."""
    return interpreter_of(scratch(), facts(found, libc))


def places(root: str, site: str, include: str, path: str) -> Scheme:
    """Purelib and platlib are one."""
    return Scheme(site, site, f"{root}/bin", root, f"{root}/include/{include}", path)


DOCKER = python()
DEBIAN = python(
    "/usr/local/lib/python3.11/dist-packages", version="3.11.2", path="/usr/bin/python3.11",
    soabi=ABI.format(311), prefix="/usr",
)._replace(
    site=("/usr/local/lib/python3.11/dist-packages", "/usr/lib/python3/dist-packages",
          "/usr/lib/python3.11/dist-packages"),
)  # fmt: skip
VENV = python(
    "/opt/venv/lib/python3.12/site-packages", path="/opt/venv/bin/python", prefix="/opt/venv", venv=True
)
CONDA = python(
    "/opt/conda/lib/python3.12/site-packages", path="/opt/conda/bin/python3.12", prefix="/opt/conda"
)
FREE = python("/usr/local/lib/python3.13t/site-packages", version="3.13.1", soabi=ABI.format("313t"),
              path="/usr/local/bin/python3.13t")  # fmt: skip
FREE_VENV = FREE._replace(
    site=("/venv/lib/python3.13t/site-packages",), path="/venv/bin/python", prefix="/venv", venv=True
)
FEDORA = python("/usr/local/lib64/python3.12/site-packages", path="/usr/bin/python3.12", prefix="/usr")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (DOCKER, SLIM),
        (DEBIAN, places("/usr/local", DEBIAN.site[0], "python3.11", "/usr/bin/python3.11")),
        (VENV, places("/opt/venv", VENV.site[0], "site/python3.12", "/opt/venv/bin/python")),
        (CONDA, places("/opt/conda", CONDA.site[0], "python3.12", "/opt/conda/bin/python3.12")),
        (FREE, places("/usr/local", FREE.site[0], "python3.13t", "/usr/local/bin/python3.13t")),
        # pip leaves the ABI out here, and only here (pip._internal.locations._sysconfig).
        (FREE_VENV, places("/venv", FREE_VENV.site[0], "site/python3.13", "/venv/bin/python")),
        (FEDORA, places("/usr/local", FEDORA.site[0], "python3.12", "/usr/bin/python3.12")),
    ],
    ids=["docker", "debian", "venv", "conda", "free-threaded", "free-threaded venv", "fedora"],
)
def test_packages_go_where_pip_would_put_them(found: Python, expected: Scheme) -> None:
    assert of(found).scheme == expected
    assert scheme.check(expected) == expected


@pytest.mark.parametrize(
    ("found", "version", "flags", "first"),
    [
        (DOCKER, "3.12.4", "", "cp312-cp312-linux_x86_64"),
        (DEBIAN, "3.11.2", "", "cp311-cp311-linux_x86_64"),
        (FREE, "3.13.1", "t", "cp313-cp313t-linux_x86_64"),
        (FREE_VENV, "3.13.1", "t", "cp313-cp313t-linux_x86_64"),
        (FREE._replace(soabi=""), "3.13.1", "t", "cp313-cp313t-linux_x86_64"),
        (DOCKER._replace(soabi=ABI.format("312d")), "3.12.4", "d", "cp312-cp312d-linux_x86_64"),
        (FREE._replace(soabi=ABI.format("313td")), "3.13.1", "td", "cp313-cp313td-linux_x86_64"),
        (DOCKER._replace(soabi=""), "3.12.4", "", "cp312-cp312-linux_x86_64"),
        (DOCKER._replace(soabi="cpython-312"), "3.12.4", "", "cp312-cp312-linux_x86_64"),
        (DOCKER._replace(version="3.12"), "3.12.0", "", "cp312-cp312-linux_x86_64"),
        (DOCKER._replace(version="3.14.0rc1"), "3.14.0rc1", "", "cp314-cp314-linux_x86_64"),
    ],
)
def test_wheels_are_chosen_for_its_version_and_abi(
    found: Python, version: str, flags: str, first: str
) -> None:
    target = of(found).target
    assert (target.python, target.flags, target.implementation) == (version, flags, "cpython")
    assert (target.platform, target.glibc, target.musl) == (AMD64, (2, 36), None)
    assert str(target.tags()[0]) == first


def test_pypy_is_told_from_cpython_and_refused_by_name() -> None:
    target = of(DOCKER._replace(soabi="pypy310-pp73-x86_64-linux-gnu")).target
    with pytest.raises(InvalidInput, match="not selected for pypy"):
        target.check()


@pytest.mark.parametrize(
    ("libc", "glibc", "musl"),
    [
        (Libc("musl", "1.2.5", "test"), None, (1, 2)),
        (Libc("musl", "1.2", "test"), None, (1, 2)),
        (Libc("glibc", "2.36", "test"), (2, 36), None),
        (Libc("glibc", "", "test"), None, None),
        (Libc("glibc", "2.999999", "test"), None, None),
        (None, None, None),
    ],
)
def test_the_libc(libc: Libc | None, glibc: tuple[int, int] | None, musl: tuple[int, int] | None) -> None:
    target = of(DOCKER, libc).target
    assert (target.glibc, target.musl) == (glibc, musl)


def test_cuda_is_known_to_the_target() -> None:
    found = facts(DOCKER)._replace(cuda=Cuda("12.4.1", "test"))
    assert interpreter_of(scratch(), found).target.cuda == "12.4.1"


def test_what_the_base_has_is_known_by_normal_name_and_the_first_counts() -> None:
    """As in `import`: what lies in an earlier folder hides the later."""
    installed = (
        Installed("zope.Interface", "6.0", "/a/zope.dist-info", "pip"),
        Installed("six", "1.16.0", "/a/six.dist-info", "pip"),
        Installed("six", "1.15.0", "/b/six.dist-info", "debian"),
    )
    assert of(DOCKER._replace(installed=installed)).carried == {
        "zope-interface": ("6.0", "/a/zope.dist-info"),
        "six": ("1.16.0", "/a/six.dist-info"),
    }


def test_a_base_without_python_has_a_way_out() -> None:
    for found in (Facts(), facts(DOCKER)._replace(python="/other")):
        with pytest.raises(InvalidInput, match="has no Python") as caught:
            interpreter_of(scratch(), found)
        assert "--no-dependencies" in caught.value.remedy


@pytest.mark.parametrize(
    "site",
    [(), ("/usr/lib/python3/dist-packages",), ("/opt/packages",), ("relative/lib/python3.12/site-packages",),
     ("/usr/local/lib/python3.12/site-packages/",), ("/x\n/lib/python2.7/site-packages",)],
)  # fmt: skip
def test_an_unknown_layout_has_a_way_out(site: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match="keeps packages in") as caught:
        of(DOCKER._replace(site=site))
    assert "--no-dependencies" in caught.value.remedy
    assert "\n" not in caught.value.what
