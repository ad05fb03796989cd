"""bases.lock: the parents by digest. Equal pins give equal bytes, sorted, one table for each base with a parent.

A digest in it was an answer of the registry. Where there was none, the parent stays unpinned: nothing is made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from buildkit.bases.dockerfiles.definitions import Definition, check_name
from buildkit.config import toml
from buildkit.errors import InvalidInput
from buildkit.image.digest import Digest
from buildkit.image.reference import parse_reference

BASES_LOCK = "bases.lock"
_HEAD = """\
# The parents of the bases, made by `treeship base pin`. An unpinned one has not been reached yet.
"""
_REMEDY = "remove it, and run `treeship base pin`"


class Pin(NamedTuple):
    """A parent, as bases.toml named it at the time, and the digest that the registry gave for it."""

    parent: str
    digest: Digest | None = None


def parse_lock(data: bytes, place: toml.Place) -> dict[str, Pin]:
    """Raises InvalidInput for anything that `dump_lock` would not write."""
    found = {}
    for name, table in toml.load(data, place).items():
        try:
            found[check_name(name)] = _pin(table)
        except InvalidInput as error:
            raise InvalidInput(f"{place}: [{name[:100]}]: {error.what}", _REMEDY) from None
    return found


def dump_lock(pins: Mapping[str, Pin]) -> bytes:
    """The text of a lock."""
    tables = [
        f'\n[{name}]\nparent = "{pin.parent}"\n'
        + (f'digest = "{pin.digest}"\n' if pin.digest else "unpinned = true\n")
        for name, pin in sorted(pins.items())
    ]
    return "".join((_HEAD, *tables)).encode()


def pin_of(definition: Definition, pins: Mapping[str, Pin]) -> Digest | None:
    """The digest that counts: one for another tag than the definition's own does not."""
    pin = pins.get(definition.name)
    return pin.digest if pin is not None and pin.parent == str(definition.parent) else None


def _pin(table: object) -> Pin:
    values = table if isinstance(table, dict) else {}
    parent, digest, unpinned = (values.get(key) for key in ("parent", "digest", "unpinned"))
    shape = {"parent", "unpinned"} if unpinned is True else {"parent", "digest"}
    if values.keys() != shape or not isinstance(parent, str) or not isinstance(digest, str | None):
        raise InvalidInput("no entry of a lock", _REMEDY)
    return Pin(str(parse_reference(parent)), Digest(digest) if digest is not None else None)
