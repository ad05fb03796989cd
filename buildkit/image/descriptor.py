"""Descriptors (image-spec, descriptor.md): what is pointed to, by type, digest and size in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from buildkit.errors import CorruptContent
from buildkit.image.digest import Digest, is_digest
from buildkit.image.platform import Platform


class Descriptor(NamedTuple):
    """`other` carries the fields that treeship has no use for (urls, data, artifactType) untouched."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = {}
    platform: Mapping[str, Any] | None = None
    other: Mapping[str, Any] = {}

    @classmethod
    def of(cls, raw: bytes, media_type: str) -> Descriptor:
        """The descriptor of these bytes."""
        return cls(media_type, Digest.of(raw), len(raw))

    @classmethod
    def from_json(cls, value: object, what: str) -> Descriptor:
        """Raises CorruptContent, which names `what`, where a required field is absent or of another type."""
        if not isinstance(value, dict):
            raise CorruptContent(
                f"{what}: a descriptor is not an object", "the image is broken at its source"
            )
        rest = dict(value)
        media_type, digest, size = rest.pop("mediaType", ""), rest.pop("digest", None), rest.pop("size", None)
        annotations, platform = rest.pop("annotations", None) or {}, rest.pop("platform", None)
        well_formed = (
            isinstance(media_type, str)
            and isinstance(digest, str)
            and is_digest(digest)
            and type(size) is int
            and size >= 0
            and isinstance(annotations, dict)
            and all(isinstance(v, str) for v in annotations.values())
            and (platform is None or isinstance(platform, dict))
        )
        if not well_formed:
            raise CorruptContent(f"{what}: a descriptor is malformed", "the image is broken at its source")
        return cls(media_type, Digest(digest), size, annotations, platform, rest)

    def to_json(self) -> dict[str, Any]:
        """The inverse of `from_json`; empty annotations are left out."""
        value: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        if self.platform is not None:
            value["platform"] = dict(self.platform)
        return {**self.other, **value}

    def for_platform(self) -> Platform | None:
        """The platform this manifest says it is for, where it says so."""
        return None if self.platform is None else Platform.of(self.platform)
