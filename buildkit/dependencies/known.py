"""Layers of wheels that were made before, as the cache and the images of ancestors describe them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from buildkit.ancestors import Hint
from buildkit.cache import Cache
from buildkit.dependencies.manner import Manner
from buildkit.dependencies.plan import WheelLayer, WheelPlan
from buildkit.errors import InvalidInput
from buildkit.image.annotations import LAYER_PATHS, LAYER_WHEELS
from buildkit.image.digest import Digest
from buildkit.layers.layer import Written
from buildkit.plan import PlannedLayer, PlannedWheel, Reason, Slot


class Known(NamedTuple):
    """A layer, and what its making told: annotations of its descriptor."""

    written: Written
    told: Mapping[str, str]

    @property
    def paths(self) -> int:
        """The number of its files."""
        text = self.told.get(LAYER_PATHS, "")
        return int(text) if text.isdecimal() and len(text) < 10 else 0

    def dump(self) -> bytes:
        """For the cache."""
        return json.dumps((self.written, dict(self.told))).encode()

    @classmethod
    def load(cls, data: bytes) -> Known | None:
        """The inverse of `dump`; None where it is of another make."""
        try:
            (digest, diff_id, size), told = json.loads(data)
            return cls(Written(Digest(digest), Digest(diff_id), _count(size)), _strings(told))
        except (ValueError, TypeError, RecursionError, InvalidInput):
            return None


def look_up(
    plans: Sequence[WheelPlan], cache: Cache, hints: Callable[[], Mapping[Digest, Hint]]
) -> tuple[PlannedLayer, ...]:
    """The layers of these plans, each once, with what is known of them: from the cache, else from `hints`."""
    layers = {layer.key: (layer, plan) for plan in plans for layer in plan.layers}
    cached = {key: _cached(cache, key) for key in layers}
    offered = hints() if not all(cached.values()) else {}
    names = {hint.name for hint in offered.values()}
    return tuple(_planned(*pair, cached[key], offered.get(key), names) for key, pair in layers.items())


def _planned(
    layer: WheelLayer, plan: WheelPlan, cached: Known | None, hint: Hint | None, names: set[str]
) -> PlannedLayer:
    known = cached or (_of_hint(hint, plan.manner) if hint else None)
    wheels = tuple(
        PlannedWheel(wheel.name, wheel.version, wheel.size or 0, plan.why.get(wheel.name, ""))
        for wheel in layer.wheels
    )
    told = {LAYER_WHEELS: " ".join(f"{wheel.name}=={wheel.version}" for wheel in wheels)}
    if known is None:
        reason = Reason.CHANGED if layer.name in names else Reason.NEW
        return PlannedLayer(Slot(layer.name, layer.key, 0), reason, wheels=wheels, told=told)
    slot = Slot(layer.name, layer.key, known.paths, known.written)
    reason = Reason.CACHED if cached else Reason.ANCESTOR
    origin = hint.origin if hint else None
    beside = hint.beside if hint else frozenset()
    told |= known.told
    return PlannedLayer(slot, reason, origin=origin, wheels=wheels, told=told, beside=beside)


def _of_hint(hint: Hint, manner: Manner) -> Known | None:
    """From a trusted descriptor; None where it does not tell what it should."""
    told = manner.told_by(hint.annotations)
    return Known(hint.written, told) if told is not None else None


def _cached(cache: Cache, key: Digest) -> Known | None:
    data = cache.get("wheel-layers", key.hex)
    return Known.load(data) if data else None


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise TypeError("not a number of bytes")
    return value


def _strings(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError("not a table")
    return {str(key): str(item) for key, item in value.items()}
