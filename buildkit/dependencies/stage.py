"""From a commit's lock and a base to planned layers of wheels; the stages, and what is remembered of them.

1. `lockfile`     the lock, and the files that belong to it
2. base facts     the base's Python: streamed once for each base, then cached
3. `locks`        one wheel for each package that this Python needs
4. `plan`         what the base has already, which layers the others make, and their keys
5. `known`        which of these layers are known: from the cache, or from trusted ancestors' images

A lock that was planned before, for the same Python and under the same settings, is not read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Protocol

from buildkit.bases.base import Base
from buildkit.bases.facts import Facts, missing_for_metaflow
from buildkit.bases.facts_cache import cached_facts, environment, keep_facts, read_facts
from buildkit.bases.facts_shared import read_shared
from buildkit.cache import Cache
from buildkit.config.values import Holds
from buildkit.dependencies import lockfile, partition, plan
from buildkit.dependencies.interpreter import Interpreter, interpreter_of
from buildkit.dependencies.lockfile import LockFiles
from buildkit.dependencies.manner import Manner
from buildkit.dependencies.plan import WheelPlan
from buildkit.endpoints import Progress, Source
from buildkit.errors import InvalidInput
from buildkit.wheels.fetch.model import LARGEST, FetchedWheel, title
from buildkit.wheels.locks.model import REQUIREMENTS, Lock, LockedWheel, NotALock, kind_of
from buildkit.wheels.locks.select import Selection, select
from buildkit.wheels.target import Target

# Raise it whenever other wheels are chosen of a lock, by whatever stage: it tells plans of one release from another's.
VERSION = 1


class Wheels(Protocol):
    """Where wheels come from."""

    def resolve(self, selection: Selection, target: Target) -> Sequence[LockedWheel]:
        """All wheels of a selection, also of packages for which the lock has hashes alone."""

    def fetch(self, wheels: Sequence[LockedWheel]) -> Sequence[FetchedWheel]:
        """Verified, in this order; many at once."""


class Dependencies:
    """Plans the wheels of one commit; `room` is the number of layers that they may have at most.

    `say` takes notes for a person; `trusted` are repositories that may know the facts of bases. `found` are those that
    nobody knew.
    """

    def __init__(
        self,
        holds: Holds,
        wheels: Wheels,
        cache: Cache,
        say: Callable[[str], None],
        progress: Progress,
        trusted: Callable[[], Sequence[Source]] = tuple,
    ) -> None:
        self._holds = holds
        self._wheels = wheels
        self._cache = cache
        self._say = say
        self._progress = progress
        self._trusted = trusted
        self.found: list[tuple[Base, Facts]] = []

    def plan(self, found: LockFiles, base: Base, room: partition.Scheme) -> WheelPlan | None:
        """What this base needs of the lock; None where the file turns out to be no lock.

        Raises InvalidInput for a lock that cannot be followed, or not on this base.
        """
        if self._is_no_lock(found):
            return None
        facts = self._facts(base)
        made = self._known_or_planned(found, interpreter_of(base, facts), room)
        if made is not None:
            self._say_metaflow(made, base, facts)
        return made

    def _facts(self, base: Base) -> Facts:
        facts = cached_facts(base, self._cache)
        if facts is not None:
            return facts
        facts = read_shared(base, self._trusted(), self._say)
        if facts is not None:
            keep_facts(base, self._cache, facts)
            return facts
        facts = read_facts(base, self._cache, self._progress)
        self.found.append((base, facts))
        return facts

    def _is_no_lock(self, found: LockFiles) -> bool:
        """Whether nothing in it has a hash; told without the base, which need not have a Python then."""
        if kind_of(found.path) != REQUIREMENTS or any(b"sha" in data for data in found.files.values()):
            return False
        lock = lockfile.parse(found, self._holds)
        if isinstance(lock, NotALock):
            self._say_why(lock)
            return True
        return not lock.packages

    def _say_why(self, lock: NotALock) -> None:
        self._say(f"{lock.source} is no lock, and no dependencies are built: {lock.why}")

    def _known_or_planned(
        self, found: LockFiles, interpreter: Interpreter, room: partition.Scheme
    ) -> WheelPlan | None:
        name = self._name(found, interpreter, room)
        known = self._stored(name)
        if known is not None:
            return known
        lock = lockfile.parse(found, self._holds)
        if isinstance(lock, NotALock):
            self._say_why(lock)
            return None
        return self._plan(found, lock, interpreter, room, name)

    def _stored(self, name: str) -> WheelPlan | None:
        stored = self._cache.get("dependencies", name)
        return WheelPlan.load(stored) if stored else None

    def _say_metaflow(self, made: WheelPlan, base: Base, facts: Facts) -> None:
        """Whoever has Metaflow in an image means to run flows in it, and each item failed a real run."""
        names = {wheel.name for wheel in made.wheels} | {each.name for each in made.carried}
        if "metaflow" in names:
            env = {**environment(base), **self._holds.environment}
            for missing in missing_for_metaflow(facts, env, names):
                self._say(f"Metaflow on Argo will not run in this image: {missing}")

    def _plan(
        self, found: LockFiles, lock: Lock, interpreter: Interpreter, room: partition.Scheme, name: str
    ) -> WheelPlan:
        holds, target = self._holds, interpreter.target
        selection = select(lock, target, holds.extras, holds.groups)
        chosen = sorted(self._wheels.resolve(selection, target) if selection.wanted else selection.wheels)
        if selection.wanted:
            # Not by the lock alone: folders of the commit, and the index that is asked, may offer other files now.
            name = sha256(repr((name, chosen)).encode()).hexdigest()
            known = self._stored(name)
            if known is not None:
                return known
        carried, left = plan.carried_and_left(chosen, interpreter, selection.why)
        wheels, sizes = self._measured(left)
        core, manner = self._core(found, selection, target), Manner.of(holds)
        layers = plan.lay_out(wheels, sizes, lambda name: name not in core, interpreter.scheme, room, manner)
        why = selection.reasons(wheel.name for wheel in wheels)
        made = WheelPlan(found.path, interpreter.scheme, layers, tuple(carried), why, manner)
        self._cache.put("dependencies", name, made.dump())
        return made

    def _measured(self, wheels: Sequence[LockedWheel]) -> tuple[list[LockedWheel], dict[str, int]]:
        """The wheels with their sha256 alone, and their sizes; what the lock does not say is learned by fetching them.

        A file with any of a lock's hashes is taken for the wheel. Were the key of its layer made of another of them,
        one commit could put its own wheel into the cache under the hash of somebody else's.
        """
        for wheel in wheels:
            if wheel.size is not None and wheel.size > LARGEST:
                raise InvalidInput(
                    f"{title(wheel)} has more than {LARGEST} bytes in the lock", "lock it again"
                )
        unknown = [wheel for wheel in wheels if wheel.size is None or not plan.has_sha256(wheel)]
        local = dict(zip((wheel.name for wheel in unknown), self._wheels.fetch(unknown), strict=True))
        sizes, completed = {}, []
        for wheel in wheels:
            here = local.get(wheel.name)
            sizes[wheel.name] = here.size if here else wheel.size or 0
            digest = here.sha256 if here else plan.sha256_of(wheel)
            completed.append(wheel._replace(size=sizes[wheel.name], hashes=(f"sha256:{digest}",)))
        return completed, sizes

    def _core(self, found: LockFiles, selection: Selection, target: Target) -> frozenset[str]:
        """The names that are needed without any extra or group that was chosen."""
        if not self._holds.extras and self._holds.groups is None:
            return _names(selection)
        try:
            plain = lockfile.parse(found, self._holds._replace(extras=(), groups=None))
            return _names(select(plain, target)) if isinstance(plain, Lock) else frozenset()
        except InvalidInput:
            return frozenset()  # a lock may serve nobody who chooses nothing

    def _name(self, found: LockFiles, interpreter: Interpreter, room: partition.Scheme) -> str:
        holds = self._holds
        parts = (
            found.fingerprint, interpreter.target, interpreter.scheme, sorted(interpreter.carried.items()),
            holds.extras, holds.groups, Manner.of(holds).recipe(), VERSION, partition.VERSION, room.fold,
        )  # fmt: skip
        return sha256(repr(parts).encode()).hexdigest()


def _names(selection: Selection) -> frozenset[str]:
    return frozenset([each.name for each in selection.wheels] + [each.name for each in selection.wanted])
