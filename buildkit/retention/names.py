"""What a tag's name says: the commit of a build, something attached to a digest, or a name that people gave."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from buildkit.image.digest import Digest

# As `destinations.py` makes them: the commit, and the variant behind it.
_COMMIT = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})(?:-([a-z0-9][a-z0-9._-]{0,47}))?")
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


def as_tag(name: str) -> str:
    """A branch's or git tag's name as it is usually made into an image's tag: `feature/X` is `feature-x`."""
    return _UNFIT.sub("-", name.lower())[:128]
