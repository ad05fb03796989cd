"""Stages 5 and 6 of a build: what is not known is made, and the image is put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from buildkit import assemble
from buildkit.assemble import BuiltImage, BuiltLayer
from buildkit.design import Bench, Design
from buildkit.endpoints import Blob, Publication
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document
from buildkit.layers.layer import Written
from buildkit.layers.members import Worker
from buildkit.make import Made, Maker
from buildkit.plan import PlannedLayer, Slot
from buildkit.spool import Spool

if TYPE_CHECKING:
    from buildkit.dependencies.plan import WheelPlan

Open = Callable[[], BinaryIO]
Offer = Callable[[Blob], None]
"""Takes a finished layer on its way."""


class Product(NamedTuple):
    """The image or images, their layers and blobs, and the document that tags shall point to.

    `guessed` are the keys of layers that were not made: their sizes are estimates, and no digest above them is true.
    """

    design: Design
    images: tuple[BuiltImage, ...]
    layers: tuple[BuiltLayer, ...]
    work: Publication
    guessed: frozenset[Digest] = frozenset()

    @property
    def digest(self) -> Digest:
        """The digest that tags shall point to."""
        return self.work.target.descriptor.digest


class Ready(NamedTuple):
    """A layer that can be named and, where a destination lacks it, read."""

    layer: BuiltLayer
    open: Open


Shelf = dict[Digest, Ready]
"""Layers that were made, by key: for several images of one commit, which share most of them."""


def make(
    bench: Bench, plan: Design, spool: Spool, offer: Offer | None = None, shelf: Shelf | None = None
) -> Product:
    """Make what is neither known nor on the `shelf`, and put the image together. Layers wait in `spool`.

    Each is given to `offer` as soon as it is made, and put on the shelf.
    """
    shelf = {} if shelf is None else shelf
    wheels = _wheels(bench, plan, spool, offer, shelf) if plan.wheels else []
    return _together(plan, wheels, _code(bench, plan, spool, offer, shelf))


def outline(bench: Bench, plan: Design, spool: Spool) -> Product:
    """As `make`, but no wheel is fetched or read: layers of wheels that are not known are guessed."""
    wheels = [_guess(planned) for planned in plan.wheels]
    guessed = frozenset(planned.slot.key for planned in plan.wheels if planned.slot.written is None)
    return _together(plan, wheels, _code(bench, plan, spool, None, {}))._replace(guessed=guessed)


def _together(plan: Design, wheels: Sequence[Ready], code: Sequence[Ready]) -> Product:
    built = {ready.layer.key: ready.layer for ready in wheels}
    above = [ready.layer for ready in code]
    images = tuple(
        assemble.image(base, [*_dependencies(needs, built), *above], plan.commit, plan.holds)
        for base, needs in zip(plan.bases, plan.needs, strict=True)
    )
    documents: list[Document] = [image.manifest for image in images]
    if len(images) > 1:
        documents.append(assemble.index(images, plan.commit, plan.holds))
    ready = [*wheels, *code]
    work = Publication(tuple(documents), _blobs(plan, ready, images), ())
    return Product(plan, images, tuple(each.layer for each in ready), work)


def _guess(planned: PlannedLayer) -> Ready:
    """A layer of wheels has about the size of its wheels; its digest cannot be guessed, and this one is nobody's."""
    slot = planned.slot
    written = slot.written or Written(slot.key, slot.key, sum(wheel.size for wheel in planned.wheels))
    return Ready(BuiltLayer(slot.name, slot.key, written, planned.told), BytesIO)


def _dependencies(needs: WheelPlan | None, built: Mapping[Digest, BuiltLayer]) -> list[BuiltLayer]:
    """The layers of wheels of one image."""
    return [built[layer.key] for layer in needs.layers] if needs is not None else []


def _wheels(bench: Bench, plan: Design, spool: Spool, offer: Offer | None, shelf: Shelf) -> list[Ready]:
    from buildkit.dependencies.make import ready_layers

    asked = [planned for planned in plan.wheels if planned.slot.key not in shelf]
    for planned, each in zip(
        asked, ready_layers(bench.wheels, bench.cache, spool, plan.needs, asked, offer), strict=True
    ):
        shelf[planned.slot.key] = Ready(*each)
    return [shelf[planned.slot.key] for planned in plan.wheels]


def _code(bench: Bench, plan: Design, spool: Spool, offer: Offer | None, shelf: Shelf) -> list[Ready]:
    maker = Maker(bench.repository, plan.holds.prefix, bench.lfs, spool, bench.cache, bench.say)
    asked = [planned.slot for planned in plan.code if planned.slot.key not in shelf]
    made = _make_unknown(maker, plan, [slot for slot in asked if slot.written is None], offer)
    for slot in asked:
        shelf[slot.key] = Ready(
            _built(slot, made.get(slot.name)), _opener(maker, plan, slot, made.get(slot.name))
        )
    return [shelf[planned.slot.key] for planned in plan.code]


def _make_unknown(
    maker: Maker, plan: Design, unknown: Sequence[Slot], offer: Offer | None
) -> dict[str, Made]:
    entries = {slot.name: plan.layerer.entries(plan.commit, plan.layering, slot) for slot in unknown}
    maker.prepare(plan.commit.tree, [entry for each in entries.values() for entry in each])
    before = {slot.name: slot for slot in (plan.layering.before.slots if plan.layering.before else ())}
    made: dict[str, Made] = {}
    with ExitStack() as stack:
        # One for all of them: the next layer is begun while this one is written, and they wait in one file.
        worker = stack.enter_context(Worker()) if len(unknown) > 1 else None
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
        offer(Blob(_built(slot, made[slot.name]).descriptor, made[slot.name].open))


def _built(slot: Slot, made: Made | None) -> BuiltLayer:
    written = made.written if made is not None else slot.written
    assert written is not None
    return BuiltLayer(slot.name, slot.key, written)


def _opener(maker: Maker, plan: Design, slot: Slot, made: Made | None) -> Open:
    """How a sink reads a layer: from the spool, or, for one that was only known by description, made again."""
    if made is not None:
        return made.open
    return lambda: maker.again(plan.commit, plan.layerer, plan.layering, slot)


def _blobs(plan: Design, ready: Sequence[Ready], images: Sequence[BuiltImage]) -> tuple[Blob, ...]:
    """Every blob once: base layers, layers above them, configs."""
    blobs = [blob for base in plan.bases for blob in base.blobs()]
    blobs += [_blob(*pair) for pair in zip(ready, plan.layers, strict=True)]
    blobs += [Blob(image.config.descriptor, partial(BytesIO, image.config.raw)) for image in images]
    return tuple({blob.digest: blob for blob in blobs}.values())


def _blob(ready: Ready, planned: PlannedLayer) -> Blob:
    return Blob(ready.layer.descriptor, ready.open, planned.origin)
