"""What makes a layer of gzip members an eStargz layer: its table of contents, its landmark and its footer. Pure.

Source: stargz-snapshotter, docs/estargz.md.
"""

from __future__ import annotations

import datetime
import json
import struct
from typing import Any

from buildkit.layers import tar

NAME = b"stargz.index.json"
# No file is to be fetched ahead of others: nobody has recorded which ones a start needs.
LANDMARK, LANDMARK_CONTENT = b".no.prefetch.landmark", b"\x0f"
RESERVED = frozenset({NAME, LANDMARK, b".prefetch.landmark"})
FOOTER_SIZE = 51

_MODIFIED = datetime.datetime.fromtimestamp(tar.MTIME, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

Entry = dict[str, Any]
"""An entry as JSON has it; those of chunks get their digest when it is known."""


class Table:
    """The entries, in the order of the tar."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def folder(self, path: bytes, mode: int) -> None:
        """A folder, its path with the final '/'."""
        self._entries.append(_described(path, "dir", mode))

    def file(self, path: bytes, mode: int, size: int, digest: str) -> Entry:
        """A file of this size in bytes, of whose chunks `chunk` speaks; `digest` may be "", where it is not known."""
        entry = _described(path, "reg", mode)
        entry |= {"size": size} if size else {}
        entry |= {"digest": digest} if digest else {}
        self._entries.append(entry)
        return entry

    def chunk(self, file: Entry, offset: int, start: int, size: int) -> Entry:
        """The chunk of the file whose member begins at `offset` of the layer: `size` bytes from `start` of the file.

        What is returned lacks its "chunkDigest".
        """
        entry = file
        if start:
            entry = {"name": file["name"], "type": "chunk", "chunkOffset": start}
            self._entries.append(entry)
        entry["offset"] = offset
        if start + size < file["size"]:
            entry["chunkSize"] = size
        return entry

    def json(self) -> bytes:
        """The table. Nothing may follow its last brace: readers hash only what they parse."""
        return json.dumps({"version": 1, "entries": self._entries}, separators=(",", ":")).encode()


def member(table: bytes) -> bytes:
    """The tar bytes from the table's header to the end: they are one gzip member, since readers read only the first."""
    header = tar.header(NAME, tar.FILE, mode=0o644, size=len(table))
    return b"".join((header, table, tar.padding(len(table)), tar.END))


def footer(offset: int) -> bytes:
    """The end of the layer, which says where the table's member begins: an empty gzip member with an extra field."""
    extra = b"%016xSTARGZ" % offset
    head = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff"
    return (
        head + struct.pack("<H2sH", len(extra) + 4, b"SG", len(extra)) + extra + b"\1\0\0\xff\xff" + bytes(8)
    )


def _described(path: bytes, kind: str, mode: int) -> Entry:
    return {"name": path.decode(), "type": kind, "modtime": _MODIFIED, "mode": mode, "uid": 0, "gid": 0}
