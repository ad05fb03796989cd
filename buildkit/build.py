"""A commit becomes an image: the pipeline, stage by stage.

1. `git`           the commit, its tree, and the settings that it brings (`config`)
2. `bases`         the base: manifest and config; its layers are read only for the facts that a lock asks for
3. `layering`      the tree's slots and their keys, before any blob is read; `dependencies`: the lock's wheels
4. `plan`          which layers are known: from the cache, from trusted ancestors' images
5. `make`          the others are made: blobs → tar → gzip members; wheels are spliced
6. `assemble`      config, manifest, index
7. `destinations`  what each destination has; what may not be moved
8. sinks           blobs, then manifests, then tags (`registry`, `layout`, `daemon`, `archive`)
9. `cache`         what the next build can use

Destinations (7) are asked from the start, while git is read. A first build into a registry sends layers (8) while
others are made (5).
Stages 1 to 4 only read; `explain` stops after 7 and writes nothing. `check` runs 1 to 6 without any memory.
`design.py` has the stages 2 to 4, `production.py` 5 and 6, and this file the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from buildkit import placed
from buildkit.config.values import Holds, Places
from buildkit.design import Bench, Design, dump_written
from buildkit.destinations import (
    Destination,
    Glimpse,
    Standing,
    glance,
    publication,
    refuse_moved_tag,
    stand,
)
from buildkit.endpoints import Action, EagerSink, Publication, Receipt, Sink
from buildkit.errors import TreeshipError
from buildkit.git.commit import Commit
from buildkit.image.digest import Digest
from buildkit.image.reference import Reference, RegistryReference, parse_reference
from buildkit.later import Later
from buildkit.plan import Reason
from buildkit.production import Offer, Product
from buildkit.transports import open_sink

# Layers below which sending each as it is made costs more than it saves.
_FEW = 4


class Opened(NamedTuple):
    """A destination, its sink, and what it had when it was opened."""

    destination: Destination
    sink: Sink
    glimpse: Later[Glimpse]


class Delivery(NamedTuple):
    """Stages 7 and 8 for one destination."""

    destination: Destination
    work: Publication
    receipt: Receipt


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
    unknown = [layer for layer in plan.layers if layer.slot.written is None]
    few = len(unknown) <= _FEW and not any(layer.wheels for layer in unknown)
    if len(opened) != 1 or few:
        return None
    _, sink, glimpse = opened[0]
    if not isinstance(sink, EagerSink):
        return None
    known = glimpse.result()
    return None if known.tags or known.ancestors else sink.offer


def survey(product: Product, opened: Sequence[Opened], places: Places) -> list[Delivery]:
    """Stage 7: what each destination lacks. Refused where a commit's tag would move; nothing is written."""
    surveyed = []
    for destination, sink, standing in _standings(product, opened, places):
        work = publication(destination, standing, product.work)
        surveyed.append(Delivery(destination, work, sink.survey(work)))
    return surveyed


Sent = dict[Reference, frozenset[Digest]]
"""Blobs by the place that has them since this run."""


def deliver(
    product: Product, opened: Sequence[Opened], places: Places, sent: Sent | None = None
) -> list[Delivery]:
    """Stages 7 and 8. All destinations are asked before anything is sent to the first; what is in `sent` is not sent
    again."""
    delivered = []
    sent = {} if sent is None else sent
    for destination, sink, standing in _standings(product, opened, places):
        work = publication(destination, standing, product.work)
        there = sent.get(destination.reference, frozenset())
        work = work._replace(present=work.present | there)
        delivered.append(Delivery(destination, work, sink.publish(work)))
        sent[destination.reference] = there.union(blob.digest for blob in work.blobs)
    return delivered


def remember(bench: Bench, product: Product, delivered: Sequence[Delivery]) -> None:
    """Stage 9."""
    plan = product.design
    wheels = frozenset(planned.slot.key for planned in plan.wheels)
    for delivery in delivered if wheels else ():
        _remember_places(bench, product, wheels, delivery)
    written = {layer.key: layer.written for layer in product.layers}
    for layer in plan.code:
        if layer.reason in (Reason.NEW, Reason.CHANGED):  # the snapshot, below, has the others
            bench.cache.put("layers", layer.slot.key.hex, dump_written(written[layer.slot.key]))
    slots = tuple(layer.slot._replace(written=written[layer.slot.key]) for layer in plan.code)
    plan.layerer.remember(plan.commit, plan.layering, slots)
    bench.cache.sweep()


def share_facts(bench: Bench, plan: Design, opened: Sequence[Opened], places: Places) -> None:
    """What was found out of a base is put where runners without a cache will look: into repositories that the image
    was sent to, and that are trusted. The image is there already, so what goes wrong is only a note."""
    if not plan.facts or not places.reuse_enabled:
        return
    from buildkit.bases.facts_shared import publication as artifact

    trusted = {_repository(parse_reference(text)) for text in places.reuse_from}
    for destination, sink, _ in opened:
        if _repository(destination.reference) in trusted - {None}:
            for base, facts in plan.facts:
                try:
                    sink.publish(artifact(base, facts))
                except TreeshipError as error:
                    bench.say(f"the facts of the base were not shared: {error.what}")


def _repository(reference: Reference) -> tuple[str, str] | None:
    return (reference.host, reference.repository) if isinstance(reference, RegistryReference) else None


def _remember_places(bench: Bench, product: Product, wheels: frozenset[Digest], delivery: Delivery) -> None:
    """Layers of wheels that came to a registry just now: other projects can mount them from there."""
    reference, actions = delivery.destination.reference, delivery.receipt.actions
    if isinstance(reference, RegistryReference):
        digests = (layer.written.digest for layer in product.layers if layer.key in wheels)
        new = (digest for digest in digests if actions.get(digest) in (Action.PUSH, Action.MOUNT))
        placed.remember(bench.cache, new, (reference.host, reference.repository))


def _likely(commit: Commit, holds: Holds) -> list[str]:
    """Tags of images that may hold most of the layers."""
    suffix = f"-{holds.selected}" if holds.selected else ""
    return [parent + suffix for parent in commit.parents[:1]]


def refuse(product: Product, opened: Sequence[Opened], places: Places) -> None:
    """Refused where a commit's tag would move; to be asked for all images before the first of them is sent."""
    _standings(product, opened, places)


def _standings(
    product: Product, opened: Sequence[Opened], places: Places
) -> list[tuple[Destination, Sink, Standing]]:
    """What every destination has; Refused before any of them is touched."""
    standings = []
    for destination, sink, glimpse in opened:
        standing = stand(glimpse.result(), sink, product.digest)
        if not places.retag and not product.guessed:
            refuse_moved_tag(destination, standing, product.digest)
        standings.append((destination, sink, standing))
    return standings
