"""The list of images in a layout's `index.json` (image-spec, image-layout.md § index.json file); pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from buildkit.errors import InvalidInput, NotFound
from buildkit.image import media
from buildkit.image.descriptor import Descriptor

REF_NAME = "org.opencontainers.image.ref.name"
# Layers with a place of their own (`urls`), which no copy has to hold (image-spec, layer.md).
FOREIGN_LAYERS = frozenset(
    {
        media.OCI_FOREIGN_LAYER,
        media.OCI_FOREIGN_LAYER_GZIP,
        media.DOCKER_FOREIGN_LAYER_GZIP,
    }
)


class Entry(NamedTuple):
    """One image of `index.json` under its reference name, which may be empty."""

    tag: str
    descriptor: Descriptor


def entries(manifests: list[Any], what: str) -> list[Entry]:
    """The images; entries of kinds that nobody here knows are left out."""
    found = (Descriptor.from_json(entry, what) for entry in manifests if _is_image(entry))
    return [Entry(descriptor.annotations.get(REF_NAME, ""), descriptor) for descriptor in found]


def choose(entries: list[Entry], tag: str, where: str) -> Descriptor:
    """The entry of this name, or without one the only image; errors list what there is."""
    named = [entry for entry in entries if entry.tag == tag] if tag else entries
    found = {entry.descriptor.digest: entry.descriptor for entry in named}
    if len(found) == 1:
        return next(iter(found.values()))
    known = ", ".join(sorted({entry.tag for entry in entries if entry.tag})) or "none"
    if tag and not found:
        raise NotFound(f"no image {tag!r} in {where}", f"its tags: {known}")
    if not found:
        raise NotFound(f"no image in {where}", "nothing was published there yet")
    if tag:
        raise InvalidInput(
            f"{where} has several images named {tag!r}", f"give a digest: {', '.join(sorted(found))}"
        )
    raise InvalidInput(f"{where} has {len(found)} images", f"name one as oci:{where}:TAG; its tags: {known}")


def pointed(manifests: list[Any], target: Descriptor, tags: tuple[str, ...]) -> list[Any]:
    """The entries of an index after `tags` (or, without any, no name) came to point to `target`; pure.

    All else stays as and where it was. An image that loses its name stays listed without one, as skopeo
    does: garbage collectors (umoci gc) remove what no entry names, and somebody may still use its digest.
    Where another entry names the same image, the nameless one says nothing more and goes.
    """
    kept: list[Any] = []
    missing = list(dict.fromkeys(tags))
    for entry in manifests:
        name = _name(entry)
        if name in missing and _is(entry, target):
            missing.remove(name)
        elif name and name in tags:
            entry = _without_name(entry)
        kept.append(entry)
    kept += [target._replace(annotations={REF_NAME: tag}).to_json() for tag in missing]
    if not tags and not any(_is(entry, target) for entry in kept):
        kept.append(target._replace(annotations={}).to_json())
    elsewhere = {entry["digest"] for entry in kept if _name(entry)}
    return [entry for entry in kept if not (_is_bare(entry) and entry["digest"] in elsewhere)]


def _name(entry: Any) -> str:
    annotations = entry.get("annotations") if isinstance(entry, dict) else None
    name = annotations.get(REF_NAME) if isinstance(annotations, dict) else None
    return name if isinstance(name, str) and isinstance(entry.get("digest"), str) else ""


def _without_name(entry: dict[str, Any]) -> dict[str, Any]:
    annotations = {key: value for key, value in entry["annotations"].items() if key != REF_NAME}
    rest = {key: value for key, value in entry.items() if key != "annotations"}
    return {**rest, "annotations": annotations} if annotations else rest


def _is(entry: Any, target: Descriptor) -> bool:
    wanted = (target.digest, target.size, target.media_type)
    return (
        isinstance(entry, dict) and (entry.get("digest"), entry.get("size"), entry.get("mediaType")) == wanted
    )


def _is_bare(entry: Any) -> bool:
    """An entry that says nothing but what it points to."""
    bare = isinstance(entry, dict) and entry.keys() == {"mediaType", "digest", "size"}
    return bare and isinstance(entry["digest"], str)


def _is_image(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("mediaType", "") in {*media.DOCUMENTS, ""}
