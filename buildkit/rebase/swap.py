"""One image, from its old base to a new one: manifest and config. Pure: equal inputs give equal bytes anywhere.

The image's own layers keep their descriptors. The new base's layers, platform and history come in the place of the old
one's, as in a build (`assemble.py`), and the result is of OCI's media types, as all that treeship writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from buildkit.bases.base import Base
from buildkit.compare import Image
from buildkit.errors import CorruptContent, InvalidInput, Refused
from buildkit.image import canonical, media
from buildkit.image.annotations import BASE_DIGEST, BASE_NAME
from buildkit.image.config import ImageConfig
from buildkit.image.descriptor import Descriptor
from buildkit.image.manifest import Index, Manifest
from buildkit.rebase import history
from buildkit.rebase.merge import merge_fields, merge_runtime

# An image without a date gets this one, so that rebasing it twice gives the same.
_EPOCH = "1970-01-01T00:00:00Z"


class Swapped(NamedTuple):
    """The image on its new base, and notes on what could not be merged without loss."""

    image: Image
    notes: tuple[str, ...] = ()


def swap(image: Image, old: Base, new: Base, *, most_layers: int) -> Swapped:
    """The image with `new` in the place of `old`.

    Refused where the image does not stand on `old`, InvalidInput where more than `most_layers` would be in the result,
    CorruptContent for an image that contradicts itself.
    """
    refuse_other_base(image, old)
    own = image.manifest.layers[len(old.layers) :]
    if len(new.layers) + len(own) > most_layers:
        raise InvalidInput(
            f"the new base has {len(new.layers)} layers and the image {len(own)} of its own; "
            f"runtimes take {most_layers} in all",
            "build the commit on the new base: a build makes fewer layers where there is less room",
        )
    config, notes = _config(image, old, new)
    manifest = canonical.load_object(image.manifest.raw, "image manifest")
    layers = [_in_oci(layer).to_json() for layer in (*new.layers, *own)]
    manifest |= {"schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": config.descriptor.to_json()}
    manifest |= {"layers": layers, "annotations": rewritten(image.manifest.annotations, new)}
    return Swapped(Image(Manifest(canonical.dump(_filled(manifest))), config), notes)


class Entry(NamedTuple):
    """An entry of an index, the image that is to be in its place, and that image's base."""

    descriptor: Descriptor
    image: Image
    base: Base


def swap_index(index: Index, entries: Sequence[Entry]) -> Index:
    """The index with these images in the place of all that it had.

    What describes the old images alone, as BuildKit's attestations do, is left out.
    """
    fields = canonical.load_object(index.raw, "image index")
    fields["manifests"] = [
        descriptor._replace(
            media_type=image.manifest.media_type, digest=image.manifest.digest, size=len(image.manifest.raw),
            platform=base.platform.to_json(),
        ).to_json()
        for descriptor, image, base in entries
    ]  # fmt: skip
    fields |= {"schemaVersion": 2, "mediaType": media.OCI_INDEX}
    fields["annotations"] = rewritten(index.annotations, entries[0].base)
    return Index(canonical.dump(_filled(fields)))


def refuse_other_base(image: Image, base: Base) -> None:
    """Refused where the base's layers, as stored and as unpacked, are not the lowest of the image."""
    manifest, config = image.manifest, image.config
    if len(config.diff_ids) != len(manifest.layers):
        raise CorruptContent(
            f"the image has {len(manifest.layers)} layers, but {len(config.diff_ids)} diff ids in its config",
            "the image is broken at its source",
        )
    stored = [layer.digest for layer in manifest.layers]
    for number, (theirs, unpacked) in enumerate(zip(base.layers, base.config.diff_ids, strict=True)):
        if number >= len(stored):
            raise _refused(base, f"the base has {len(base.layers)} layers, the image {len(stored)}")
        if config.diff_ids[number] != unpacked:
            raise _refused(
                base, f"layer {number} is {stored[number]} in the image, {theirs.digest} in the base"
            )
        if stored[number] != theirs.digest:
            raise _refused(base, f"layer {number} holds the same, but is packed as {stored[number]} in the image "
                                 f"and as {theirs.digest} in the base")  # fmt: skip


