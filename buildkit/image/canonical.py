"""Canonical JSON, so that equal documents have equal digests."""

from __future__ import annotations

import json
from typing import Any

from buildkit.errors import CorruptContent

# A guaranteed minimum of registries (distribution-spec, "Pushing Manifests"); larger ones are hostile or broken.
DOCUMENT_LIMIT = 4 * 1024 * 1024


def dump(value: Any) -> bytes:
    """Sorted keys, no white space, UTF-8, no final newline.

    CorruptContent for what was parsed from JSON but cannot be written: half a surrogate, NaN, endless nesting.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except (ValueError, RecursionError) as error:
        raise CorruptContent(f"not canonical JSON: {error}", "the image is broken at its source") from None


def load_object(raw: bytes, what: str) -> dict[str, Any]:
    """Parse a JSON object; `what` names it in the CorruptContent raised otherwise."""
    if len(raw) > DOCUMENT_LIMIT:
        raise CorruptContent(f"{what} is larger than {DOCUMENT_LIMIT} bytes", "it is no image document")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CorruptContent(f"{what} is not JSON: {error}", "the image is broken at its source") from None
    if not isinstance(value, dict):
        raise CorruptContent(f"{what} is not a JSON object", "the image is broken at its source")
    return value
