"""A built base on its way from the engine to where it goes.

Engines give layers uncompressed. Those of the parent are taken from the parent's own place, as they are there, or
mounted; the others are compressed by the encoder that all layers here have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from buildkit import files
from buildkit.bases.base import Base
from buildkit.bases.dockerfiles import key as keys
from buildkit.bases.dockerfiles.targets import Target
from buildkit.copy import copy
from buildkit.daemon import DaemonSource
from buildkit.endpoints import Blob, Publication, Source
from buildkit.errors import CorruptContent
from buildkit.image import annotations as names
from buildkit.image import media
from buildkit.image.canonical import DOCUMENT_LIMIT
from buildkit.image.config import ImageConfig
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Manifest
from buildkit.image.reference import DaemonReference, LayoutReference, RegistryReference
from buildkit.layers.members import MemberWriter
from buildkit.spool import Spool
from buildkit.transports import Connect, open_sink, open_source


def present(target: Target, key: Digest, connect: Connect) -> Digest | None:
    """The digest of what the target has, where that is the image of this key."""
    if not isinstance(target.reference, RegistryReference | LayoutReference):
        return None
    found = open_sink(target.reference, connect).lookup(target.tag)
    if not isinstance(found, Manifest) or found.config.size > DOCUMENT_LIMIT:
        return None
    with open_source(target.reference, connect).blob(found.config) as stream:
        config = ImageConfig(stream.read())
    return found.digest if (config.runtime.get("Labels") or {}).get(keys.KEY) == key else None


def send(image: DaemonReference, target: Target, parent: Base | None, connect: Connect) -> Digest:
    """Send an image of the engine; the digest that it has there. `parent` is what its lowest layers may come from."""
    if not isinstance(target.reference, RegistryReference | LayoutReference):
        return copy(image, target.reference, connect).digest
    source = DaemonSource(image)
    manifest = source.document()
    if not isinstance(manifest, Manifest):
        raise CorruptContent(f"{image} is no image", "the Docker Engine gave something else")
    with Spool() as spool:
        work = _publication(source, manifest, parent, spool)._replace(tags=(target.tag,))
        open_sink(target.reference, connect).publish(work)
    return work.target.digest


def _publication(source: Source, manifest: Manifest, parent: Base | None, spool: Spool) -> Publication:
    with source.blob(manifest.config) as stream:
        config = ImageConfig(stream.read())
    shared = _shared(config, parent)
    layers = [*shared, *(_compressed(source, layer, spool) for layer in manifest.layers[len(shared) :])]
    labels = config.runtime.get("Labels") or {}
    kept = {name: labels[name] for name in (names.BASE_NAME, names.BASE_DIGEST) if labels.get(name)}
    written = Manifest.build(manifest.config, [layer.descriptor for layer in layers], kept)
    blobs = {blob.digest: blob for blob in (Blob(written.config, _opener(source, manifest.config)), *layers)}
    return Publication((written,), tuple(blobs.values()), ())


def _shared(config: ImageConfig, parent: Base | None) -> tuple[Blob, ...]:
    """The parent's layers, if the image stands on all of them."""
    below = parent.config.diff_ids if parent else ()
    return parent.blobs() if parent and config.diff_ids[: len(below)] == below else ()


def _compressed(source: Source, layer: Descriptor, spool: Spool) -> Blob:
    blob = spool.blob()
    writer = MemberWriter(blob.write)
    try:
        with source.blob(layer) as stream:
            while chunk := stream.read(files.CHUNK):
                writer.add(chunk)
        digest, _diff_id, size = writer.finish()()
    except BaseException:
        writer.abandon()
        raise
    return Blob(Descriptor(media.OCI_LAYER_GZIP, Digest(f"sha256:{digest}"), size), blob.open)


def _opener(source: Source, part: Descriptor) -> Callable[[], BinaryIO]:
    return lambda: source.blob(part)
