"""The image that is to be rebased, as it stands: its document, and the manifest and config of every platform."""

from __future__ import annotations

from typing import NamedTuple

from buildkit.compare import Image
from buildkit.endpoints import Source
from buildkit.errors import CorruptContent, InvalidInput
from buildkit.image import media
from buildkit.image.canonical import DOCUMENT_LIMIT
from buildkit.image.config import ImageConfig
from buildkit.image.descriptor import Descriptor
from buildkit.image.manifest import Document, Manifest
from buildkit.image.reference import Reference, RegistryReference

_PLATFORMS = 100
_CONFIGS = frozenset({media.OCI_CONFIG, media.DOCKER_CONFIG})


class Subject(NamedTuple):
    """An image, and where it was read. `images` are in an index's order, with its entries."""

    reference: Reference
    source: Source
    document: Document
    images: tuple[tuple[Descriptor, Image], ...]

    @property
    def origin(self) -> tuple[str, str] | None:
        """Where its blobs may be mounted from."""
        reference = self.reference
        return (reference.host, reference.repository) if isinstance(reference, RegistryReference) else None


def read(reference: Reference, source: Source, document: Document | None = None) -> Subject:
    """The image behind a reference; `document` is its manifest or index where that is known.

    InvalidInput for what is no container image, CorruptContent for an index of too many, of none, or of indexes.
    """
    document = document or source.document()
    if isinstance(document, Manifest):
        return Subject(reference, source, document, ((document.descriptor, image_of(source, document)),))
    entries = [entry for _, entry in document.images()]
    if not 0 < len(entries) <= _PLATFORMS:
        raise CorruptContent(
            f"{reference} is an index of {len(entries)} images", "name an image by its digest"
        )
    images = []
    for entry in entries:
        child = source.document(entry.digest)
        if not isinstance(child, Manifest):
            raise CorruptContent(f"{reference}: an index within an index", "name the inner one by its digest")
        images.append((entry, image_of(source, child)))
    return Subject(reference, source, document, tuple(images))


def image_of(source: Source, manifest: Manifest) -> Image:
    """The manifest with its config. InvalidInput for what is no container image."""
    if manifest.config.media_type not in _CONFIGS:
        raise InvalidInput("what is to be rebased is no container image", "name an image")
    if manifest.config.size > DOCUMENT_LIMIT:
        raise CorruptContent(
            f"image config of {manifest.config.size} bytes", "the image is broken at its source"
        )
    with source.blob(manifest.config) as stream:
        return Image(manifest, ImageConfig(stream.read(), manifest.config.media_type))