def rewritten(annotations: Mapping[str, str], base: Base) -> dict[str, str]:
    """Annotations that name this base."""
    others = {key: text for key, text in annotations.items() if key not in (BASE_NAME, BASE_DIGEST)}
    return {**others, **naming(base)}


def naming(base: Base) -> dict[str, str]:
    """What a build writes of its base, into annotations and labels."""
    return {key: text for key, text in ((BASE_NAME, base.name), (BASE_DIGEST, base.digest or "")) if text}


def _config(image: Image, old: Base, new: Base) -> tuple[ImageConfig, tuple[str, ...]]:
    own = image.config
    runtime = merge_runtime(
        old.config.runtime, new.config.runtime, own.runtime, image.manifest.annotations, naming(new)
    )
    created = own.fields.get("created")
    created = created if isinstance(created, str) and created else _EPOCH
    plain = _base_fields(new, created)
    others = merge_fields(_base_fields(old, created), plain, own.fields)
    said = {key: plain[key] for key in _OF_THE_BASE if key in plain}
    count = len(old.config.diff_ids)
    diff_ids = [*new.config.diff_ids, *own.diff_ids[count:]]
    told = [*_history(new), *history.own_entries(own, _history(old), count)]
    fields = {
        **others.fields, **said, "created": created, "config": runtime.fields, "history": told,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }  # fmt: skip
    return ImageConfig(canonical.dump(fields)), (*runtime.notes, *others.notes)


_OF_THE_BASE = ("architecture", "os", "variant", "os.version", "os.features")


def _base_fields(base: Base, created: str) -> dict[str, Any]:
    """What a build would begin with."""
    return base.config.extend(platform=base.platform, created=created, layers=(), runtime={}).fields


def _history(base: Base) -> Sequence[history.Entry]:
    found: list[history.Entry] = _base_fields(base, "")["history"]
    return found


def _in_oci(layer: Descriptor) -> Descriptor:
    return layer._replace(media_type=media.to_oci(layer.media_type))


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    """As builds have it: no annotations rather than empty ones."""
    return {key: value for key, value in fields.items() if key != "annotations" or value}


def _refused(base: Base, difference: str) -> Refused:
    return Refused(
        f"the image does not stand on {base.reference}: {difference}",
        "name the base that it was built on with --from",
    )


class Change(NamedTuple):
    """What differs in the config: a side that lacks it is empty."""

    what: str
    before: str
    after: str


def changes(before: ImageConfig, after: ImageConfig) -> Iterator[Change]:
    """Of the configs, variable by variable and label by label; layers and history are told apart from these."""
    ours, theirs = _flat(before), _flat(after)
    for what in sorted(ours.keys() | theirs.keys()):
        if ours.get(what) != theirs.get(what):
            yield Change(what, ours.get(what, ""), theirs.get(what, ""))


def _flat(config: ImageConfig) -> dict[str, str]:
    said = {key: value for key, value in config.fields.items() if key not in ("config", "rootfs", "history")}
    runtime = dict(config.runtime)
    flat = {
        f"Env {name}": value
        for name, _, value in (item.partition("=") for item in runtime.pop("Env", None) or ())
    }
    flat |= {f"Label {key}": text for key, text in (runtime.pop("Labels", None) or {}).items()}
    rest = {**runtime, **said}
    return {**flat, **{key: value if isinstance(value, str) else canonical.dump(value).decode()
                       for key, value in rest.items() if value is not None}}  # fmt: skip


def swapped_layers(before: Manifest, after: Manifest, kept: int) -> tuple[list[Descriptor], list[Descriptor]]:
    """The layers that go and those that come; `kept` are the image's own, on top of both. Equal lowest ones stay."""
    gone, come = before.layers[: len(before.layers) - kept], after.layers[: len(after.layers) - kept]
    same = 0
    for ours, theirs in zip_longest(gone, come):
        if ours is None or theirs is None or ours.digest != theirs.digest:
            break
        same += 1
    return list(gone[same:]), list(come[same:])
