"""Layer keys: what a layer holds and how it is written, known before a single blob is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from buildkit.git.tree import Entry
from buildkit.image.digest import Digest
from buildkit.layers import gzip, tar

# Raise it whenever the bytes of any layer change, even by one: old keys must not find new bytes.
FORMAT = 2


def recipe(prefix: str) -> bytes:
    """Everything beside the entries that decides the bytes: format, encoder, time, owner, prefix."""
    return b"treeship layer %d\n%s\n%d\n0:0\n%s\n" % (
        FORMAT,
        gzip.recipe().encode(),
        tar.MTIME,
        prefix.encode(),
    )


def statement(entries: Iterable[Entry]) -> bytes:
    """The entries as text: one `mode SP id TAB path NUL` each, in the order of their paths."""
    return b"".join([b"%s %s\t%s\0" % (mode, oid.encode(), path) for path, mode, oid in entries])


def parse_statement(text: bytes) -> list[Entry]:
    """The inverse of `statement`; ValueError where it is none."""
    entries = []
    for line in text.split(b"\0")[:-1]:
        meta, _, path = line.partition(b"\t")
        mode, _, oid = meta.partition(b" ")
        if not (path and mode and oid):
            raise ValueError("not a list of entries")
        entries.append(Entry(path, mode, oid.decode()))
    return entries


def layer_key(prefix: str, listed: bytes) -> Digest:
    """The key of the layer that holds these entries (as `statement` gives them) under `prefix`."""
    return Digest("sha256:" + hashlib.sha256(recipe(prefix) + listed).hexdigest())
