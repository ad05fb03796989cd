"""Which wheel fits a target best, and in what way the others do not fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from buildkit.wheels.locks.checks import parse_wheel
from buildkit.wheels.locks.model import LockedWheel
from buildkit.wheels.target import LEGACY, Target

if TYPE_CHECKING:
    from packaging.tags import Tag

Ranks: TypeAlias = "Mapping[Tag, int]"
"""A target's tags with their places in its list: the lowest is the best."""
_LIBC = re.compile(r"(manylinux|musllinux)_(\d{1,4})_(\d{1,4})_(\w+)")
_OLD_NAMES = {name: version for version, name in LEGACY.items()}
_OLD = re.compile(rf"({'|'.join(_OLD_NAMES)})_(\w+)")


def ranks(target: Target) -> Ranks:
    """The target's tags, to choose by."""
    found: dict[Tag, int] = {}
    for rank, tag in enumerate(target.tags()):
        found.setdefault(tag, rank)
    return found


def best(wheels: Iterable[LockedWheel], ranks: Ranks) -> LockedWheel | None:
    """The wheel that installers would take: the best tag, then the highest build number, then the first named."""
    fitting = [(rank, wheel) for wheel in wheels if (rank := _rank(wheel.filename, ranks)) is not None]
    if not fitting:
        return None
    lowest = min(rank for rank, _ in fitting)
    highest = max(_build(wheel.filename) for rank, wheel in fitting if rank == lowest)
    return next(wheel for rank, wheel in fitting if rank == lowest and _build(wheel.filename) == highest)


def _rank(filename: str, ranks: Ranks) -> int | None:
    return min((ranks[tag] for tag in parse_wheel(filename)[2] if tag in ranks), default=None)


def _build(filename: str) -> tuple[int, str]:
    """PEP 427: "must start with a digit", and breaks ties."""
    parts = filename.removesuffix(".whl").split("-")
    found = re.match(r"(\d+)(.*)", parts[2]) if len(parts) == 6 else None
    return (int(found[1]), found[2]) if found else (-1, "")


class _Near(NamedTuple):
    """In which respects one tag of a wheel fits."""

    python: bool
    machine: bool
    libc: str


def reason(filenames: Sequence[str], target: Target) -> tuple[str, str]:
    """(why none of these wheels fits, what to do): the libc, the platform, the Python, in that order."""
    tags = [tag for name in filenames for tag in parse_wheel(name)[2]]
    pythons = {(tag.interpreter, tag.abi) for tag in target.tags()}
    near = [_near(tag, pythons, target) for tag in tags]
    libcs = sorted({each.libc for each in near if each.python and each.machine and each.libc}, key=_natural)
    if libcs:
        return _libc_reason(libcs, target)
    if any(each.python for each in near):
        there = _some({tag.platform for tag in tags})
        return (
            f"no wheel for the platform {target.platform} (there are {there})",
            "build for another platform, or lock a version that has such wheels",
        )
    there = _some({f"{tag.interpreter}-{tag.abi}" for tag in tags})
    also = "" if any(each.machine for each in near) else f", and none for {target.platform}"
    return (
        f"no wheel for this Python (there are {there}){also}",
        "use a base with one of these Pythons, or lock a version that has such wheels",
    )


def _near(tag: Tag, pythons: set[tuple[str, str]], target: Target) -> _Near:
    libc, version, machine = _platform(tag.platform)
    same = machine == target.machine or tag.platform in ("any", f"linux_{target.machine}")
    return _Near(
        (tag.interpreter, tag.abi) in pythons, same, f"{libc} {version[0]}.{version[1]}" if libc else ""
    )


def _platform(platform: str) -> tuple[str, tuple[int, int], str]:
    """(glibc or musl, its version, machine); empty for what is no platform of Linux."""
    if found := _LIBC.fullmatch(platform):
        return {"manylinux": "glibc", "musllinux": "musl"}[found[1]], (int(found[2]), int(found[3])), found[4]
    if found := _OLD.fullmatch(platform):
        return "glibc", _OLD_NAMES[found[1]], found[2]
    return "", (0, 0), ""


def _libc_reason(libcs: Sequence[str], target: Target) -> tuple[str, str]:
    own = target.libc.partition(" ")[0]
    newer = [each for each in libcs if own and each.startswith(own)]
    if newer:
        return (
            f"its wheels need {newer[0]} or later, and the base is too old with {target.libc}",
            f"use a base with {newer[0]} or later, or lock an older version",
        )
    has = target.libc or "no libc that is known"
    return (
        f"its wheels need {libcs[0]}, and the base has {has}",
        f"use a base with {libcs[0].partition(' ')[0]}",
    )


def _natural(libc: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", libc)]


def _some(names: set[str]) -> str:
    found = sorted(names)
    return ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
