"""A commit becomes an image: the pipeline, stage by stage.

1. `git`           the commit, its tree, and the settings that it brings (`config`)
2. `bases`         the base: manifest and config, never its layers
3. `layering`      the tree's slots and their keys, before any blob is read
4. `plan`          which layers are known: from the cache, from trusted ancestors' images
5. `make`          the others are made: blobs → tar → gzip members
6. `assemble`      config, manifest, index
7. `destinations`  what each destination has; what may not be moved
8. sinks           blobs, then manifests, then tags (`registry`, `layout`, `daemon`, `archive`)
9. `cache`         what the next build can use

A first build into a registry sends layers (8) while others are made (5).
Stages 1 to 4 only read; `explain` stops after 7 and writes nothing. `check` runs 1 to 6 without any memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from typing import BinaryIO, NamedTuple

from buildkit import assemble
from buildkit.ancestors import Hint, hints_of, lineage
from buildkit.assemble import BuiltImage, CodeLayer
from buildkit.bases import base as bases
from buildkit.bases.base import Base
from buildkit.cache import Cache
from buildkit.config.values import Holds, Places
from buildkit.destinations import (
    Destination,
    Glimpse,
    Standing,
    glance,
    publication,
    refuse_moved_tag,
    refuse_unfit,
    stand,
)
from buildkit.endpoints import Blob, EagerSink, Progress, Publication, Receipt, Sink
from buildkit.errors import InvalidInput
from buildkit.git.commit import Commit
from buildkit.git.repository import Repository
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document
from buildkit.image.platform import Platform
from buildkit.image.reference import Scratch, parse_reference
from buildkit.later import Later
from buildkit.layering import Layerer, Layering
from buildkit.layers.layer import Written
from buildkit.layers.members import Worker
from buildkit.layers.partition import Scheme
from buildkit.make import LfsStore, Made, Maker
from buildkit.plan import PlannedLayer, Reason, Slot
from buildkit.spool import Spool
from buildkit.transports import Connect, open_sink, open_source

# Layers below which sending each as it is made costs more than it saves.
_FEW = 4
# moby's limit (daemon/internal/layer, maxLayerDepth), the lowest of any runtime's.
MOST_LAYERS = 125


class Bench(NamedTuple):
    """What a build works with: the ends of the pipeline. `say` takes notes for a person."""

    repository: Repository
    cache: Cache
    registries: Connect
    lfs: LfsStore
    progress: Progress
    say: Callable[[str], None]


class Design(NamedTuple):
    """Stages 1 to 4: everything that can be known without reading a blob."""

    commit: Commit
    holds: Holds
    bases: tuple[Base, ...]
    layerer: Layerer
    layering: Layering
    layers: tuple[PlannedLayer, ...]


class Product(NamedTuple):
    """Stages 5 and 6: the image or images, their blobs, and the document that tags shall point to."""

    design: Design
    images: tuple[BuiltImage, ...]
    layers: tuple[CodeLayer, ...]
    work: Publication

    @property
    def digest(self) -> Digest:
        """The digest that tags shall point to."""
        return self.work.target.descriptor.digest


class Opened(NamedTuple):
    """A destination, its sink, and what it had when it was opened."""

    destination: Destination
    sink: Sink
    glimpse: Later[Glimpse]


Offer = Callable[[Blob], None]
"""Takes a finished layer on its way."""


class Delivery(NamedTuple):
    """Stages 7 and 8 for one destination."""

    destination: Destination
    work: Publication
    receipt: Receipt


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
    layerer = Layerer(bench.repository, holds, lambda: _scheme(resolving.result()), bench.cache)
    layering = layerer.lay_out(commit)
    found = resolving.result()
    refuse_unfit(wanted, len(found))
    layers = _known_layers(bench, layering, lambda: _hints(bench, commit, holds, reuse))
    return Design(commit, holds, found, layerer, layering, layers)


def resolve_bases(bench: Bench, holds: Holds) -> tuple[Base, ...]:
    """Stage 2: the base for each platform."""
    if not holds.base:
        bench.say("no base is named, so nothing in the image can run the code: set `base`, or give --base")
    reference = parse_reference(holds.base or "scratch")
    source = None if isinstance(reference, Scratch) else open_source(reference, bench.registries)
    platforms = tuple(dict.fromkeys(Platform.parse(text) for text in holds.platforms))
    return bases.resolve(reference, source, platforms, bench.cache)


def open_destinations(
    bench: Bench, commit: Commit, holds: Holds, wanted: Sequence[Destination]
) -> list[Opened]:
    """The sinks of the destinations, in their order. What is there under our tags is asked for meanwhile."""
    likely = _likely(commit, holds)
    opened = []
    for destination in wanted:
        sink = open_sink(destination.reference, bench.registries)
        opened.append(Opened(destination, sink, Later(partial(glance, destination, sink, likely))))
    return opened


def eager(plan: Design, opened: Sequence[Opened]) -> Offer | None:
    """Where layers may be sent as soon as they are made: to a single registry that knows nothing of this image.

    Elsewhere a build may still be refused, and then nothing must have been sent; and what is there need not be asked
    for layer by layer. For a few layers it is not worth it.
    """
    unknown = sum(1 for layer in plan.layers if layer.slot.written is None)
    if len(opened) != 1 or unknown <= _FEW:
        return None
    _, sink, glimpse = opened[0]
    if not isinstance(sink, EagerSink):
        return None
    known = glimpse.result()
    return None if known.tags or known.ancestors else sink.offer


def make(bench: Bench, plan: Design, spool: Spool, offer: Offer | None = None) -> Product:
    """Stages 5 and 6: make what is not known, and put the image together. Layers wait in `spool`.

    Each is given to `offer` as soon as it is made.
    """
    maker = Maker(bench.repository, plan.holds.prefix, bench.lfs, spool, bench.cache, bench.say)
    made = _make_unknown(maker, plan, offer)
    layers = tuple(
        CodeLayer(slot.name, slot.key, slot.written or made[slot.name].written) for slot, *_ in plan.layers
    )
    images = tuple(assemble.image(base, layers, plan.commit, plan.holds) for base in plan.bases)
    documents: list[Document] = [image.manifest for image in images]
    if len(images) > 1:
        documents.append(assemble.index(images, plan.commit, plan.holds))
    blobs = _blobs(plan, layers, images, lambda slot: _opener(maker, plan, slot, made.get(slot.name)))
    return Product(plan, images, layers, Publication(tuple(documents), blobs, ()))


def survey(product: Product, opened: Sequence[Opened], places: Places) -> list[Delivery]:
    """Stage 7: what each destination lacks. Refused where a commit's tag would move; nothing is written."""
    surveyed = []
    for destination, sink, standing in _standings(product, opened, places):
        work = publication(destination, standing, product.work)
        surveyed.append(Delivery(destination, work, sink.survey(work)))
    return surveyed


