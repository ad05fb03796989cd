"""Facts of bases beside the images in a registry, for runners without a cache: a base of 20 GB is read once, not once a
build. They are an artifact (image-spec, manifest.md, "Guidelines for Artifact Usage") under a tag of their own.

Whoever can write to a repository can write any facts there: they are read only where `reuse.from` trusts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from io import BytesIO

from buildkit.bases.base import Base
from buildkit.bases.facts import Facts
from buildkit.bases.facts_cache import key_of
from buildkit.endpoints import Blob, Publication, Source
from buildkit.errors import AccessDenied, CorruptContent, InvalidInput, Unavailable
from buildkit.image.canonical import DOCUMENT_LIMIT
from buildkit.image.descriptor import Descriptor
from buildkit.image.manifest import Manifest

_CONFIG = "application/vnd.treeship.base-facts.config.v1+json"
_FACTS = "application/vnd.treeship.base-facts.v1+json"
_EMPTY = b"{}"


def tag_of(base: Base) -> str:
    """Where the facts of a base are: named by all that was read, and by the rules by which they were found."""
    return f"base-facts-{key_of(base)}"


def read_shared(base: Base, trusted: Iterable[Source], say: Callable[[str], object]) -> Facts | None:
    """The facts, from the first of these repositories that has them. They are hints: damaged ones are passed over, and
    repositories that do not answer, of which `say` is told."""
    for source in trusted:
        try:
            found = source.document(tag_of(base))
            if isinstance(found, Manifest) and len(found.layers) == 1:
                return _read(source, found.layers[0])
        except (Unavailable, AccessDenied) as error:
            say(f"what is known of the base could not be read from a trusted repository: {error.what}")
        except InvalidInput:
            continue
    return None


def publication(base: Base, facts: Facts) -> Publication:
    """The artifact, for a repository where others look for it."""
    raw = facts.dump()
    config, layer = Descriptor.of(_EMPTY, _CONFIG), Descriptor.of(raw, _FACTS)
    manifest = Manifest.build(config, [layer], {})
    blobs = (Blob(config, partial(BytesIO, _EMPTY)), Blob(layer, partial(BytesIO, raw)))
    return Publication((manifest,), blobs, (tag_of(base),))


def _read(source: Source, layer: Descriptor) -> Facts:
    if layer.size > DOCUMENT_LIMIT:
        raise CorruptContent(f"base facts of {layer.size} bytes", "remove them: they are found out again")
    with source.blob(layer) as stream:
        return Facts.load(stream.read())
