"""Manifests and indexes (image-spec, manifest.md and image-index.md) as views on the bytes received.

A fetched document is never serialised again: its digest is that of the bytes that came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from buildkit.errors import CorruptContent, NotFound
from buildkit.image import canonical, media
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.platform import Platform


class Manifest:
    """An image manifest: one config and its layers, lowest first."""

    __slots__ = ("annotations", "config", "descriptor", "layers", "media_type", "raw")

    def __init__(self, raw: bytes, media_type: str = media.OCI_MANIFEST) -> None:
        """Raises CorruptContent where the bytes are no image manifest."""
        fields = canonical.load_object(raw, "image manifest")
        layers = fields.get("layers")
        if not isinstance(layers, list):
            raise CorruptContent(
                "image manifest has no list of layers", "treeship reads OCI and Docker v2s2 images"
            )
        self.raw = raw
        self.media_type = media_type
        self.descriptor = Descriptor.of(raw, media_type)
        self.config = Descriptor.from_json(fields.get("config"), "image manifest")
        self.layers = tuple(Descriptor.from_json(layer, "image manifest") for layer in layers)
        self.annotations: Mapping[str, str] = _annotations(fields)

    @classmethod
    def build(
        cls, config: Descriptor, layers: Sequence[Descriptor], annotations: Mapping[str, str]
    ) -> Manifest:
        """An OCI manifest of these parts; Docker types among them become OCI's, never a mixture."""
        parts = [part._replace(media_type=media.to_oci(part.media_type)) for part in (config, *layers)]
        fields: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": media.OCI_MANIFEST,
            "config": parts[0].to_json(),
            "layers": [layer.to_json() for layer in parts[1:]],
        }
        if annotations:
            fields["annotations"] = dict(annotations)
        return cls(canonical.dump(fields))

    @property
    def digest(self) -> Digest:
        """The digest of the raw bytes."""
        return self.descriptor.digest


class Index:
    """An image index: one manifest for each platform."""

    __slots__ = ("annotations", "descriptor", "manifests", "media_type", "raw")

    def __init__(self, raw: bytes, media_type: str = media.OCI_INDEX) -> None:
        """Raises CorruptContent where the bytes are no index."""
        fields = canonical.load_object(raw, "image index")
        manifests = fields.get("manifests")
        if not isinstance(manifests, list):
            raise CorruptContent("image index has no list of manifests", "the image is broken at its source")
        self.raw = raw
        self.media_type = media_type
        self.descriptor = Descriptor.of(raw, media_type)
        self.manifests = tuple(Descriptor.from_json(entry, "image index") for entry in manifests)
        self.annotations: Mapping[str, str] = _annotations(fields)

    @classmethod
    def build(cls, manifests: Sequence[Descriptor], annotations: Mapping[str, str]) -> Index:
        """An OCI index of these manifests, in this order."""
        fields: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": media.OCI_INDEX,
            "manifests": [manifest.to_json() for manifest in manifests],
        }
        if annotations:
            fields["annotations"] = dict(annotations)
        return cls(canonical.dump(fields))

    @property
    def digest(self) -> Digest:
        """The digest of the raw bytes."""
        return self.descriptor.digest

    def images(self) -> list[tuple[Platform, Descriptor]]:
        """The manifests that are images; BuildKit's attestations (`unknown/unknown`) are not."""
        found = ((entry.for_platform(), entry) for entry in self.manifests)
        return [(p, entry) for p, entry in found if p is not None and p.architecture not in ("", "unknown")]

    def select(self, wanted: Platform) -> Descriptor:
        """The manifest for a platform: the exact one first, then the best that it runs; else NotFound."""
        images = self.images()
        usable = [(offered, entry) for offered, entry in images if wanted.runs(offered)]
        if not usable:
            offers = ", ".join(str(offered) for offered, _ in images) or "no image at all"
            raise NotFound(f"the index has no image for {wanted}: it offers {offers}",
                           "give --platform, or another base")  # fmt: skip
        return max(usable, key=lambda image: (image[0] == wanted, image[0].level))[1]


Document = Manifest | Index


def parse_document(raw: bytes, media_type: str) -> Document:
    """By the document's own media type, else by the one given with it, else by its shape (old layouts have none)."""
    fields = canonical.load_object(raw, "image document")
    declared = fields.get("mediaType") or media_type.partition(";")[0].strip()
    if not isinstance(declared, str) or ("manifests" in fields and "layers" in fields):
        # One reader would take it for an image, the other for an index of images.
        raise CorruptContent("an image document is of two kinds at once", "the image is broken at its source")
    if declared in media.INDEXES or (declared not in media.MANIFESTS and "manifests" in fields):
        return Index(raw, declared if declared in media.INDEXES else media.OCI_INDEX)
    if declared in media.MANIFESTS or "layers" in fields:
        return Manifest(raw, declared if declared in media.MANIFESTS else media.OCI_MANIFEST)
    raise CorruptContent(f"not an image: media type {str(declared)[:100]!r}",
                         "treeship reads OCI and Docker v2s2 images")  # fmt: skip


def _annotations(fields: Mapping[str, Any]) -> dict[str, str]:
    value = fields.get("annotations") or {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise CorruptContent("annotations are not text", "the image is broken at its source")
    return value