def deliver(product: Product, opened: Sequence[Opened], places: Places) -> list[Delivery]:
    """Stages 7 and 8. All destinations are asked before anything is sent to the first."""
    delivered = []
    for destination, sink, standing in _standings(product, opened, places):
        work = publication(destination, standing, product.work)
        delivered.append(Delivery(destination, work, sink.publish(work)))
    return delivered


def remember(bench: Bench, product: Product) -> None:
    """Stage 9."""
    plan = product.design
    written = {layer.key: layer.written for layer in product.layers}
    for layer in plan.layers:
        if layer.reason in (Reason.NEW, Reason.CHANGED):  # the snapshot, below, has the others
            bench.cache.put("layers", layer.slot.key.hex, _dump(written[layer.slot.key]))
    slots = tuple(layer.slot._replace(written=written[layer.slot.key]) for layer in plan.layers)
    plan.layerer.remember(plan.commit, plan.layering, slots)
    bench.cache.sweep()


def _scheme(found: Sequence[Base]) -> Scheme:
    room = MOST_LAYERS - max(len(base.layers) for base in found)
    scheme = Scheme.for_room(room)
    if scheme is None:
        raise InvalidInput(
            f"the base has {MOST_LAYERS - room} layers; runtimes take {MOST_LAYERS} in all, and the code needs some",
            "take another base, or squash it",
        )
    return scheme


