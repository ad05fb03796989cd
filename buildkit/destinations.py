"""Where one build goes: each `--to` with the tags it gets, and what may not be moved there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from buildkit.endpoints import Publication, Sink
from buildkit.errors import InvalidInput, Refused
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document, Manifest
from buildkit.image.reference import (
    ArchiveReference,
    DaemonReference,
    LayoutReference,
    Reference,
    RegistryReference,
    Scratch,
    parse_reference,
)
from buildkit.transports import holds_indexes

EMBEDDED = "oci:.treeship/oci"


class Destination(NamedTuple):
    """A place and the names the image gets there. `guarded` is the tag that stands for the commit: it never moves."""

    reference: Reference
    tags: tuple[str, ...]
    guarded: str = ""


def destinations(
    to: Sequence[str], commit: str, variant: str, *, commit_tag: bool, among_others: bool = False
) -> list[Destination]:
    """The destinations of `--to`; several tags of one repository or layout are one destination.

    A registry image gets the commit's tag too; elsewhere the commit's tag is what an image without tag is called.
    Where this variant is built among others, the tags that were asked for get its name as well.
    """
    own = f"{commit}-{variant}" if variant else commit
    merged: dict[Reference, Destination] = {}
    for text in to or (EMBEDDED,):
        reference = parse_reference(text)
        found = _destination(
            _apart(reference, variant) if among_others else reference, own, commit_tag=commit_tag
        )
        known = merged.get(found.reference, found)
        tags = tuple(dict.fromkeys(known.tags + found.tags))
        merged[found.reference] = found._replace(tags=tags)
    return list(merged.values())


def _apart(reference: Reference, variant: str) -> Reference:
    """The same place with a tag of this variant's own."""
    if isinstance(reference, ArchiveReference):
        raise InvalidInput(
            f"{reference} is a file for one image, and every variant is one", "give --variant NAME for it"
        )
    if isinstance(reference, Scratch) or not reference.tag:
        return reference
    return reference._replace(tag=f"{reference.tag}-{variant}")


def _destination(reference: Reference, own: str, *, commit_tag: bool) -> Destination:
    match reference:
        case RegistryReference():
            return _registry(reference, own, commit_tag=commit_tag)
        case LayoutReference(digest=None):
            return Destination(reference._replace(tag=""), (reference.tag or own,))
        case DaemonReference():
            return Destination(reference._replace(tag=""), (reference.tag or own,))
        case ArchiveReference():
            tags = (reference.tag or own,) if reference.name else ()
            return Destination(reference._replace(tag=""), tags)
        case LayoutReference() | Scratch():
            raise InvalidInput(f"an image cannot be sent to {reference}", "name a place and a tag")


def _registry(reference: RegistryReference, own: str, *, commit_tag: bool) -> Destination:
    if reference.digest is not None:
        raise InvalidInput(f"an image cannot be sent to a digest: {reference}", "name a tag")
    tags = tuple(dict.fromkeys(filter(None, (own if commit_tag else "", reference.tag))))
    if not tags:
        raise InvalidInput(f"no tag is left for {reference}", "name one, or leave --no-commit-tag out")
    return Destination(reference._replace(tag=""), tags, own if commit_tag else "")


def refuse_unfit(wanted: Sequence[Destination], images: int) -> None:
    """InvalidInput where a destination can hold one platform only and there are several."""
    for destination in wanted:
        if images > 1 and not holds_indexes(destination.reference):
            raise InvalidInput(
                f"{destination.reference} can hold one platform, not {images}", "give --platform once for it"
            )


class Glimpse(NamedTuple):
    """What was found under a destination's tags, and, where there was nothing, under those of ancestors."""

    tags: dict[str, Document]
    ancestors: tuple[Document, ...]


class Standing(NamedTuple):
    """What a destination has before the build: its tags, and blobs that it is known to have."""

    tags: dict[str, Document]
    present: frozenset[Digest]


def glance(destination: Destination, sink: Sink, ancestors: Sequence[str]) -> Glimpse:
    """Ask a destination for its tags; `ancestors` are tags to look for when none of ours exists yet."""
    tags: dict[str, Document] = {}
    for tag in sorted(destination.tags, key=lambda tag: tag != destination.guarded):
        found = sink.lookup(tag)
        if found is not None:
            tags[tag] = found
    older = _first_found(sink, ancestors) if destination.guarded and not tags else []
    return Glimpse(tags, tuple(older))


def stand(glimpse: Glimpse, sink: Sink, target: Digest) -> Standing:
    """What follows for an image that is to be sent: the manifests found prove that the blobs they name are there.

    The children of the very index that is to be sent are not asked for: `publication` knows what they name.
    """
    asked = [
        document
        for document in (*glimpse.tags.values(), *glimpse.ancestors)
        if isinstance(document, Manifest) or document.descriptor.digest != target
    ]
    return Standing(glimpse.tags, frozenset(blob for document in asked for blob in _named(document, sink)))


def _first_found(sink: Sink, tags: Sequence[str]) -> list[Document]:
    for tag in tags:
        found = sink.lookup(tag)
        if found is not None:
            return [found]
    return []


def _named(document: Document, sink: Sink) -> set[Digest]:
    if isinstance(document, Manifest):
        return {document.config.digest, *(layer.digest for layer in document.layers)}
    children = (sink.lookup(entry.digest) for _, entry in document.images())
    return {blob for child in children if isinstance(child, Manifest) for blob in _named(child, sink)}


def refuse_moved_tag(destination: Destination, standing: Standing, target: Digest) -> None:
    """Refused where the commit's tag stands for another image already: a commit's image does not change."""
    found = standing.tags.get(destination.guarded)
    if found is not None and found.descriptor.digest != target:
        raise Refused(
            f"{destination.reference}:{destination.guarded} is {found.descriptor.digest} already; "
            f"this build is {target}",
            "the base, the settings or the tool have changed since: pin the base by digest, "
            "or move the tag with --retag",
        )


def publication(destination: Destination, standing: Standing, work: Publication) -> Publication:
    """The work as this destination needs it: the tags that are not right yet, the blobs that are known to be there."""
    target = work.target.descriptor.digest
    tags = tuple(
        tag
        for tag in destination.tags
        if tag not in standing.tags or standing.tags[tag].descriptor.digest != target
    )
    there = any(document.descriptor.digest == target for document in standing.tags.values())
    present = standing.present.union(blob.digest for blob in work.blobs) if there else standing.present
    return work._replace(tags=tags, present=present)
