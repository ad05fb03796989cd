"""Layers of wheels are made: wheels are fetched, held against each other, and spliced into the spool."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from typing import BinaryIO, NamedTuple

from buildkit.assemble import BuiltLayer
from buildkit.cache import Cache
from buildkit.dependencies.clashes import Holding, refuse_clashes
from buildkit.dependencies.known import Known
from buildkit.dependencies.manner import Manner
from buildkit.dependencies.plan import WheelLayer, WheelPlan, sha256_of
from buildkit.dependencies.stage import Wheels
from buildkit.endpoints import Blob
from buildkit.errors import CorruptContent, InvalidInput
from buildkit.image.digest import Digest
from buildkit.layers.layer import Written
from buildkit.plan import PlannedLayer, Reason
from buildkit.spool import Spool
from buildkit.wheels.archive import Archive
from buildkit.wheels.fetch.model import FetchedWheel, title
from buildkit.wheels.fetch.ordered import in_order
from buildkit.wheels.fetch.verified import opened, reopened
from buildkit.wheels.locks.model import LockedWheel
from buildkit.wheels.record import normal, same_version
from buildkit.wheels.scheme import Scheme
from buildkit.wheels.slim import Slimmed

Ready = tuple[BuiltLayer, Callable[[], BinaryIO]]
"""A layer, and how to read it."""
_Key = tuple[str, Scheme, Manner]
# Of the 1,024 files that a process may usually have open, most.
_MOST_OPEN = 512
# Inflating and hashing leave Python's lock, and take all the time there is.
_AT_ONCE = max(1, min(4, os.cpu_count() or 1))


def ready_layers(
    wheels: Wheels,
    cache: Cache,
    spool: Spool,
    plans: Iterable[WheelPlan | None],
    planned: Sequence[PlannedLayer],
    offer: Callable[[Blob], None] | None,
) -> list[Ready]:
    """All layers of wheels of a build, in their order: what is not known is made, in `spool`.

    Each is given to `offer` as soon as it is made. InvalidInput where wheels of one image clash.
    """
    used = [plan for plan in plans if plan is not None]
    places = {layer.key: (layer, plan) for plan in used for layer in plan.layers}
    maker = WheelMaker(wheels, cache, spool, offer)
    for plan in used:
        if not _held_together(plan, planned):
            maker.check(plan)
    unknown = [each for each in planned if each.slot.written is None]
    maker.fetch([places[each.slot.key][0] for each in unknown])
    made = in_order(unknown, lambda each, _: maker.make(each, *places[each.slot.key]), _AT_ONCE)
    maker.remember_checked()
    by_key = {each.slot.key: ready for each, ready in zip(unknown, made, strict=True)}
    return [by_key.get(each.slot.key) or maker.known(each, *places[each.slot.key]) for each in planned]


def _held_together(plan: WheelPlan, planned: Sequence[PlannedLayer]) -> bool:
    """Whether one trusted image has all layers of a plan: then its build has held their wheels against each other."""
    keys = [layer.key for layer in plan.layers]
    return any(each.beside.issuperset(keys) for each in planned)


class _Opened(NamedTuple):
    """What a wheel installs, and how to close its archive."""

    slimmed: Slimmed
    closing: ExitStack


class WheelMaker:
    """Makes the dependency layers of one build, several at once. Wheels that layers of the spool refer to stay open as
    long as the spool; every read looks whether the file is still what was hashed."""

    def __init__(
        self, wheels: Wheels, cache: Cache, spool: Spool, offer: Callable[[Blob], None] | None = None
    ) -> None:
        self._wheels = wheels
        self._cache = cache
        self._spool = spool
        self._offer = offer
        self._opened: dict[_Key, _Opened] = {}
        self._checked: list[Digest] = []
        self._lock = threading.Lock()
        spool.held.callback(self._close)

    def check(self, plan: WheelPlan) -> None:
        """Hold all wheels of an image against each other. InvalidInput where two write one path, and not the same.

        Done once for each set of wheels.
        """
        if self._cache.get("wheel-sets", plan.key.hex) is not None:
            return
        held = {wheel: self._remembered(_key(wheel, plan)) for wheel in plan.wheels}
        unknown = [wheel for wheel, holding in held.items() if holding is None]
        for wheel, slimmed in zip(unknown, self._slimmed(unknown, plan), strict=True):
            held[wheel] = holding = Holding.of(slimmed.plan)
            self._cache.put("wheel-files", _name(_key(wheel, plan)), holding.dump())
        refuse_clashes([holding for holding in held.values() if holding is not None])
        self._checked.append(plan.key)

    def remember_checked(self) -> None:
        """The sets of wheels that were found to be without clashes."""
        for key in self._checked:
            self._cache.put("wheel-sets", key.hex, b"")

    def fetch(self, layers: Iterable[WheelLayer]) -> None:
        """Bring the wheels of these layers, many at once."""
        self._wheels.fetch([wheel for layer in layers for wheel in layer.wheels])

    def make(self, planned: PlannedLayer, layer: WheelLayer, plan: WheelPlan) -> Ready:
        """Make one layer; each of its files is held against its wheel's RECORD."""
        blob = self._spool.blob()
        made = plan.manner.write(self._slimmed(layer.wheels, plan), blob)
        known = Known(made.written, made.told)
        self._cache.put("wheel-layers", layer.key.hex, known.dump())
        built = BuiltLayer(layer.name, layer.key, made.written, {**planned.told, **made.told})
        if self._offer is not None:
            with self._lock:
                self._offer(Blob(built.descriptor, blob.open))
        return built, blob.open

    def known(self, planned: PlannedLayer, layer: WheelLayer, plan: WheelPlan) -> Ready:
        """A layer that was made before; it is made again only where a destination lacks it."""
        written = planned.slot.written
        assert written is not None
        built = BuiltLayer(layer.name, layer.key, written, planned.told)
        ours = planned.reason is Reason.CACHED
        return built, partial(self.again, layer, plan, written, ours=ours)

    def again(self, layer: WheelLayer, plan: WheelPlan, written: Written, *, ours: bool) -> BinaryIO:
        """Make a layer whose description was reused, since a destination turned out to lack it. From any thread.

        CorruptContent where the description was not true; where it is our own, the diff id is.
        """
        blob = self._spool.blob()
        slimmed = self._slimmed(layer.wheels, plan)
        if ours:
            plans = [each.plan for each in slimmed]
            made = plan.manner.write_known(plans, blob, written.diff_id)
        else:
            made = plan.manner.write(slimmed, blob).written
        if made != written:
            raise CorruptContent(
                f"layer {layer.name} was described as {written}, but its wheels give {made}",
                "the image it was reused from is not to be trusted: leave it out of --reuse-from, or give --no-reuse",
            )
        return blob.open()

    def _slimmed(self, wheels: Sequence[LockedWheel], plan: WheelPlan) -> list[Slimmed]:
        """What each wheel installs; its archive is open."""
        with self._lock:
            missing = [wheel for wheel in wheels if _key(wheel, plan) not in self._opened]
            for wheel, local in zip(missing, self._wheels.fetch(missing), strict=True):
                if local.sha256 != sha256_of(wheel):
                    raise CorruptContent(
                        f"{title(wheel)} has the sha256 {local.sha256}", "another one is locked"
                    )
                archive, closing = self._opened_archive(local)
                with closing:
                    slimmed = _as_locked(plan.manner.plan(archive, plan.scheme), wheel)
                    self._opened[_key(wheel, plan)] = _Opened(slimmed, closing.pop_all())
            return [self._opened[_key(wheel, plan)].slimmed for wheel in wheels]

    def _opened_archive(self, local: FetchedWheel) -> tuple[Archive, ExitStack]:
        """Open, as long as there is room for another open file; else opened for each read."""
        with ExitStack() as stack:
            if len(self._opened) >= _MOST_OPEN:
                return reopened(local), stack.pop_all()
            return stack.enter_context(opened(local)), stack.pop_all()

    def _close(self) -> None:
        for each in self._opened.values():
            each.closing.close()
        self._opened.clear()

    def _remembered(self, key: _Key) -> Holding | None:
        data = self._cache.get("wheel-files", _name(key))
        return Holding.load(data) if data else None


def _as_locked(slimmed: Slimmed, wheel: LockedWheel) -> Slimmed:
    """What else would say that the image has what its lock names?"""
    name, version = slimmed.plan.metadata
    if normal(name) != wheel.name or not same_version(version, wheel.version):
        raise InvalidInput(
            f"{title(wheel)} is a wheel of {name} {version}", "correct its address in the lock, or lock again"
        )
    return slimmed


def _key(wheel: LockedWheel, plan: WheelPlan) -> _Key:
    return sha256_of(wheel), plan.scheme, plan.manner


def _name(key: _Key) -> str:
    digest, scheme, manner = key
    return sha256(json.dumps([manner.recipe(), digest, *scheme]).encode()).hexdigest()
