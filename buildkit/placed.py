"""Where layers of wheels were sent before: a registry can mount them from there into another repository.

It is this machine's own memory; a place that has lost a layer meanwhile costs one request.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from buildkit.cache import Cache
from buildkit.image.digest import Digest

Origin = tuple[str, str]
"""Host and repository."""


def remember(cache: Cache, digests: Iterable[Digest], place: Origin) -> None:
    """These blobs are there now."""
    host, repository = place
    for digest in digests:
        cache.put("placed", _name(digest, host), repository.encode())


def find(cache: Cache, digest: Digest, hosts: Iterable[str]) -> Origin | None:
    """A place at one of these hosts that had the blob."""
    for host in hosts:
        found = cache.get("placed", _name(digest, host))
        if found is not None:
            return host, found.decode(errors="replace")
    return None


def _name(digest: Digest, host: str) -> str:
    return sha256(f"{host} {digest}".encode()).hexdigest()
