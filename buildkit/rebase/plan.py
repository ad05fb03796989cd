"""An image on another base: what it would be, before anything is written.

1. `read.py` the image: its manifest or index, and the configs
2. the old base: named by the image's annotations or by `--from`; the new one: for each platform of the image
3. `fit`     the facts of both: Refused where what stands above would break
4. `swap`    manifests, configs and the index on the new base

Layers are read only for facts that the cache does not have. Where it goes is `target.py`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from typing import BinaryIO, NamedTuple

from buildkit.bases import base as bases
from buildkit.bases.base import Base
from buildkit.bases.facts import Facts
from buildkit.bases.facts_cache import facts_of
from buildkit.cache import Cache
from buildkit.compare import Image
from buildkit.design import MOST_LAYERS
from buildkit.endpoints import Blob, Progress, Source
from buildkit.errors import InvalidInput, NotFound, Refused
from buildkit.image.annotations import BASE_DIGEST, BASE_NAME, LAYER_WHEELS
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest, is_digest
from buildkit.image.manifest import Document, Index, Manifest
from buildkit.image.platform import Platform
from buildkit.image.reference import LayoutReference, Reference, RegistryReference, Scratch, parse_reference
from buildkit.layoutindex import FOREIGN_LAYERS
from buildkit.rebase import fit
from buildkit.rebase.read import Subject
from buildkit.rebase.swap import Change, Entry, changes, refuse_other_base, swap, swap_index, swapped_layers
from buildkit.transports import Connect, open_source


class Workshop(NamedTuple):
    """What rebasing works with."""

    registries: Connect
    cache: Cache
    progress: Progress


class Part(NamedTuple):
    """The image of one platform. `after` is `before` where it stands on the new base already."""

    old: Base
    new: Base
    before: Image
    after: Image
    notes: tuple[str, ...]

    @property
    def kept(self) -> int:
        """The number of the image's own layers."""
        return len(self.before.manifest.layers) - len(self.old.layers)

    @property
    def changes(self) -> tuple[Change, ...]:
        """What differs in the config."""
        return tuple(changes(self.before.config, self.after.config))

    @property
    def swapped(self) -> tuple[list[Descriptor], list[Descriptor]]:
        """The layers that go and those that come."""
        return swapped_layers(self.before.manifest, self.after.manifest, self.kept)


class Plan(NamedTuple):
    """What the image would be. `documents` has children first, the last one is the target."""

    subject: Subject
    parts: tuple[Part, ...]
    documents: tuple[Document, ...]
    blobs: tuple[Blob, ...]
    notes: tuple[str, ...] = ()

    @property
    def target(self) -> Document:
        """What tags shall point to."""
        return self.documents[-1]

    @property
    def changed(self) -> bool:
        """Whether anything but the place would be another."""
        return self.target.digest != self.subject.document.digest


class Onto(NamedTuple):
    """The new base, read once: what is asked of it later is of one and the same, whatever becomes of its tag."""

    reference: Reference
    source: Source | None
    document: Document | None

    def on(self, platform: Platform, cache: Cache) -> Base:
        """The base for a platform. NotFound where its index has none, Refused where it is for another one."""
        if isinstance(self.document, Manifest):
            (base,) = bases.resolve(self.reference, self.source, (), cache)
            if not platform.runs(base.platform):
                raise Refused(
                    f"the image is for {platform}, and {self.reference} is for {base.platform}",
                    "name a base for that platform",
                )
        (base,) = bases.resolve(self.reference, self.source, (platform,), cache)
        return base


def open_base(workshop: Workshop, onto: Reference) -> Onto:
    """Read the manifest or index of the new base."""
    if isinstance(onto, Scratch):
        return Onto(onto, None, None)
    source = open_source(onto, workshop.registries)
    document = source.document()
    workshop.cache.put_document(document.raw)
    if isinstance(onto, (RegistryReference, LayoutReference)):
        onto = onto._replace(digest=document.digest)
    return Onto(onto, source, document)


