"""Facts of a resolved base: from the cache, or by reading each of its layers once."""

from __future__ import annotations

from buildkit.bases.base import Base
from buildkit.bases.facts import VERSION, Facts
from buildkit.bases.findings import find
from buildkit.bases.scan import scan
from buildkit.cache import Cache
from buildkit.errors import CorruptContent
from buildkit.image import canonical
from buildkit.image.digest import Digest


def facts_of(base: Base, cache: Cache) -> Facts:
    """What the base holds. Streams all layers where the cache does not know it: seconds for each GB.

    CorruptContent for layers that are broken or hostile, InvalidInput for zstd without its library, and what
    the base's source raises. Nothing is remembered of a base that raised.
    """
    name = _key(base)
    stored = cache.get("facts", name)
    if stored is not None:
        try:
            return Facts.load(stored)
        except CorruptContent:
            pass  # of another release; found out again below
    source = base.source
    tree = scan((f"layer {layer.digest}", source.blob(layer)) for layer in base.layers if source is not None)
    facts = find(tree, environment(base), base.platform.architecture)
    cache.put("facts", name, facts.dump())
    return facts


def environment(base: Base) -> dict[str, str]:
    """The variables of the base's config."""
    pairs = (text.partition("=") for text in base.config.runtime.get("Env") or ())
    return {key: value for key, equals, value in pairs if equals}


def _key(base: Base) -> str:
    """Of all that is read: a manifest by its parts, so that an index that names it again changes nothing."""
    parts = [
        VERSION,
        str(base.platform),
        base.config.descriptor.digest,
        *(layer.digest for layer in base.layers),
    ]
    return Digest.of(canonical.dump(parts)).hex