def _known_layers(
    bench: Bench, layering: Layering, hints: Callable[[], Mapping[Digest, Hint]]
) -> tuple[PlannedLayer, ...]:
    """Each slot with what is known of it; `hints` is asked only where the cache knows less than all."""
    slots = [_from_cache(bench.cache, slot) for slot in layering.snapshot.slots]
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


def _from_cache(cache: Cache, slot: Slot) -> Slot:
    data = cache.get("layers", slot.key.hex) if slot.written is None else None
    return slot._replace(written=_load(data)) if data else slot


def _dump(written: Written) -> bytes:
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


def _make_unknown(maker: Maker, plan: Design, offer: Offer | None) -> dict[str, Made]:
    unknown = [layer.slot for layer in plan.layers if layer.slot.written is None]
    entries = {slot.name: plan.layerer.entries(plan.commit, plan.layering, slot) for slot in unknown}
    maker.prepare(plan.commit.tree, [entry for each in entries.values() for entry in each])
    before = {slot.name: slot for slot in (plan.layering.before.slots if plan.layering.before else ())}
    made: dict[str, Made] = {}
    with ExitStack() as stack:
        worker = stack.enter_context(Worker()) if len(unknown) > _FEW else None
        begun: list[tuple[Slot, Callable[[], Made]]] = []
        for slot in unknown:
            begun.append((slot, maker.make(slot, entries[slot.name], before.get(slot.name), worker)))
            if len(begun) > 1:  # the one before: while its last bytes are compressed, this one was read
                _complete(*begun.pop(0), made, offer)
        for slot, wait in begun:
            _complete(slot, wait, made, offer)
    return made


def _complete(slot: Slot, wait: Callable[[], Made], made: dict[str, Made], offer: Offer | None) -> None:
    made[slot.name] = wait()
    if offer:
        layer = CodeLayer(slot.name, slot.key, made[slot.name].written)
        offer(Blob(layer.descriptor, made[slot.name].open))


def _opener(maker: Maker, plan: Design, slot: Slot, made: Made | None) -> Callable[[], BinaryIO]:
    """How a sink reads a layer: from the spool, or, for one that was only known by description, made again."""
    if made is not None:
        return made.open

    def again() -> BinaryIO:
        assert slot.written is not None
        return maker.again(plan.commit, plan.layerer, plan.layering, slot)

    return again


def _blobs(
    plan: Design,
    layers: Sequence[CodeLayer],
    images: Sequence[BuiltImage],
    opener: Callable[[Slot], Callable[[], BinaryIO]],
) -> tuple[Blob, ...]:
    """Every blob once: base layers, layers of the commit, configs."""
    blobs = [blob for base in plan.bases for blob in base.blobs()]
    blobs += [
        Blob(layer.descriptor, opener(planned.slot), planned.origin)
        for layer, planned in zip(layers, plan.layers, strict=True)
    ]
    blobs += [Blob(image.config.descriptor, partial(BytesIO, image.config.raw)) for image in images]
    return tuple({blob.digest: blob for blob in blobs}.values())


def _likely(commit: Commit, holds: Holds) -> list[str]:
    """Tags of images that may hold most of the layers."""
    suffix = f"-{holds.selected}" if holds.selected else ""
    return [parent + suffix for parent in commit.parents[:1]]


def _standings(
    product: Product, opened: Sequence[Opened], places: Places
) -> list[tuple[Destination, Sink, Standing]]:
    """What every destination has; Refused before any of them is touched."""
    standings = []
    for destination, sink, glimpse in opened:
        standing = stand(glimpse.result(), sink, product.digest)
        if not places.retag:
            refuse_moved_tag(destination, standing, product.digest)
        standings.append((destination, sink, standing))
    return standings
