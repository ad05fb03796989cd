"""Runs of entries that are compressed by themselves, so that a layer with one changed file is mostly copied.

A group begins where the hash of a path says so, hence an edit moves no other group's borders. Folders come first,
all together: otherwise what a group states would depend on the groups before it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple
from zlib import crc32

from buildkit.git.tree import Entry
from buildkit.layers import key as keys

# One path in this many begins a group.
_LENGTH = 16

Kept = Mapping[bytes, tuple[bytes, ...]]
"""Gzip members by group key."""


class Group(NamedTuple):
    """Neighbouring entries of a layer; `key` is the hash of what they are, 32 bytes."""

    key: bytes
    entries: Sequence[Entry]


def split(entries: Iterable[Entry]) -> list[Group]:
    """The groups of a layer's entries, in their order."""
    runs: list[list[Entry]] = []
    for entry in entries:
        if not runs or _begins(entry.path):
            runs.append([])
        runs[-1].append(entry)
    return [Group(sha256(keys.statement(run)).digest(), run) for run in runs]


def _begins(path: bytes) -> bool:
    """The checksum's bits are mixed first: as it is, it is what put all paths of this layer together."""
    return (crc32(path) * 0x9E3779B1 >> 16) % _LENGTH == 0


def pack(kept: Kept) -> bytes:
    """As one piece of bytes: for each group its key, the number of its members, their lengths, the members."""
    parts = []
    for key, members in kept.items():
        lengths = struct.pack(f"<I{len(members)}I", len(members), *map(len, members))
        parts += [key, lengths, *members]
    return b"".join(parts)


def unpack(data: bytes) -> Kept:
    """The inverse of `pack`; ValueError where it is none."""
    kept, position = {}, 0
    try:
        while position < len(data):
            key = data[position : position + 32]
            (count,) = struct.unpack_from("<I", data, position + 32)
            lengths = struct.unpack_from(f"<{count}I", data, position + 36)
            position += 36 + 4 * count
            members = []
            for length in lengths:
                members.append(data[position : position + length])
                position += length
            kept[key] = tuple(members)
    except struct.error:
        raise ValueError("not a pack of members") from None
    if position != len(data):
        raise ValueError("not a pack of members")
    return kept
