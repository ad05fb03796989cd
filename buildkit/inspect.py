"""What an image is, as data for `--json` and as lines for people. Pure: documents in, description out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from buildkit import human
from buildkit.errors import CorruptContent
from buildkit.image.annotations import BASE_DIGEST, BASE_NAME, LAYER_KEY, LAYER_NAME
from buildkit.image.config import ImageConfig
from buildkit.image.descriptor import Descriptor
from buildkit.image.manifest import Document, Index, Manifest


def describe(reference: str, document: Document, configs: Sequence[ImageConfig] = ()) -> dict[str, Any]:
    """The description of an image, or of an index. `configs` has the config of a manifest, none for an index.

    Keys of both: reference, digest, media_type, size (of all that it takes to have it, as far as the document
    says), platforms, annotations. Of an image also: config, created, labels, base {name, digest}, layers
    (each: digest, diff_id, media_type, size, name, key). Of an index: images (each: platform, digest, size).
    """
    head = {"reference": reference, "digest": document.digest, "media_type": document.media_type}
    if isinstance(document, Index):
        return {**head, **_index(document)}
    return {**head, **_image(document, configs[0] if configs else None)}


def lines(description: Mapping[str, Any]) -> Iterator[str]:
    """The same for people, a fact a line. Control characters of hostile labels are shown, not obeyed."""
    for label, key in (("image", "reference"), ("digest", "digest"), ("type", "media_type")):
        yield f"{label:<10} {description[key]}"
    yield f"{'platform':<10} {_shown(', '.join(description['platforms'])) or 'unknown'}"
    yield f"{'size':<10} {human.size(description['size'])}"
    yield from _more(description)


def _image(manifest: Manifest, config: ImageConfig | None) -> dict[str, Any]:
    if config is not None and config.descriptor.digest != manifest.config.digest:
        raise CorruptContent("the config is another image's", "read both from one place")
    annotations = manifest.annotations
    labels = _labels(config)
    name = annotations.get(BASE_NAME) or labels.get(BASE_NAME, "")
    digest = annotations.get(BASE_DIGEST) or labels.get(BASE_DIGEST, "")
    return {
        "size": manifest.descriptor.size + manifest.config.size + sum(part.size for part in manifest.layers),
        "platforms": [str(config.platform)] if config is not None and config.platform.os else [],
        "annotations": dict(annotations),
        "config": manifest.config.digest,
        "created": str(config.fields.get("created") or "") if config is not None else "",
        "labels": labels,
        "base": {"name": name, "digest": digest} if name or digest else None,
        "layers": _layers(manifest, config),
    }


def _layers(manifest: Manifest, config: ImageConfig | None) -> list[dict[str, Any]]:
    known = config.diff_ids if config is not None else ()
    # An image whose config does not fit is still shown, as far as it goes.
    diff_ids: list[str] = [*known, *([""] * len(manifest.layers))]
    return [_layer(part, diff_id) for part, diff_id in zip(manifest.layers, diff_ids, strict=False)]


def _layer(part: Descriptor, diff_id: str) -> dict[str, Any]:
    return {
        "digest": part.digest,
        "diff_id": diff_id or None,
        "media_type": part.media_type,
        "size": part.size,
        "name": part.annotations.get(LAYER_NAME),
        "key": part.annotations.get(LAYER_KEY),
    }


def _index(index: Index) -> dict[str, Any]:
    images = [
        {"platform": str(platform), "digest": entry.digest, "size": entry.size}
        for platform, entry in index.images()
    ]
    return {
        "size": index.descriptor.size + sum(entry.size for entry in index.manifests),
        "platforms": [image["platform"] for image in images],
        "annotations": dict(index.annotations),
        "images": images,
    }


def _labels(config: ImageConfig | None) -> dict[str, str]:
    found = (config.runtime.get("Labels") or {}) if config is not None else {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _more(description: Mapping[str, Any]) -> Iterator[str]:
    if created := description.get("created"):
        yield f"{'created':<10} {_shown(created)}"
    if base := description.get("base"):
        yield f"{'base':<10} {_shown(base['name'])} {_shown(base['digest'])}".rstrip()
    for title, key in (("label", "labels"), ("annotation", "annotations")):
        for name, value in sorted((description.get(key) or {}).items()):
            yield f"{title:<10} {_shown(name)}={_shown(value)}"
    for image in description.get("images", ()):
        yield f"{'image':<10} {_shown(image['platform']):<16} {image['digest']}"
    for layer in description.get("layers", ()):
        named = f"{layer['digest']}  {_shown(layer['name'] or '')}".rstrip()
        yield f"{'layer':<10} {human.size(layer['size']):>9}  {named}"


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
