"""The Python of a base, as dependencies need it: what fits it, where it keeps packages, what it has. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from buildkit.bases.base import Base
from buildkit.bases.facts import Facts, Libc, Python
from buildkit.errors import InvalidInput
from buildkit.wheels.record import normal
from buildkit.wheels.scheme import Scheme
from buildkit.wheels.target import Target

_SITE = re.compile(r"(/.*)/lib(?:64)?/(python3\.\d+)(t?)/(?:site|dist)-packages")
_SOABI = re.compile(r"(cpython|pypy|graalpy)\w*?-?(?:3\d+)?([td]*)(?:-.*)?")
_PAIR = re.compile(r"(\d{1,3})\.(\d{1,3})(?:\..*)?")


class Interpreter(NamedTuple):
    """`carried` are the distributions that the base has, by normal name: their version and the folder of their
    metadata."""

    target: Target
    scheme: Scheme
    carried: dict[str, tuple[str, str]]


def interpreter_of(base: Base, facts: Facts) -> Interpreter:
    """The one that `python` means in the base. InvalidInput where there is none, or none that wheels are known for."""
    python = facts.chosen
    if python is None:
        raise InvalidInput(
            f"the commit has a lock, and the base {base.reference} has no Python that could use its wheels",
            "use a base with Python on its PATH, or build with --no-dependencies",
        )
    carried = {normal(each.name): (each.version, each.path) for each in reversed(python.installed)}
    place = _place(base, python)
    return Interpreter(_target(base, facts, python, place[3]), _scheme(python, place), carried)


def _target(base: Base, facts: Facts, python: Python, flags: str) -> Target:
    """`flags` are those that the folder of its packages tells, for where the interpreter itself tells none."""
    implementation = "cpython"
    if python.soabi:
        found = _SOABI.fullmatch(python.soabi)
        implementation, flags = (found[1], found[2]) if found else (python.soabi, "")
    # Where the base tells no more than 3.11, markers about the third number are taken for its first release.
    version = python.version if python.version.count(".") > 1 else f"{python.version}.0"
    return Target(
        version,
        base.platform,
        glibc=_version(facts.libc, "glibc"),
        musl=_version(facts.libc, "musl"),
        implementation=implementation,
        flags=flags,
        cuda=facts.cuda.version if facts.cuda else "",
    )


def _version(libc: Libc | None, family: str) -> tuple[int, int] | None:
    found = _PAIR.fullmatch(libc.version) if libc and libc.family == family else None
    return (int(found[1]), int(found[2])) if found else None


def _place(base: Base, python: Python) -> re.Match[str]:
    """Where pip would install, as root: the first of the interpreter's own folders."""
    site = python.site[0] if python.site else ""
    found = _SITE.fullmatch(site)
    if found is None:
        raise InvalidInput(
            f"the base {base.reference} keeps packages in {site[:200]!r}, which is no folder that is known",
            "use a base whose Python has a lib/python3.N/site-packages, or build with --no-dependencies",
        )
    return found


def _scheme(python: Python, place: re.Match[str]) -> Scheme:
    """That folder, and what stands around it."""
    root = place[1]
    # As pip has it (_internal/locations/_sysconfig.py): in virtual environments free-threaded is no other folder.
    headers = f"site/{place[2]}" if python.venv else f"{place[2]}{place[3]}"
    return Scheme(
        purelib=place[0],
        platlib=place[0],
        scripts=f"{root}/bin",
        data=root,
        headers=f"{root}/include/{headers}",
        interpreter=python.path,
    )
