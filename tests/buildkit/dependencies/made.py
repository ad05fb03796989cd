"""What a build makes of wheels, in a form that tests can look at."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from buildkit.cache import Cache
from buildkit.dependencies.known import look_up
from buildkit.dependencies.make import Ready, ready_layers
from buildkit.dependencies.manner import PLAIN, Manner
from buildkit.dependencies.partition import Scheme as Partition
from buildkit.dependencies.plan import WheelPlan, lay_out
from buildkit.endpoints import Blob
from buildkit.image.digest import Digest
from buildkit.plan import PlannedLayer
from buildkit.spool import Spool
from buildkit.wheels.locks.model import LockedWheel
from buildkit.wheels.scheme import Scheme
from buildkit.wheels.splice import SPLICED
from tests.buildkit.dependencies.support import SLIM, Shelf


def plan_of(*wheels: LockedWheel, scheme: Scheme = SLIM, manner: Manner = PLAIN) -> WheelPlan:
    """Each wheel in a layer of its own, but for `a` and `b`."""
    sizes = {wheel.name: 1 if wheel.name in ("a", "b") else 5 << 20 for wheel in wheels}
    layers = lay_out(wheels, sizes, lambda _: False, scheme, Partition(4), manner)
    return WheelPlan("pylock.toml", scheme, layers, (), {}, manner)


class Made:
    """What a build of one plan gave: its layers by name, and what it asked of whom."""

    def __init__(
        self,
        shelf: Shelf,
        plan: WheelPlan,
        cache: Cache,
        *,
        planned: Sequence[PlannedLayer] | None = None,
        more: Iterable[WheelPlan | None] = (),
    ) -> None:
        self.spool = Spool()
        self.offered: list[Blob] = []
        plans = [plan, *more]
        shelf.fetched.clear()
        self.planned = planned or look_up([each for each in plans if each], cache, dict)
        self.ready = ready_layers(shelf, cache, self.spool, plans, self.planned, self.offered.append)
        self.fetched = sorted(set(shelf.fetched))

    @property
    def digests(self) -> dict[str, Digest]:
        return {layer.name: layer.written.digest for layer, _ in self.ready}

    @property
    def made(self) -> list[str]:
        """The layers that were not known before."""
        return [layer.slot.name for layer in self.planned if layer.slot.written is None]

    def read(self, name: str) -> bytes:
        """The bytes of a layer."""
        return next(content(each) for each in self.ready if each[0].name == name)


def content(ready: Ready) -> bytes:
    """What a sink gets of a layer."""
    with ready[1]() as stream:
        return stream.read()


def three(shelf: Shelf, **versions: str) -> WheelPlan:
    """A large wheel, and two that share a layer."""
    noise = {"large/data.bin": random.Random(1).randbytes(2 * SPLICED), "large/__init__.py": b""}
    wheels = [shelf.add("large", noise), shelf.add("a", commands="[console_scripts]\na = a:main\n")]
    return plan_of(*wheels, shelf.add("b", version=versions.get("b", "1.0")))


def known(shelf: Shelf, tmp_path: Path) -> Made:
    """A build that knew all of its layers."""
    cache = Cache(tmp_path / "cache")
    Made(shelf, three(shelf), cache)
    return Made(shelf, three(shelf), cache)
