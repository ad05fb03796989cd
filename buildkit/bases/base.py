"""A base image, resolved once for each platform; only its manifest and config are fetched, and kept by digest."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from buildkit.cache import Cache
from buildkit.endpoints import Blob, Source
from buildkit.errors import CorruptContent, InvalidInput
from buildkit.image.canonical import DOCUMENT_LIMIT
from buildkit.image.config import ImageConfig
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document, Index, Manifest, parse_document
from buildkit.image.platform import Platform
from buildkit.image.reference import LayoutReference, Reference, RegistryReference, Scratch


class Base(NamedTuple):
    """What a build needs to know of its base.

    `name` goes into annotations (empty where the reference means something on this machine only), `digest` is
    that of the index or manifest that the reference names. `source` is None for scratch.
    """

    reference: Reference
    name: str
    digest: Digest | None
    layers: tuple[Descriptor, ...]
    config: ImageConfig
    platform: Platform
    source: Source | None

    def blobs(self) -> tuple[Blob, ...]:
        """Its layers for a sink that lacks them, in a form in which they can be mounted where registries allow it."""
        origin = None
        if isinstance(self.reference, RegistryReference):
            origin = (self.reference.host, self.reference.repository)
        return tuple(Blob(layer, self._opener(layer), origin) for layer in self.layers)

    def _opener(self, layer: Descriptor) -> Callable[[], BinaryIO]:
        source = self.source
        assert source is not None
        return lambda: source.blob(layer)


def resolve(
    reference: Reference, source: Source | None, platforms: tuple[Platform, ...], cache: Cache
) -> tuple[Base, ...]:
    """The base for each platform; for none given, the base's own (of an index: this machine's).

    Raises NotFound for a base or platform that does not exist.
    """
    if isinstance(reference, Scratch) or source is None:
        return tuple(_scratch(platform) for platform in platforms or (Platform.of_host(),))
    top = _document(source, reference, cache)
    if not platforms:
        platforms = (Platform.of_host(),) if isinstance(top, Index) else ()
    if isinstance(top, Manifest):
        base = _base(reference, source, top, top.digest, cache)
        _refuse_other_platform(base, platforms)
        return (base._replace(platform=platforms[0]),) if platforms else (base,)
    found = []
    for platform in platforms:
        entry = top.select(platform)
        child = _by_digest(source, entry.digest, entry.media_type, cache)
        if not isinstance(child, Manifest):
            raise CorruptContent(f"{reference}: an index within an index", "name a base image of one level")
        found.append(_base(reference, source, child, top.digest, cache)._replace(platform=platform))
    return tuple(found)


def _scratch(platform: Platform) -> Base:
    return Base(Scratch(), "scratch", None, (), ImageConfig.scratch(platform), platform, None)


def _document(source: Source, reference: Reference, cache: Cache) -> Document:
    """By digest from the cache; a tag is always asked for, since it may have moved."""
    digest = reference.digest if isinstance(reference, (RegistryReference, LayoutReference)) else None
    if digest is not None:
        return _by_digest(source, digest, "", cache)
    document = source.document()
    cache.put_document(document.raw)
    return document


def _by_digest(source: Source, digest: Digest, media_type: str, cache: Cache) -> Document:
    raw = cache.get_document(digest)
    if raw is not None:
        return parse_document(raw, media_type)
    document = source.document(digest)
    cache.put_document(document.raw)
    return document


def _base(reference: Reference, source: Source, manifest: Manifest, digest: Digest, cache: Cache) -> Base:
    config = ImageConfig(_config_bytes(source, manifest.config, cache), manifest.config.media_type)
    if len(config.diff_ids) != len(manifest.layers):
        raise CorruptContent(
            f"{reference}: {len(manifest.layers)} layers, but {len(config.diff_ids)} diff ids in its config",
            "the base image is broken at its source",
        )
    name = str(reference._replace(digest=None)) if isinstance(reference, RegistryReference) else ""
    return Base(reference, name, digest, manifest.layers, config, _platform(reference, config), source)


def _config_bytes(source: Source, descriptor: Descriptor, cache: Cache) -> bytes:
    raw = cache.get_document(descriptor.digest)
    if raw is not None:
        return raw
    if descriptor.size > DOCUMENT_LIMIT:
        raise CorruptContent(
            f"image config of {descriptor.size} bytes", "the base image is broken at its source"
        )
    with source.blob(descriptor) as stream:
        raw = stream.read()
    cache.put_document(raw)
    return raw


def _platform(reference: Reference, config: ImageConfig) -> Platform:
    if not config.platform.architecture or not config.platform.os:
        raise InvalidInput(
            f"{reference}: its config names no operating system or architecture, and runtimes refuse such images",
            "take another base, or build it again with a current tool",
        )
    return Platform.parse(str(config.platform))


def _refuse_other_platform(base: Base, platforms: tuple[Platform, ...]) -> None:
    for platform in platforms:
        if not platform.runs(base.platform):
            raise InvalidInput(
                f"{base.reference} is an image for {base.platform}, not for {platform}",
                "give another base, or leave --platform out",
            )
    if len(platforms) > 1:
        raise InvalidInput(
            f"{base.reference} is an image for {base.platform} alone",
            "an index of several platforms needs a base with all",
        )