def plan(workshop: Workshop, subject: Subject, onto: Onto, origin: Reference | None = None) -> Plan:
    """The image of `subject` on `onto`. `origin` is the old base, where it is not the one of the annotations.

    Refused where the image does not stand on the old base or would break on the new one, NotFound for a platform that
    the new base does not have or an old base that is nowhere.
    """
    parts = tuple(_part(workshop, subject, each, onto, origin) for _, each in subject.images)
    documents: list[Document] = [part.after.manifest for part in parts]
    notes: tuple[str, ...] = ()
    if isinstance(subject.document, Index):
        if all(part.after is part.before for part in parts):
            documents.append(subject.document)
        else:
            entries = [
                Entry(entry, part.after, part.new)
                for (entry, _), part in zip(subject.images, parts, strict=True)
            ]
            documents.append(swap_index(subject.document, entries))
            left = len(subject.document.manifests) - len(parts)
            notes = (
                (f"{left} entries of the index that describe the old images are left out",) if left else ()
            )
    return Plan(subject, parts, tuple(documents), _blobs(subject, parts), notes)


def _part(workshop: Workshop, subject: Subject, image: Image, onto: Onto, origin: Reference | None) -> Part:
    old = _old_base(workshop, subject, image, origin)
    refuse_other_base(image, old)
    new = onto.on(image.config.platform, workshop.cache)
    if (old.digest, old.layers) == (new.digest, new.layers):
        return Part(old, new, image, image, ())
    notes = _refuse_misfits(workshop, subject.source, image, old, new)
    swapped = swap(image, old, new, most_layers=MOST_LAYERS)
    return Part(old, new, image, swapped.image, (*swapped.notes, *notes))


def _old_base(workshop: Workshop, subject: Subject, image: Image, origin: Reference | None) -> Base:
    reference = origin or old_reference(image, subject.document)
    source = None if isinstance(reference, Scratch) else open_source(reference, workshop.registries)
    try:
        (base,) = bases.resolve(reference, source, (image.config.platform,), workshop.cache)
    except NotFound as error:
        raise NotFound(
            f"the old base, {reference}, is not there any more: {error.what}",
            "name another place that has it with --from, or build the commit on the new base",
        ) from None
    return base


def old_reference(image: Image, document: Document) -> RegistryReference | Scratch:
    """The base that an image says it stands on; by digest, since its tag may have moved or gone.

    InvalidInput where it does not say, or names something that is no place for all: a layout of some machine.
    """
    for said in (image.manifest.annotations, document.annotations, image.config.runtime.get("Labels") or {}):
        name, digest = said.get(BASE_NAME, ""), said.get(BASE_DIGEST, "")
        if not name:
            continue
        reference = parse_reference(name)
        if isinstance(reference, Scratch):
            return reference
        if isinstance(reference, RegistryReference) and (is_digest(digest) or not digest):
            return reference._replace(digest=Digest(digest)) if digest else reference
    raise InvalidInput("the image does not say where its base is", "name its old base with --from")


def _refuse_misfits(workshop: Workshop, source: Source, image: Image, old: Base, new: Base) -> Sequence[str]:
    # The old base's layers are read from the image, which has them for certain.
    before, after = _facts(workshop, old._replace(source=source)), _facts(workshop, new)
    # A base may be of treeship's own making: its wheels go with it.
    own = image.manifest.layers[len(old.layers) :]
    wheels = fit.wheels_in(layer.annotations.get(LAYER_WHEELS, "") for layer in own)
    found = fit.misfits(before, after, wheels)
    if found:
        raise Refused(
            f"what stands on the base would break on {new.reference}: {'; '.join(map(str, found))}",
            "build the commit on the new base instead",
        )
    return fit.remarks(before, after, wheels, str(image.config.runtime.get("User") or ""))


def _facts(workshop: Workshop, base: Base) -> Facts:
    return facts_of(base, workshop.cache, workshop.progress)


def _blobs(subject: Subject, parts: Sequence[Part]) -> tuple[Blob, ...]:
    """Every blob once. What the image has comes from where the image is."""
    found: dict[Digest, Blob] = {}
    for part in parts:
        manifest, config = part.before.manifest, part.after.config
        own = {layer.digest for layer in manifest.layers}
        for blob in part.new.blobs():
            if blob.digest not in own:
                found.setdefault(blob.digest, blob)
        for layer in manifest.layers:
            found[layer.digest] = Blob(layer, _opener(subject.source, layer), subject.origin)
        found[config.descriptor.digest] = Blob(config.descriptor, partial(BytesIO, config.raw))
    named = {layer.digest for part in parts for layer in part.after.manifest.layers if _is_stored(layer)}
    named |= {part.after.config.descriptor.digest for part in parts}
    return tuple(blob for digest, blob in found.items() if digest in named)


def _is_stored(layer: Descriptor) -> bool:
    return layer.media_type not in FOREIGN_LAYERS


def _opener(source: Source, layer: Descriptor) -> Callable[[], BinaryIO]:
    return lambda: source.blob(layer)
