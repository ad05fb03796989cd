"""What a base without a neighbour below it stands on: a parent, by digest wherever that can be had.

1. The digest of bases.lock, or of --parent: nobody is asked.
2. Else, unless `frozen` forbids it, what the registry says that the tag is today, with a note.
3. Else what the engine has under this name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from buildkit.bases import base as bases
from buildkit.bases.base import Base
from buildkit.bases.dockerfiles.engine import Builder
from buildkit.cache import Cache
from buildkit.errors import InvalidInput, NotFound, Refused, TreeshipError
from buildkit.image.digest import Digest
from buildkit.image.platform import Platform
from buildkit.image.reference import DaemonReference, Reference, RegistryReference, Scratch
from buildkit.transports import Connect, open_source


class Parent(NamedTuple):
    """A parent, found. `identity` is what a key is made of, `digest` is None where only the engine knows it.

    `engine_id` is there for a parent that the engine has, `base` where its manifest was read.
    """

    reference: Reference
    identity: str
    digest: Digest | None
    pinned: bool
    engine_id: str = ""
    base: Base | None = None

    @property
    def name(self) -> str:
        """For a label; empty where the reference means something on this machine only."""
        return (
            str(self.reference._replace(digest=None)) if isinstance(self.reference, RegistryReference) else ""
        )


class Sources(NamedTuple):
    """Who can be asked about parents, and where notes go. `frozen`: nothing that is not pinned."""

    connect: Connect
    cache: Cache
    engine: Builder
    note: Callable[[str], None]
    frozen: bool = False


def find_parent(reference: Reference, pin: Digest | None, platform: Platform, sources: Sources) -> Parent:
    """`pin` is the lock's digest. Refused without one, if `frozen`; else what the reference's place raises."""
    if isinstance(reference, Scratch):
        raise InvalidInput("a base on scratch has nothing to run in", "name an image")
    if isinstance(reference, RegistryReference):
        digest = reference.digest or pin
        if digest is not None:
            return Parent(reference._replace(digest=digest), digest, digest, pinned=True)
    if sources.frozen:
        raise Refused(
            f"the parent {reference} is not pinned", "run `treeship base pin`, or leave --frozen out"
        )
    if isinstance(reference, DaemonReference):
        return _in_engine(reference, sources.engine)
    try:
        base = read_base(reference, platform, sources)
    except TreeshipError as error:
        return _fallback(reference, error, sources)
    assert base.digest is not None
    if isinstance(reference, RegistryReference):
        reference = reference._replace(digest=base.digest)
        sources.note(f"{reference._replace(digest=None)} is not pinned; today it is {base.digest}")
    return Parent(reference, base.digest, base.digest, pinned=False, base=base)


def read_base(reference: Reference, platform: Platform, sources: Sources) -> Base:
    """The parent's manifest and config."""
    (base,) = bases.resolve(reference, open_source(reference, sources.connect), (platform,), sources.cache)
    return base


def _fallback(reference: Reference, error: TreeshipError, sources: Sources) -> Parent:
    """The engine may have pulled it at another time, with another login."""
    if not isinstance(reference, RegistryReference):
        raise error
    # The engine's short names: it knows docker.io/library/python:3 by this one too.
    image = sources.engine.image(str(reference))
    if image is None:
        raise error
    sources.note(f"{error.what}; taken as the Docker Engine has it: {image.id}")
    return Parent(reference, image.id, None, pinned=False, engine_id=image.id)


def _in_engine(reference: DaemonReference, engine: Builder) -> Parent:
    name = f"{reference.name}:{reference.tag or 'latest'}"
    image = engine.image(name)
    if image is None:
        raise NotFound(f"the Docker Engine has no image {name}", "see `docker images`")
    return Parent(reference, image.id, None, pinned=False, engine_id=image.id)
