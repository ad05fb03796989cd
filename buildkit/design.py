"""Stages 2 to 4 of a build: everything that can be known of an image before a blob or a wheel is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from buildkit import placed
from buildkit.ancestors import Hint, hints_of, lineage
from buildkit.bases import base as bases
from buildkit.bases.base import Base
from buildkit.cache import Cache
from buildkit.config.values import Holds
from buildkit.dependencies import lockfile
from buildkit.dependencies.lockfile import LockFiles
from buildkit.destinations import Destination, refuse_unfit
from buildkit.endpoints import Progress, Source
from buildkit.errors import InvalidInput
from buildkit.git.commit import Commit
from buildkit.git.repository import Repository
from buildkit.image.digest import Digest
from buildkit.image.platform import Platform
from buildkit.image.reference import RegistryReference, Scratch, parse_reference
from buildkit.later import Later
from buildkit.layering import Layerer, Layering
from buildkit.layers.layer import Written
from buildkit.layers.partition import Scheme
from buildkit.make import LfsStore
from buildkit.plan import PlannedLayer, Reason, Slot
from buildkit.transports import Connect, open_source

if TYPE_CHECKING:
    from buildkit.bases.facts import Facts
    from buildkit.dependencies.plan import WheelPlan
    from buildkit.dependencies.stage import Wheels

# moby's limit (daemon/internal/layer, maxLayerDepth), the lowest of any runtime's.
MOST_LAYERS = 125


class Bench(NamedTuple):
    """What a build works with: the ends of the pipeline. `say` takes notes for a person."""

    repository: Repository
    cache: Cache
    registries: Connect
    lfs: LfsStore
    wheels: Wheels
    progress: Progress
    say: Callable[[str], None]


class Design(NamedTuple):
    """What an image, or an index of several, will be made of.

    `needs` has what each base needs of the commit's lock (None: nothing), `wheels` the layers of these without
    repetition, `code` those of the commit's tree; both lowest first. `facts` are those of bases that nobody knew.
    """

    commit: Commit
    holds: Holds
    bases: tuple[Base, ...]
    layerer: Layerer
    layering: Layering
    needs: tuple[WheelPlan | None, ...]
    wheels: tuple[PlannedLayer, ...]
    code: tuple[PlannedLayer, ...]
    facts: tuple[tuple[Base, Facts], ...] = ()

    @property
    def layers(self) -> tuple[PlannedLayer, ...]:
        """All of them, lowest first."""
        return self.wheels + self.code


def design(
    bench: Bench,
    commit: Commit,
    holds: Holds,
    reuse: Sequence[str] = (),
    wanted: Sequence[Destination] = (),
) -> Design:
    """Stages 2 to 4. `reuse` are references to images whose layer annotations are trusted. InvalidInput where one of
    the destinations that are `wanted` cannot hold that many platforms."""
    resolving = Later(partial(resolve_bases, bench, holds))
    lock = lockfile.find(partial(bench.repository.small_file, commit.tree), holds)
    planning = Later(lambda: _needs(bench, holds, lock, resolving.result(), reuse))
    layerer = Layerer(bench.repository, holds, lambda: _scheme(resolving.result(), lock), bench.cache)
    layering = layerer.lay_out(commit)
    found = resolving.result()
    refuse_unfit(wanted, len(found))
    hints = cache(lambda: _hints(bench, commit, holds, reuse))
    needs, facts = planning.result()
    wheels = _known_wheels(bench.cache, needs, hints, wanted)
    code = _known_layers(bench.cache, layering, hints)
    return Design(commit, holds, found, layerer, layering, needs, wheels, code, facts)


def resolve_bases(bench: Bench, holds: Holds) -> tuple[Base, ...]:
    """Stage 2: the base for each platform."""
    if not holds.base:
        bench.say("no base is named, so nothing in the image can run the code: set `base`, or give --base")
    reference = parse_reference(holds.base or "scratch")
    source = None if isinstance(reference, Scratch) else open_source(reference, bench.registries)
    platforms = tuple(dict.fromkeys(Platform.parse(text) for text in holds.platforms))
    return bases.resolve(reference, source, platforms, bench.cache)


def _needs(
    bench: Bench, holds: Holds, lock: LockFiles | None, found: Sequence[Base], reuse: Sequence[str]
) -> tuple[tuple[WheelPlan | None, ...], tuple[tuple[Base, Facts], ...]]:
    """What each base needs of the lock, and the facts that had to be found out for that. What it takes is loaded only
    where there is one."""
    if lock is None:
        return (None,) * len(found), ()
    from buildkit.dependencies.partition import Scheme as Partition
    from buildkit.dependencies.stage import Dependencies

    trusted = partial(_trusted, bench, reuse)
    stage = Dependencies(holds, bench.wheels, bench.cache, bench.say, bench.progress, trusted)
    partition = Partition.for_room(_room(found) // 3)
    needs = tuple(stage.plan(lock, base, partition) for base in found)
    return needs, tuple(stage.found)


def _trusted(bench: Bench, reuse: Sequence[str]) -> list[Source]:
    """The repositories whose word is believed."""
    references = (parse_reference(text) for text in reuse)
    places = {
        each._replace(tag="", digest=None) for each in references if isinstance(each, RegistryReference)
    }
    return [open_source(place, bench.registries) for place in sorted(places)]


def _scheme(found: Sequence[Base], lock: LockFiles | None) -> Scheme:
    """How the tree is spread over layers: a lock takes a third of the room at most, whatever it holds, so that no
    change of it moves a file of the tree to another layer."""
    room = _room(found)
    if lock is not None:
        from buildkit.dependencies.partition import Scheme as Partition

        room -= Partition.for_room(room // 3).most_layers
    scheme = Scheme.for_room(room)
    if scheme is None:
        raise InvalidInput(
            f"the base has {MOST_LAYERS - _room(found)} layers; runtimes take {MOST_LAYERS} in all, and the code "
            "needs some",
            "take another base, or squash it",
        )
    return scheme


def _room(found: Sequence[Base]) -> int:
    return MOST_LAYERS - max(len(base.layers) for base in found)


Hints = Callable[[], Mapping[Digest, Hint]]
"""Asked only where the cache knows less than all."""


def _known_wheels(
    cached: Cache, needs: Sequence[WheelPlan | None], hints: Hints, wanted: Sequence[Destination]
) -> tuple[PlannedLayer, ...]:
    """Each layer of wheels with what is known of it, and where it can be mounted from; platforms may share some."""
    plans = [plan for plan in needs if plan is not None]
    if not plans:
        return ()
    from buildkit.dependencies.known import look_up

    hosts = [each.reference.host for each in wanted if isinstance(each.reference, RegistryReference)]
    return tuple(
        layer._replace(origin=layer.origin or placed.find(cached, layer.slot.written.digest, hosts))
        if layer.slot.written
        else layer
        for layer in look_up(plans, cached, hints)
    )


def _known_layers(cached: Cache, layering: Layering, hints: Hints) -> tuple[PlannedLayer, ...]:
    """Each slot with what is known of it."""
    slots = [_from_cache(cached, slot) for slot in layering.snapshot.slots]
    offered = hints() if any(slot.written is None for slot in slots) else {}
    names = {slot.name for slot in (layering.before.slots if layering.before else ())}
    names |= {hint.name for hint in offered.values()}
    return tuple(
        _planned(slot, offered.get(slot.key), names, layering.changed.get(slot.name, ())) for slot in slots
    )


def _planned(slot: Slot, hint: Hint | None, names: set[str], changed: tuple[bytes, ...]) -> PlannedLayer:
    if slot.written is not None:
        return PlannedLayer(slot, Reason.CACHED, origin=hint.origin if hint else None)
    if hint is not None:
        return PlannedLayer(slot._replace(written=hint.written), Reason.ANCESTOR, origin=hint.origin)
    return PlannedLayer(slot, Reason.CHANGED if slot.name in names else Reason.NEW, changed)


def _from_cache(cached: Cache, slot: Slot) -> Slot:
    data = cached.get("layers", slot.key.hex) if slot.written is None else None
    return slot._replace(written=_load(data)) if data else slot


def dump_written(written: Written) -> bytes:
    """A layer of the tree for the cache, where `design` looks for it."""
    return f"{written.digest} {written.diff_id} {written.size}".encode()


def _load(data: bytes) -> Written | None:
    try:
        digest, diff_id, size = data.decode().split()
        return Written(Digest(digest), Digest(diff_id), int(size))
    except (ValueError, InvalidInput):
        return None


def _hints(bench: Bench, commit: Commit, holds: Holds, reuse: Sequence[str]) -> dict[Digest, Hint]:
    """What the trusted images say; the first reference that has a key wins."""
    found: dict[Digest, Hint] = {}
    suffix = f"-{holds.selected}" if holds.selected else ""
    for text in reuse:
        reference = parse_reference(text)
        candidates = (oid + suffix for oid in lineage(bench.repository, commit))
        found = hints_of(open_source(reference, bench.registries), reference, candidates) | found
    return found
