"""The history of an image over another base (image-spec, config.md): the base's entries are swapped. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from buildkit.errors import CorruptContent
from buildkit.image.config import ImageConfig

Entry = dict[str, Any]
UNKNOWN = {"created_by": "history unknown"}


def own_entries(config: ImageConfig, base: Sequence[Entry], base_layers: int) -> list[Entry]:
    """The entries of an image above its base's, `empty_layer` ones among them.

    `base` is the history of the base of so many layers, one entry for each layer. As many entries as the image has
    layers of its own speak of a layer: where the image's history says nothing of that kind, it is completed.
    CorruptContent where it is no history.
    """
    history = config.fields.get("history") or []
    if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
        raise CorruptContent("image config: malformed history", "the image is broken at its source")
    if sum(map(_is_filled, history)) != len(config.diff_ids):
        return [dict(UNKNOWN) for _ in config.diff_ids[base_layers:]]
    if history[: len(base)] == list(base):
        return history[len(base) :]
    rest = history[_end_of(history, base_layers) :]
    last_words = list(base[_end_of(base, base_layers) :])
    return rest[len(last_words) :] if rest[: len(last_words)] == last_words else rest


def _end_of(history: Sequence[Entry], layers: int) -> int:
    """The number of entries up to the last of so many layers."""
    filled = [number for number, entry in enumerate(history, 1) if _is_filled(entry)]
    return filled[layers - 1] if layers else 0


def _is_filled(entry: Entry) -> bool:
    return not entry.get("empty_layer")
