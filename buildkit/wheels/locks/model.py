"""A lock in values: packages, their wheels, and who asked for them. All kinds of lock become this."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from buildkit.errors import InvalidInput

LOCK_LIMIT = 16 << 20
"""Bytes of a lock: those of hundreds of packages for many platforms have a few MB."""
# Longer ones help nobody, and a lock of thousands may be one chain.
_LONGEST_CHAIN = 32
PYLOCK, UV_LOCK, REQUIREMENTS = "pylock.toml", "uv.lock", "requirements.txt"


class LockedWheel(NamedTuple):
    """A wheel file. It is at `url`, or at `path` (relative to the commit's root).

    Its bytes must have one of `hashes` ("sha256:…", lower case); `size` is in bytes, where the lock says it.
    `index_url` is where the lock's tool found it, and says nothing about where the bytes are.
    """

    name: str
    version: str
    filename: str
    url: str = ""
    path: str = ""
    index_url: str = ""
    size: int | None = None
    hashes: tuple[str, ...] = ()


class LockedPackage(NamedTuple):
    """One entry of a lock. `name` is normal (PEP 503).

    `source` is "" for files of an index, else what it is instead: vcs, directory, archive; `directory` is that of a
    directory, relative to the commit's root. `hashes` are those of a package whose file names the lock does not say
    (requirements.txt). `dependencies` are names; `place` is where it is written.
    """

    name: str
    version: str = ""
    wheels: tuple[LockedWheel, ...] = ()
    sdist: bool = False
    marker: str = ""
    requires_python: str = ""
    dependencies: tuple[str, ...] = ()
    source: str = ""
    directory: str = ""
    hashes: tuple[str, ...] = ()
    place: str = ""


class Root(NamedTuple):
    """What asks for packages by itself: a project, or one of its groups or extras."""

    label: str
    dependencies: tuple[str, ...]


class Lock(NamedTuple):
    """What a lock says. `source` is its file; For requirements: `index_url` ("": the default one; None:
    no index), `extra_indexes` and `find_links` (URLs, or folders of the commit) are where their files are.

    `extras` and `groups` are those that can be selected; `default_groups` are selected where none are named.
    """

    source: str
    packages: tuple[LockedPackage, ...] = ()
    requires_python: str = ""
    environments: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    default_groups: tuple[str, ...] = ()
    roots: tuple[Root, ...] = ()
    index_url: str | None = ""
    extra_indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()


class NotALock(NamedTuple):
    """A requirements file without hashes: to be said as a warning, and no dependencies are built."""

    source: str
    why: str


def kind_of(path: str) -> str:
    """PYLOCK, UV_LOCK or REQUIREMENTS, told by the file's name (pylock.NAME.toml is PEP 751's)."""
    name = path.rpartition("/")[2]
    if name == PYLOCK or (name.startswith("pylock.") and name.endswith(".toml") and name.count(".") == 2):
        return PYLOCK
    if name == UV_LOCK:
        return UV_LOCK
    if name.endswith((".txt", ".in")):
        return REQUIREMENTS
    raise InvalidInput(
        f"{path[:200]!r} is no known lock", "name a pylock.toml, a uv.lock or a requirements .txt"
    )


def why(lock: Lock, name: str, among: Sequence[str] = ()) -> str:
    """As `reasons` has it for this package."""
    return reasons(lock, [name], among)[name]


def reasons(lock: Lock, names: Iterable[str], among: Sequence[str] = ()) -> dict[str, str]:
    """For each of these, the shortest chain of requirements that pulled it in, like "project → docker → requests".

    Only through packages of `among`, where it is given (those that were selected). Locks need not say who requires
    what: then it is "named in the lock".
    """
    allowed = frozenset(among or (package.name for package in lock.packages))
    edges: dict[str, list[str]] = {}
    for package in lock.packages:
        if package.name in allowed:
            edges.setdefault(package.name, []).extend(package.dependencies)
    starts = lock.roots or _unasked(edges)
    came_from: dict[str, str] = {}
    front = [(root.label, each) for root in starts for each in root.dependencies]
    while front:
        # Breadth first: the first way to reach a package is a shortest one.
        fresh = [(parent, each) for parent, each in front if each in allowed and each not in came_from]
        for parent, each in fresh:
            came_from.setdefault(each, parent)
        front = [
            (each, below) for each in dict.fromkeys(e for _, e in fresh) for below in edges.get(each, ())
        ]
    return {name: _chain(name, came_from) for name in names}


def _unasked(edges: dict[str, list[str]]) -> tuple[Root, ...]:
    asked = {each for found in edges.values() for each in found}
    return tuple(Root(name, tuple(below)) for name, below in edges.items() if name not in asked)


def _chain(name: str, came_from: dict[str, str]) -> str:
    chain, seen = [name], {name}
    while chain[-1] in came_from:
        if len(chain) == _LONGEST_CHAIN:
            chain.append("…")
            break
        chain.append(came_from[chain[-1]])
        if chain[-1] in seen:
            break
        seen.add(chain[-1])
    return " → ".join(reversed(chain)) if len(chain) > 1 else "named in the lock"
