"""Commit objects (git's Documentation/gitformat-commit)."""

from __future__ import annotations

import time
from typing import NamedTuple

from buildkit.errors import CorruptContent


class Commit(NamedTuple):
    """`seconds` is the committer time since 1970, UTC."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    seconds: int

    @property
    def created(self) -> str:
        """The committer time as RFC 3339, for configs and annotations."""
        # Outside of what RFC 3339 can say, the nearest that it can.
        bounded = min(max(self.seconds, 0), 253402300799)
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(bounded))


def parse_commit(oid: str, raw: bytes) -> Commit:
    """Raises CorruptContent where the header lacks a tree or a committer."""
    tree, parents, seconds = "", [], None
    for line in raw.partition(b"\n\n")[0].split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == b"tree" and not tree:
            tree = value.decode("ascii", "replace")
        elif key == b"parent":
            parents.append(value.decode("ascii", "replace"))
        elif key == b"committer" and seconds is None:
            seconds = _seconds(value)
    if not tree or seconds is None:
        raise CorruptContent(f"commit {oid} is malformed", "run `git fsck` in the repository")
    return Commit(oid, tree, tuple(parents), seconds)


def _seconds(committer: bytes) -> int:
    """The time in `Name <mail> SECONDS ZONE`; 0 where it is no number, as git reads it."""
    words = committer.rpartition(b">")[2].split()
    digits = words[0] if words else b"0"
    return int(digits) if digits.removeprefix(b"-").isdigit() and len(digits) < 19 else 0
