"""In what two images differ, in words. Pure: what was computed from git against what a registry shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

from buildkit.image.annotations import LAYER_NAME
from buildkit.image.config import ImageConfig
from buildkit.image.descriptor import Descriptor
from buildkit.image.manifest import Manifest


class Difference(NamedTuple):
    """One thing that differs; a side that lacks it is empty."""

    what: str
    expected: str
    found: str


class Image(NamedTuple):
    """A manifest and its config."""

    manifest: Manifest
    config: ImageConfig


def compare(expected: Image, found: Image, base_layers: int) -> Iterator[Difference]:
    """Layers, config and annotations; the first `base_layers` layers are the base's."""
    if expected.manifest.digest == found.manifest.digest:
        return
    yield from _layers(expected.manifest.layers, found.manifest.layers, base_layers)
    yield from _mappings("annotation", expected.manifest.annotations, found.manifest.annotations)
    yield from _configs(expected.config.fields, found.config.fields)
    if expected.config.raw != found.config.raw or expected.manifest.raw != found.manifest.raw:
        yield Difference("manifest", expected.manifest.digest, found.manifest.digest)


def _layers(
    expected: tuple[Descriptor, ...], found: tuple[Descriptor, ...], base_layers: int
) -> Iterator[Difference]:
    for number, (ours, theirs) in enumerate(zip_longest(expected, found)):
        if ours == theirs:
            continue
        named = ours or theirs
        what = (
            f"base layer {number}"
            if number < base_layers
            else f"layer {named.annotations.get(LAYER_NAME, number)}"
        )
        if ours is None or theirs is None or ours.digest != theirs.digest:
            yield Difference(what, ours.digest if ours else "", theirs.digest if theirs else "")
        else:
            yield Difference(f"{what}, its description", str(ours.to_json()), str(theirs.to_json()))


def _configs(expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Difference]:
    """`config` key by key, the rest whole; layers are compared elsewhere."""
    ours, theirs = dict(expected), dict(found)
    yield from _mappings("config", ours.pop("config", None) or {}, theirs.pop("config", None) or {})
    for fields in (ours, theirs):
        fields.pop("history", None)
    yield from _mappings("config field", ours, theirs)


def _mappings(what: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Difference]:
    for key in sorted(expected.keys() | found.keys()):
        ours, theirs = expected.get(key), found.get(key)
        if ours != theirs:
            yield Difference(f"{what} {key}", _text(ours), _text(theirs))


def _text(value: object) -> str:
    return "" if value is None else str(value)[:500]
