"""Which wheels share a layer: a pure function of their names and sizes.

Big wheels have a layer each, small ones share some, told by the hash of their name: then a new version, a wheel more
or a wheel less moves no other wheel to another layer. What is big is told by a size that doubles until few enough are
big; only where a wheel crosses it do others move with it. What extras and groups add to the project's own
requirements has layers apart, so that variants share all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

# Raise it with any change below: it is what tells cached plans of one partition from those of another.
VERSION = 1
# Bytes of a wheel from which it has a layer of its own, if few others are as large.
SMALLEST_BIG = 4 << 20
_MOST_BIG, _SHARED = 20, 8
_MOST_BIG_EXTRA, _SHARED_EXTRA = 4, 4
# All that a finest partition can have: what builds leave room for.
MOST_LAYERS = _MOST_BIG + _SHARED + _MOST_BIG_EXTRA + _SHARED_EXTRA
_FOLDS = (1, 2, 4)


class Sized(NamedTuple):
    """A wheel: `name` is the project's normal name, `size` that of its file in bytes, `extra` whether only the chosen
    extras or groups brought it."""

    name: str
    size: int
    extra: bool = False


class Scheme(NamedTuple):
    """The partition; `fold` divides the number of layers, for bases with many of their own."""

    fold: int = 1

    @classmethod
    def for_room(cls, room: int) -> Scheme:
        """The finest scheme with at most `room` layers, else the coarsest."""
        return next((cls(fold) for fold in _FOLDS if MOST_LAYERS // fold <= room), cls(_FOLDS[-1]))

    @property
    def most_layers(self) -> int:
        """How many there can be."""
        return MOST_LAYERS // self.fold

    def groups(self, wheels: Sequence[Sized]) -> list[tuple[str, list[Sized]]]:
        """The layers' names and what each holds, lowest first: what is largest changes most seldom, and costs most
        to unpack again when something below it changed. The order of `wheels` does not matter."""
        # Told apart for extras: however large they are, they move none of the others to another layer.
        extra = self._smallest_big([wheel.size for wheel in wheels if wheel.extra], _MOST_BIG_EXTRA)
        plain = self._smallest_big([wheel.size for wheel in wheels if not wheel.extra], _MOST_BIG)
        named: dict[str, list[Sized]] = {}
        for wheel in sorted(wheels):
            named.setdefault(self._name(wheel, extra if wheel.extra else plain), []).append(wheel)
        return sorted(named.items(), key=_order)

    def _smallest_big(self, sizes: Sequence[int], most: int) -> int:
        limit = SMALLEST_BIG
        while sum(size >= limit for size in sizes) > most // self.fold:
            limit *= 2
        return limit

    def _name(self, wheel: Sized, smallest_big: int) -> str:
        if wheel.size >= smallest_big:
            return f"wheel-{wheel.name}"
        kind, width = ("extra", _SHARED_EXTRA) if wheel.extra else ("wheels", _SHARED)
        return f"{kind}-{crc32(wheel.name.encode()) % (width // self.fold):02d}"


def _order(group: tuple[str, list[Sized]]) -> tuple[int, int, str]:
    """Big wheels first, by the power of two of their size: a few bytes more change no order."""
    name, wheels = group
    kind = name.partition("-")[0]
    if kind == "wheel":
        return 0, -wheels[0].size.bit_length(), name
    return 1 if kind == "wheels" else 2, 0, name
