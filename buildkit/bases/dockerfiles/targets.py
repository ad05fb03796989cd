"""Where a base goes: `--to` with `{name}` in it, or as it is for one base alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from buildkit.errors import InvalidInput
from buildkit.image.digest import Digest
from buildkit.image.reference import (
    ArchiveReference,
    DaemonReference,
    LayoutReference,
    Reference,
    RegistryReference,
    Scratch,
    parse_reference,
)

_NAME = "{name}"


class Target(NamedTuple):
    """A place with its tag; `digest` where the image is there already."""

    reference: Reference
    tag: str
    digest: Digest | None = None

    def __str__(self) -> str:
        return str(self.reference)


def targets_of(to: Sequence[str], name: str, key: Digest, *, alone: bool) -> list[Target]:
    """The places for one base. A registry's tag is the key's beginning, where none is given; elsewhere the name, or
    `latest`. InvalidInput for several bases in one place."""
    if not alone and any(_NAME not in text for text in to):
        raise InvalidInput(
            "several bases cannot go to one place", f"write {_NAME} where their names belong in --to"
        )
    return [_target(parse_reference(text.replace(_NAME, name)), name, key) for text in to]


def _target(reference: Reference, name: str, key: Digest) -> Target:
    match reference:
        case RegistryReference(digest=None):
            return _tagged(reference, reference.tag or key.hex[:12])
        case LayoutReference(digest=None):
            return _tagged(reference, reference.tag or name)
        case DaemonReference():
            return _tagged(reference, reference.tag or "latest")
        case ArchiveReference():
            return Target(reference, reference.tag)
        case RegistryReference() | LayoutReference() | Scratch():
            raise InvalidInput(f"a base cannot be sent to {reference}", "name a place and a tag")


def _tagged(reference: RegistryReference | LayoutReference | DaemonReference, tag: str) -> Target:
    return Target(reference._replace(tag=tag), tag)
