"""Base + layers + commit + settings → config and manifest. Pure: equal inputs give equal bytes anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildkit.bases.base import Base
from buildkit.config.values import Holds
from buildkit.git.commit import Commit
from buildkit.image import annotations as names
from buildkit.image import media
from buildkit.image.config import AddedLayer, ImageConfig
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Index, Manifest
from buildkit.layers.layer import Written


class BuiltLayer(NamedTuple):
    """A layer above the base's, ready to be named in a manifest; `told` are annotations beside those of every layer."""

    name: str
    key: Digest
    written: Written
    told: Mapping[str, str] = {}

    @property
    def descriptor(self) -> Descriptor:
        """Its descriptor, with what a later build needs to use the layer again."""
        annotations = {
            names.LAYER_NAME: self.name,
            names.LAYER_KEY: self.key,
            names.LAYER_DIFF_ID: self.written.diff_id,
            **self.told,
        }
        return Descriptor(media.OCI_LAYER_GZIP, self.written.digest, self.written.size, annotations)


class BuiltImage(NamedTuple):
    """One platform's image."""

    base: Base
    config: ImageConfig
    manifest: Manifest


def image(base: Base, layers: Sequence[BuiltLayer], commit: Commit, holds: Holds) -> BuiltImage:
    """The image of a commit on a base."""
    annotations = annotations_of(base, commit, holds)
    config = base.config.extend(
        platform=base.platform,
        created=commit.created,
        layers=[
            AddedLayer(layer.written.diff_id, f"treeship layer {layer.name} {layer.key}") for layer in layers
        ],
        runtime=_runtime(base.config.runtime, annotations, holds),
    )
    descriptors = [*base.layers, *(layer.descriptor for layer in layers)]
    return BuiltImage(base, config, Manifest.build(config.descriptor, descriptors, annotations))


def index(images: Sequence[BuiltImage], commit: Commit, holds: Holds) -> Index:
    """The index over the images of several platforms."""
    entries = [built.manifest.descriptor._replace(platform=built.base.platform.to_json()) for built in images]
    return Index.build(entries, annotations_of(images[0].base, commit, holds))


def annotations_of(base: Base, commit: Commit, holds: Holds) -> dict[str, str]:
    """The OCI annotations of a commit's image (image-spec, annotations.md); empty ones are left out."""
    named = {
        names.CREATED: commit.created,
        names.REVISION: commit.oid,
        names.SOURCE: holds.source,
        names.VERSION: holds.version or commit.oid[:12],
        names.BASE_NAME: base.name,
        names.BASE_DIGEST: base.digest or "",
        names.VARIANT: holds.selected,
    }
    return {key: value for key, value in named.items() if value}


def _runtime(inherited: Mapping[str, Any], annotations: Mapping[str, str], holds: Holds) -> dict[str, Any]:
    """The `config` object: the base's, with what the settings say in its place."""
    runtime = dict(inherited)
    runtime["WorkingDir"] = holds.workdir
    runtime["Env"] = _environment(inherited.get("Env") or [], holds)
    runtime["Labels"] = _labels(inherited.get("Labels") or {}, annotations, holds)
    if holds.user:
        runtime["User"] = holds.user
    if holds.entrypoint is not None:
        # As in a Dockerfile: the base's arguments were meant for the base's entry point.
        runtime["Entrypoint"] = list(holds.entrypoint) or None
        runtime.pop("Cmd", None)
    if holds.cmd is not None:
        runtime["Cmd"] = list(holds.cmd) or None
    return {key: value for key, value in runtime.items() if value is not None}


def _environment(inherited: Sequence[str], holds: Holds) -> list[str]:
    """The base's variables in their order, with ours in place or behind."""
    variables = dict(item.partition("=")[::2] for item in inherited)
    if holds.pythonpath:
        variables["PYTHONPATH"] = ":".join(holds.pythonpath)
    if holds.path:
        variables["PATH"] = ":".join([*holds.path, *filter(None, [variables.get("PATH", _DEFAULT_PATH)])])
    variables |= holds.environment
    return [f"{name}={value}" for name, value in variables.items()]


# What runtimes use for an image that names none.
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _labels(inherited: Mapping[str, str], annotations: Mapping[str, str], holds: Holds) -> dict[str, str]:
    """The base's labels less those that describe the base itself, and the annotations again as labels.

    Docker drops manifests, so annotations alone would be lost there.
    """
    kept = {key: value for key, value in inherited.items() if not key.startswith((names.OCI, names.TREESHIP))}
    return {**kept, **annotations, **holds.labels}
