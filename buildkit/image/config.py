"""Image configs (image-spec, config.md): edited as data, so that fields nobody here knows survive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildkit.errors import CorruptContent
from buildkit.image import canonical, media
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest, is_digest
from buildkit.image.platform import Platform


class AddedLayer(NamedTuple):
    """What the config says about one layer on top of the base."""

    diff_id: Digest
    created_by: str


class ImageConfig:
    """A config and the raw bytes that its digest, the image id, is taken of."""

    __slots__ = ("descriptor", "diff_ids", "fields", "raw")

    def __init__(self, raw: bytes, media_type: str = media.OCI_CONFIG) -> None:
        """Raises CorruptContent where the bytes are no image config."""
        self.raw = raw
        self.fields = canonical.load_object(raw, "image config")
        self.descriptor = Descriptor.of(raw, media_type)
        rootfs = self.fields.get("rootfs")
        diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        if not isinstance(diff_ids, list) or not all(
            isinstance(item, str) and is_digest(item) for item in diff_ids
        ):
            raise CorruptContent("image config has no rootfs.diff_ids", "the image is broken at its source")
        self.diff_ids = tuple(Digest(item) for item in diff_ids)

    @classmethod
    def scratch(cls, platform: Platform) -> ImageConfig:
        """The config of an image without layers."""
        fields = {**platform.to_json(), "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
        return cls(canonical.dump(fields))

    @property
    def platform(self) -> Platform:
        """What it runs on; empty words where the config does not say."""
        return Platform.of(self.fields)

    @property
    def runtime(self) -> Mapping[str, Any]:
        """The `config` object: Env, User, WorkingDir, Entrypoint, Cmd, Labels and what else is there."""
        value = self.fields.get("config") or {}
        if not isinstance(value, dict):
            raise CorruptContent(
                "image config: 'config' is not an object", "the image is broken at its source"
            )
        env, labels = value.get("Env") or [], value.get("Labels") or {}
        if not isinstance(env, list) or not isinstance(labels, dict):
            raise CorruptContent("image config: malformed Env or Labels", "the image is broken at its source")
        if not all(isinstance(text, str) for text in (*env, *labels.values())):
            raise CorruptContent(
                "image config: Env or Labels are not text", "the image is broken at its source"
            )
        return value

    def extend(
        self,
        *,
        platform: Platform,
        created: str,
        layers: Sequence[AddedLayer],
        runtime: Mapping[str, Any],
        author: str = "",
    ) -> ImageConfig:
        """This config with layers on top and `runtime` in place of its own.

        `created` is RFC 3339. History gains one entry a layer, and where the base's history does not match
        its layers it is completed, since tools that rebase count it.
        """
        fields = dict(self.fields)
        # Docker's record of the container that an image was committed from; it would contradict `config`.
        fields.pop("container", None)
        fields.pop("container_config", None)
        fields |= platform.to_json()
        fields["created"] = created
        if author:
            fields["author"] = author
        fields["config"] = dict(runtime)
        diff_ids = [*self.diff_ids, *(layer.diff_id for layer in layers)]
        fields["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
        added = [
            {"created": created, "created_by": layer.created_by, "comment": "treeship"} for layer in layers
        ]
        fields["history"] = self._history() + added
        return ImageConfig(canonical.dump(fields))

    def _history(self) -> list[dict[str, Any]]:
        history = self.fields.get("history") or []
        if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
            raise CorruptContent("image config: malformed history", "the image is broken at its source")
        filled = sum(1 for entry in history if not entry.get("empty_layer"))
        if filled == len(self.diff_ids):
            return history
        return [{"created_by": "base image, history unknown"} for _ in self.diff_ids]
