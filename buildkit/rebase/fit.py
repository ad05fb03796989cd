"""Whether what stands on one base can stand on another, by the facts of both. Pure.

Wheels are chosen for a Python, its ABI, its folders, a C library and a CUDA; code is written for a Python. What is
known of one base alone is refused too: nobody can say that it fits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from buildkit.bases.facts import Facts, Python
from buildkit.wheels.record import normal, same_version


class Misfit(NamedTuple):
    """What does not fit, in the old base and in the new one; a side that has none is empty."""

    item: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.item} is {self.before or 'absent'} in the old base and {self.after or 'absent'} in the new one"


def misfits(old: Facts, new: Facts, wheels: Mapping[str, str]) -> list[Misfit]:
    """What would break above. `wheels` are those in the image, by name, with their versions.

    With no Python in either base there is nothing to break.
    """
    if old.chosen is None and new.chosen is None and not wheels:
        return []
    return [*_python(old.chosen, new), *_libc(old, new), *_cuda(old, new), *_carried(old, new, wheels)]


def remarks(old: Facts, new: Facts, wheels: Mapping[str, str], user: str) -> list[str]:
    """What may break above, for a person to judge. `user` is the image's."""
    name = user.partition(":")[0]
    ids = [{each.name: each.uid for each in facts.users}.get(name) for facts in (old, new)]
    found = []
    if name and not name.isdecimal() and ids[0] is not None and ids[0] != ids[1]:
        found.append(
            f"user {name} is {ids[0]} in the old base and {'absent' if ids[1] is None else ids[1]} in the new one"
        )
    if wheels:
        there = _versions(new.chosen)
        gone = [
            f"{each} {version}"
            for each, version in _versions(old.chosen).items()
            if not same_version(there.get(each, ""), version)
        ]
        found += [
            f"the old base brought {each}, the new one does not: wheels may count on it" for each in gone
        ]
    return found


def _python(python: Python | None, new: Facts) -> Iterator[Misfit]:
    other = new.chosen
    if python is None and other is None:
        return
    if python is None or other is None:
        yield Misfit("Python", _version(python), _version(other))
        return
    if _minor(python.version) != _minor(other.version):
        yield Misfit("Python", python.version, other.version)
    elif python.soabi != other.soabi:
        yield Misfit("the ABI of Python", python.soabi, other.soabi)
    else:
        # Console scripts name the interpreter; what is installed stands in its folders.
        if python.path not in [each.path for each in new.pythons]:
            yield Misfit("the path of Python", python.path, other.path)
        if not set(python.site) <= set(other.site):
            yield Misfit("site-packages", " ".join(python.site), " ".join(other.site))


def _libc(old: Facts, new: Facts) -> Iterator[Misfit]:
    before, after = (
        (f"{each.libc.family} {each.libc.version}".strip() if each.libc else "") for each in (old, new)
    )
    if before == after:
        return
    ours, theirs = old.libc, new.libc
    if (
        ours is None
        or theirs is None
        or ours.family != theirs.family
        or not (ours.version and theirs.version)
    ) or _numbers(theirs.version) < _numbers(ours.version):
        yield Misfit("the C library", before, after)


def _cuda(old: Facts, new: Facts) -> Iterator[Misfit]:
    before, after = ((each.cuda.version if each.cuda else "") for each in (old, new))
    if _numbers(before)[:1] != _numbers(after)[:1] or bool(before) != bool(after):
        yield Misfit("CUDA", before, after)


def _carried(old: Facts, new: Facts, wheels: Mapping[str, str]) -> Iterator[Misfit]:
    """Two versions of one distribution would lie in one folder, the new base's below the image's."""
    before, after = _versions(old.chosen), _versions(new.chosen)
    for name, version in wheels.items():
        if name in after and not same_version(after[name], version) and before.get(name) != after[name]:
            yield Misfit(f"{name}, of which the image has {version},", before.get(name, ""), after[name])


def wheels_in(told: Iterable[str]) -> dict[str, str]:
    """By normal name, from what the layers say of themselves: `numpy==2.3.4 scipy==1.16.2`."""
    pairs = (word.partition("==")[::2] for text in told for word in text.split())
    return {normal(name): version for name, version in pairs if name and version}


def _versions(python: Python | None) -> dict[str, str]:
    return {normal(each.name): each.version for each in reversed(python.installed)} if python else {}


def _version(python: Python | None) -> str:
    return python.version if python else ""


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]{1,9}", version)]
