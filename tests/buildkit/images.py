"""Small images in memory, for tests of the places that images go to."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from buildkit.endpoints import Blob, Publication, Source
from buildkit.image import canonical, media
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document, Index, Manifest
from buildkit.image.platform import Platform
from buildkit.image.reference import LayoutReference
from buildkit.layout import LayoutSink

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


class Layer(NamedTuple):
    """A layer as stored, and its diff id."""

    raw: bytes
    diff_id: Digest
    media_type: str = media.OCI_LAYER_GZIP


class Made(NamedTuple):
    """A document with the documents and blobs below it."""

    documents: tuple[Document, ...]
    parts: tuple[Descriptor, ...]
    blobs: dict[Digest, bytes]

    @property
    def target(self) -> Document:
        """The image or index."""
        return self.documents[-1]

    @property
    def manifest(self) -> Manifest:
        """The image."""
        assert isinstance(self.target, Manifest)
        return self.target

    def work(self, *tags: str) -> Publication:
        """To be published under these tags."""
        return Publication(
            self.documents, tuple(blob(self.blobs[part.digest], part) for part in self.parts), tags
        )


def blob(raw: bytes, descriptor: Descriptor) -> Blob:
    """These bytes on their way to a sink, whether they are the descriptor's or not."""
    return Blob(descriptor, lambda: io.BytesIO(raw))


def unopened(descriptor: Descriptor) -> Blob:
    """A blob that nobody may need to read."""

    def refuse() -> BinaryIO:
        raise AssertionError(f"{descriptor.digest} was opened")

    return Blob(descriptor, refuse)


def layer(files: Mapping[str, bytes], *, compressed: bool = True, media_type: str = "") -> Layer:
    """A layer of regular files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    raw = buffer.getvalue()
    stored = gzip.compress(raw, 1, mtime=0) if compressed else raw
    kind = media_type or (media.OCI_LAYER_GZIP if compressed else media.OCI_LAYER)
    return Layer(stored, Digest.of(raw), kind)


def image(*layers: Layer, platform: Platform = AMD64, docker: bool = False, **config: Any) -> Made:
    """An image that would run `/hello`; with `docker`, in Docker's media types."""
    fields: dict[str, Any] = {
        **platform.to_json(),
        "created": "2026-01-02T03:04:05Z",
        "config": {"Cmd": ["/hello"], **config},
        "rootfs": {"type": "layers", "diff_ids": [part.diff_id for part in layers]},
        "history": [{"created": "2026-01-02T03:04:05Z", "created_by": "a test"} for _ in layers],
    }
    raw = canonical.dump(fields)
    top = Descriptor.of(raw, media.DOCKER_CONFIG if docker else media.OCI_CONFIG)
    stack = [
        Descriptor.of(part.raw, media.DOCKER_LAYER_GZIP if docker else part.media_type) for part in layers
    ]
    parts = {part.digest: part for part in (top, *stack)}
    blobs = {top.digest: raw, **{Digest.of(part.raw): part.raw for part in layers}}
    return Made((_manifest(top, stack, docker),), tuple(parts.values()), blobs)


def index(*images: Made) -> Made:
    """An index of images, each for the platform that its config names."""
    entries = []
    for made in images:
        config = canonical.load_object(made.blobs[made.manifest.config.digest], "config")
        entries.append(made.target.descriptor._replace(platform=Platform.of(config).to_json()))
    top = Index.build(entries, {"a.test": "yes"})
    parts = {part.digest: part for made in images for part in made.parts}
    blobs = {digest: raw for made in images for digest, raw in made.blobs.items()}
    return Made((*(made.target for made in images), top), tuple(parts.values()), blobs)


def publish(folder: Path, made: Made, *tags: str) -> Path:
    """Into a layout."""
    LayoutSink(LayoutReference(str(folder))).publish(made.work(*tags))
    return folder


def read(source: Source, descriptor: Descriptor) -> bytes:
    """A whole blob."""
    with source.blob(descriptor) as stream:
        return stream.read()


def _manifest(config: Descriptor, layers: list[Descriptor], docker: bool) -> Manifest:
    if not docker:
        return Manifest.build(config, layers, {})
    fields = {
        "schemaVersion": 2,
        "mediaType": media.DOCKER_MANIFEST,
        "config": config.to_json(),
        "layers": [part.to_json() for part in layers],
    }
    return Manifest(canonical.dump(fields), media.DOCKER_MANIFEST)


def manifest_of(document: Document) -> Manifest:
    """The document, which has to be an image."""
    assert isinstance(document, Manifest)
    return document
