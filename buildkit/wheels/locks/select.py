"""One wheel for each package of a lock that a target needs; the lock is followed to the letter (PEP 751, installation).

The stages: does the lock serve this Python at all → which packages apply → the wheel of each that fits best. What a
requirements file asks for has no file names yet: it comes out as `Wanted`, and `index.py` chooses when an index was
asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from buildkit.errors import InvalidInput
from buildkit.wheels.locks import fit
from buildkit.wheels.locks.model import Lock, LockedPackage, LockedWheel, reasons
from buildkit.wheels.target import Target

_HOUSE = "build a wheel of it, put it where the lock can name it (an index, or a folder of the commit), and lock again"


class Wanted(NamedTuple):
    """A package whose file is not known yet: any wheel of this version that has one of these hashes."""

    name: str
    version: str
    hashes: tuple[str, ...]
    place: str = ""


class Selection(NamedTuple):
    """What a target gets of a lock, sorted by name. `project` are directories that the commit itself provides."""

    lock: Lock
    wheels: tuple[LockedWheel, ...]
    wanted: tuple[Wanted, ...] = ()
    project: tuple[str, ...] = ()

    def why(self, name: str) -> str:
        """Who asked for a package, through the packages that were selected."""
        return self.reasons([name])[name]

    def reasons(self, names: Iterable[str]) -> dict[str, str]:
        """The same of many at once: the whole lock is walked for it."""
        among = [*(each.name for each in self.wheels), *(each.name for each in self.wanted)]
        return reasons(self.lock, names, among)


def select(
    lock: Lock, target: Target, extras: Collection[str] = (), groups: Collection[str] | None = None
) -> Selection:
    """The wheels of `lock` for `target`, with these extras and dependency groups (None: the lock's default groups).

    Raises InvalidInput with the package, the target and what to do: the Python is not the lock's, two versions of a
    package apply, nothing but a source distribution or a repository is named, or no wheel fits.
    """
    _check_served(lock, target)
    chosen = _Choice(target, _extras(lock, extras), _groups(lock, groups))
    applied = _once([package for package in lock.packages if chosen.takes(package)], target)
    ranks = fit.ranks(target)
    wheels: list[LockedWheel] = []
    wanted: list[Wanted] = []
    project: list[str] = []
    for package in sorted(applied):
        if package.source == "directory" and package.directory == ".":
            project.append(package.name)
        elif package.hashes and not package.wheels:
            wanted.append(Wanted(package.name, package.version, package.hashes, package.place))
        else:
            wheels.append(_wheel(package, target, ranks))
    return Selection(lock, tuple(wheels), tuple(wanted), tuple(project))


class _Choice(NamedTuple):
    target: Target
    extras: frozenset[str]
    groups: frozenset[str]

    def takes(self, package: LockedPackage) -> bool:
        return not package.marker or self.holds(package.marker, package.place)

    def holds(self, marker: str, place: str) -> bool:
        from packaging.markers import Marker

        environment = {
            **self.target.environment(),
            "extras": self.extras,
            "dependency_groups": self.groups,
        }
        try:
            return Marker(marker).evaluate(environment, context="lock_file")  # type: ignore[arg-type]
        except (ValueError, KeyError, RecursionError):
            raise InvalidInput(
                f"{place}: the marker {marker[:120]!r} cannot be evaluated for {self.target}",
                "correct the marker",
            ) from None


def _check_served(lock: Lock, target: Target) -> None:
    if not _python_is(lock.requires_python, target, lock.source):
        raise InvalidInput(
            f"{lock.source} is for Python {lock.requires_python}, the base has {target}",
            "use a base with such a Python, or lock for the base's",
        )
    everything = _Choice(target, frozenset(), frozenset())
    if lock.environments and not any(everything.holds(each, lock.source) for each in lock.environments):
        raise InvalidInput(
            f"{lock.source} names the environments it is for, and {target} is none of them",
            "add the environment to those that are locked, and lock again",
        )


def _python_is(required: str, target: Target, place: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if not required:
        return True
    try:
        # A base with a release candidate is a Python like any other.
        return SpecifierSet(required).contains(target.python.removesuffix("+"), prereleases=True)
    except (InvalidSpecifier, ValueError):
        raise InvalidInput(
            f"{place}: requires-python {required[:80]!r} is none", "correct the lock"
        ) from None


def _extras(lock: Lock, extras: Collection[str]) -> frozenset[str]:
    from packaging.utils import canonicalize_name

    chosen = frozenset(map(canonicalize_name, extras))
    _refuse_unknown(chosen - frozenset(map(canonicalize_name, lock.extras)), "extra", lock, lock.extras)
    return chosen


def _groups(lock: Lock, groups: Collection[str] | None) -> frozenset[str]:
    """By the lock's own spelling: markers compare the names of groups as they are written."""
    from packaging.utils import canonicalize_name

    if groups is None:
        return frozenset(lock.default_groups)
    spelled = {str(canonicalize_name(name)): name for name in (*lock.groups, *lock.default_groups)}
    chosen = frozenset(map(canonicalize_name, groups))
    _refuse_unknown(chosen - spelled.keys(), "dependency group", lock, lock.groups)
    return frozenset(spelled[name] for name in chosen)


def _refuse_unknown(unknown: Collection[str], kind: str, lock: Lock, known: Sequence[str]) -> None:
    if unknown:
        raise InvalidInput(
            f"{lock.source} has no {kind} {', '.join(sorted(unknown))}",
            f"it has {', '.join(known)}" if known else f"lock again with that {kind}, or do not ask for it",
        )


def _once(packages: Sequence[LockedPackage], target: Target) -> list[LockedPackage]:
    """Each name once. Raises InvalidInput for two entries, and for a package of another Python."""
    seen: dict[str, LockedPackage] = {}
    for package in packages:
        if not _python_is(package.requires_python, target, package.place):
            raise InvalidInput(
                f"{package.place} {package.version} needs Python {package.requires_python}, the base has {target}",
                "use a base with such a Python, or lock for the base's",
            )
        if package.name in seen:
            versions = f"{seen[package.name].version or '?'} and {package.version or '?'}"
            raise InvalidInput(
                f"{package.place}: two entries apply to {target}: {versions}",
                "give them markers that exclude each other, and lock again",
            )
        seen[package.name] = package
    return list(seen.values())


def _wheel(package: LockedPackage, target: Target, ranks: fit.Ranks) -> LockedWheel:
    if package.source:
        what = {"vcs": "a repository", "directory": f"the directory {package.directory[:80]!r}"}
        raise InvalidInput(
            f"{package.place} is locked to {what.get(package.source, 'a source archive')}, and "
            f"{target} gets wheels only",
            _HOUSE,
        )
    if not package.wheels:
        raise InvalidInput(
            f"{package.place} {package.version} has only a source distribution, and "
            f"{target} gets wheels only",
            _HOUSE,
        )
    best = fit.best(package.wheels, ranks)
    if best is None:
        reason, remedy = fit.reason([wheel.filename for wheel in package.wheels], target)
        raise InvalidInput(f"{package.place} {package.version} has no wheel for {target}: {reason}", remedy)
    return best
