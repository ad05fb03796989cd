"""What a tag's name says: the commit of a build, something attached to a digest, or a name that people gave."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from buildkit.image.digest import Digest

# As `destinations.py` makes them: the commit, and the variant behind it.
_OID, _VARIANT = r"[0-9a-f]{40}|[0-9a-f]{64}", r"[a-z0-9][a-z0-9._-]{0,47}"
_COMMIT = re.compile(f"({_OID})(?:-({_VARIANT}))?")
# The referrers tag schema (distribution-spec), and cosign's `.sig`, `.att`, `.sbom` behind the same digest.
_ATTACHED = re.compile(r"sha256-([0-9a-f]{64})(?:\..+)?")
_UNFIT = re.compile(r"[^a-z0-9._-]")


class Kind(StrEnum):
    """The three kinds of tags."""

    COMMIT = "commit"
    ATTACHED = "attached"
    NAMED = "named"


class Name(NamedTuple):
    """A tag's name, taken apart. `subject` is what an attached tag belongs to."""

    kind: Kind
    commit: str = ""
    variant: str = ""
    subject: Digest | None = None


def name_of(tag: str) -> Name:
    """What this tag is called after."""
    if match := _COMMIT.fullmatch(tag):
        return Name(Kind.COMMIT, match[1], match[2] or "")
    if match := _ATTACHED.fullmatch(tag):
        return Name(Kind.ATTACHED, subject=Digest(f"sha256:{match[1]}"))
    return Name(Kind.NAMED)


def is_commit(text: str) -> bool:
    """Whether this is a commit's whole id."""
    return bool(re.fullmatch(_OID, text))


def is_variant(text: str) -> bool:
    """Whether a variant may be called so."""
    return bool(re.fullmatch(_VARIANT, text))


def as_tag(name: str) -> str:
    """A branch's or git tag's name as it is usually made into an image's tag: `feature/X` is `feature-x`."""
    return _UNFIT.sub("-", name.lower())[:128]
