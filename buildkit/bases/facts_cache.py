"""Facts of a resolved base: from the cache, or by reading each of its layers once."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO, cast

from buildkit.bases.base import Base
from buildkit.bases.facts import VERSION, Facts
from buildkit.bases.findings import find
from buildkit.bases.scan import scan
from buildkit.cache import Cache
from buildkit.endpoints import Progress, Silent
from buildkit.errors import CorruptContent
from buildkit.image import canonical
from buildkit.image.digest import Digest


def facts_of(base: Base, cache: Cache, progress: Progress | None = None) -> Facts:
    """What the base holds: from the cache, else as `read_facts` finds out."""
    return cached_facts(base, cache) or read_facts(base, cache, progress)


def cached_facts(base: Base, cache: Cache) -> Facts | None:
    """What was found out before."""
    stored = cache.get("facts", key_of(base))
    try:
        return Facts.load(stored) if stored is not None else None
    except CorruptContent:
        return None  # of another release


def keep_facts(base: Base, cache: Cache, facts: Facts) -> None:
    """For the next build."""
    cache.put("facts", key_of(base), facts.dump())


def read_facts(base: Base, cache: Cache, progress: Progress | None = None) -> Facts:
    """Streams all layers: seconds for each GB, of which `progress` is told.

    CorruptContent for layers that are broken or hostile, InvalidInput for zstd without its library, and what
    the base's source raises. Nothing is remembered of a base that raised.
    """
    facts = find(scan(_streams(base, progress or Silent())), environment(base), base.platform.architecture)
    keep_facts(base, cache, facts)
    return facts


def _streams(base: Base, progress: Progress) -> Iterator[tuple[str, BinaryIO]]:
    """Each layer is opened when the one before has been read; who takes it closes it."""
    source = base.source
    for layer in base.layers if source is not None else ():
        assert source is not None
        stream = _Told(source.blob(layer), progress, f"read {layer.digest.hex[:12]}", layer.size)
        yield f"layer {layer.digest}", cast(BinaryIO, stream)


class _Told(io.RawIOBase):
    """Tells of what is read, and of the end even where it is an error: bars must be gone before that is shown."""

    def __init__(self, stream: BinaryIO, progress: Progress, label: str, size: int) -> None:
        self._stream, self._progress, self._label = stream, progress, label
        progress.start(label, size)

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._stream.read(-1 if size is None else size)
        self._progress.advance(self._label, len(data))
        return data

    def close(self) -> None:
        if not self.closed:
            self._progress.finish(self._label)
            self._stream.close()
        super().close()


def environment(base: Base) -> dict[str, str]:
    """The variables of the base's config."""
    pairs = (text.partition("=") for text in base.config.runtime.get("Env") or ())
    return {key: value for key, equals, value in pairs if equals}


def key_of(base: Base) -> str:
    """Of all that is read: a manifest by its parts, so that an index that names it again changes nothing."""
    parts = [
        VERSION,
        str(base.platform),
        base.config.descriptor.digest,
        *(layer.digest for layer in base.layers),
    ]
    return Digest.of(canonical.dump(parts)).hex
