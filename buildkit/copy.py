"""An image from one place to another, as it is.

1. `gather` reads the documents: of an index all images, or those that were asked for.
2. The sink takes what it lacks (mounts, links and skips are its business) and then names the target.

Documents travel as raw bytes, so digests stay, and Docker's media types too. Two things change a digest, as
they must: an index of a choice of platforms is a new one, and engines and docker-archives know no manifests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from buildkit.endpoints import Blob, Publication, Receipt, Source
from buildkit.errors import CorruptContent, InvalidInput, NotFound
from buildkit.image import canonical, media
from buildkit.image.config import ImageConfig
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document, Index, Manifest
from buildkit.image.platform import Platform
from buildkit.image.reference import (
    ArchiveReference,
    DaemonReference,
    LayoutReference,
    Reference,
    RegistryReference,
    Scratch,
    check_tag,
)
from buildkit.layoutindex import FOREIGN_LAYERS
from buildkit.transports import Connect, Registries, holds_indexes, open_sink, open_source

# An index of indexes is rare, deeper ones are made to harm.
_DEPTH = 4
_IMAGES = 1000
_CONFIGS = frozenset({media.OCI_CONFIG, media.DOCKER_CONFIG})


class Copied(NamedTuple):
    """What was (or would be) copied, and what it took."""

    work: Publication
    receipt: Receipt

    @property
    def digest(self) -> Digest:
        """Of what the tags point to; where the destination keeps no manifests, of what was read."""
        return self.work.target.digest


def copy(
    source: Reference,
    destination: Reference,
    registries: Registries | Connect,
    *,
    platforms: tuple[Platform, ...] = (),
    dry_run: bool = False,
) -> Copied:
    """Copy an image, or all images of an index where the destination can hold them.

    Without `platforms`, a destination for one platform gets this machine's. Raises NotFound for a platform
    that is not there, InvalidInput for a destination that cannot take what was asked for.
    """
    tags = tags_of(source, destination)
    reader, writer = open_source(source, registries), open_sink(destination, registries)
    if len(platforms) > 1 and not holds_indexes(destination):
        raise InvalidInput(
            f"{destination} holds one platform", "give one --platform, or copy to a registry or layout"
        )
    origin = (source.host, source.repository) if isinstance(source, RegistryReference) else None
    work = gather(reader, platforms, whole=holds_indexes(destination), origin=origin)._replace(tags=tags)
    _require_same(destination, work)
    return Copied(work, writer.survey(work) if dry_run else writer.publish(work))


def gather(
    source: Source,
    platforms: tuple[Platform, ...] = (),
    *,
    whole: bool = True,
    origin: tuple[str, str] | None = None,
) -> Publication:
    """A publication, without tags, of the source's image. Of blobs it reads a config at most."""
    top = source.document()
    documents = tuple(_unique(_chosen(source, top, platforms, whole)))
    parts: dict[Digest, Descriptor] = {}
    for document in documents:
        if isinstance(document, Manifest):
            found = (document.config, *document.layers)
            parts |= {part.digest: part for part in found if part.media_type not in FOREIGN_LAYERS}
    blobs = tuple(Blob(part, _opener(source, part), origin) for part in parts.values())
    return Publication(documents, blobs, ())


def tags_of(source: Reference, destination: Reference) -> tuple[str, ...]:
    """The names at the destination: its own tag, else the source's. A layout can do without."""
    if isinstance(destination, Scratch):
        return ()
    tag = destination.tag or ("" if isinstance(source, Scratch) else source.tag)
    if tag:
        return (tag if isinstance(destination, LayoutReference) else check_tag(tag),)
    match destination:
        case RegistryReference(digest=None) | DaemonReference():
            raise InvalidInput(
                f"{destination} has no tag, and {source} neither", f"write it like {destination}:TAG"
            )
        case ArchiveReference() | LayoutReference() | RegistryReference():
            return ()


def _chosen(
    source: Source, top: Document, platforms: tuple[Platform, ...], whole: bool
) -> Iterator[Document]:
    """Children first, the target last."""
    if isinstance(top, Manifest):
        _require_platform(source, top, platforms)
        yield top
    elif not platforms and whole:
        yield from _tree(source, top, _DEPTH)
    else:
        wanted = platforms or (_only(top) or Platform.of_host(),)
        entries = list(dict.fromkeys(top.select(platform).digest for platform in wanted))
        yield from (source.document(digest) for digest in entries)
        if len(entries) > 1:
            yield _narrowed(top, frozenset(entries))


def _tree(source: Source, index: Index, depth: int) -> Iterator[Document]:
    if not depth or len(index.manifests) > _IMAGES:
        raise CorruptContent(
            f"{index.digest} is an index of too many images or levels", "no tool makes such ones"
        )
    for entry in index.manifests:
        child = source.document(entry.digest)
        if isinstance(child, Index):
            yield from _tree(source, child, depth - 1)
        else:
            yield child
    yield index


def _unique(documents: Iterator[Document]) -> Iterator[Document]:
    seen = set()
    for document in documents:
        if document.digest not in seen:
            seen.add(document.digest)
            yield document


def _only(index: Index) -> Platform | None:
    images = index.images()
    return images[0][0] if len(images) == 1 else None


def _require_platform(source: Source, manifest: Manifest, platforms: tuple[Platform, ...]) -> None:
    if not platforms:
        return
    if manifest.config.media_type not in _CONFIGS or manifest.config.size > canonical.DOCUMENT_LIMIT:
        raise InvalidInput(
            "what is copied is no container image, so it has no platform", "leave --platform out"
        )
    with source.blob(manifest.config) as stream:
        offered = ImageConfig(stream.read(), manifest.config.media_type).platform
    for platform in platforms:
        if not platform.runs(offered):
            raise NotFound(
                f"the image is for {offered}, not for {platform}", "leave --platform out, or name another"
            )


def _require_same(destination: Reference, work: Publication) -> None:
    wanted = destination.digest if isinstance(destination, RegistryReference | LayoutReference) else None
    if wanted is not None and wanted != work.target.digest:
        raise InvalidInput(f"the destination says {wanted}, the image is {work.target.digest}",
                           "leave the digest out of the destination")  # fmt: skip


def _narrowed(index: Index, kept: frozenset[Digest]) -> Index:
    """The index with these images only, edited as data: its type and what nobody here knows stay."""
    fields = canonical.load_object(index.raw, "image index")
    fields["manifests"] = [entry for entry in fields["manifests"] if entry["digest"] in kept]
    return Index(canonical.dump(fields), index.media_type)


def _opener(source: Source, part: Descriptor) -> Callable[[], BinaryIO]:
    return lambda: source.blob(part)
