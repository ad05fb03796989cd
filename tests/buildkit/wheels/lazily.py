"""eStargz layers read as docs/estargz.md of the stargz snapshotter has it, by nothing of buildkit."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zlib
from typing import Any, NamedTuple

Entry = dict[str, Any]


class Read(NamedTuple):
    """The table's entries, its digest, and the content of each file as it is read by the table alone."""

    entries: list[Entry]
    digest: str
    contents: dict[str, bytes]


def member(blob: bytes, offset: int) -> tuple[bytes, int]:
    """What the gzip member at this offset holds, and where it ends."""
    inflater = zlib.decompressobj(31)
    parts: list[bytes] = []
    at = offset
    while not inflater.eof:
        assert at < len(blob)
        parts.append(inflater.decompress(blob[at : at + 65536]))
        at += 65536
    return b"".join(parts), min(at, len(blob)) - len(inflater.unused_data)


def read(blob: bytes) -> Read:
    """Footer, table, then every chunk."""
    foot = blob[-51:]
    assert foot[:10] == b"\x1f\x8b\x08\x04\0\0\0\0\0\xff"
    assert foot[10:16] == b"\x1a\0SG\x16\0"
    assert foot[32:] == b"STARGZ\1\0\0\xff\xff" + bytes(8)
    assert member(blob, len(blob) - 51) == (b"", len(blob))
    last, end = member(blob, int(foot[16:32], 16))
    assert end == len(blob) - 51
    with tarfile.open(fileobj=io.BytesIO(last)) as tar:
        (info,) = tar.getmembers()
        assert info.name == "stargz.index.json"
        table = (tar.extractfile(info) or io.BytesIO()).read()
    found = json.loads(table)
    assert found.keys() == {"version", "entries"}
    assert found["version"] == 1
    return Read(
        found["entries"], "sha256:" + hashlib.sha256(table).hexdigest(), _contents(blob, found["entries"])
    )


def _contents(blob: bytes, entries: list[Entry]) -> dict[str, bytes]:
    """By name, what the chunks hold; each is one member, has its digest, and follows the one before."""
    found: dict[str, bytes] = {}
    sizes: dict[str, int] = {}
    offsets: list[int] = []
    for entry in entries:
        assert {"name", "type"} <= entry.keys()
        if entry["type"] == "dir":
            assert entry["name"].endswith("/")
            continue
        assert entry["type"] in ("reg", "chunk")
        name = entry["name"]
        if entry["type"] == "reg":
            assert name not in found
            found[name], sizes[name] = b"", entry.get("size", 0)
            assert ("offset" in entry) == ("chunkDigest" in entry) == bool(sizes[name])
        if "offset" in entry:
            data, _ = member(blob, entry["offset"])
            offsets.append(entry["offset"])
            assert entry.get("chunkOffset", 0) == len(found[name])
            assert len(data) == (entry.get("chunkSize") or sizes[name] - len(found[name]))
            assert entry["chunkDigest"] == "sha256:" + hashlib.sha256(data).hexdigest()
            found[name] += data
    assert offsets == sorted(set(offsets))
    assert {name: len(content) for name, content in found.items()} == sizes
    for entry in entries:
        if "digest" in entry:
            assert entry["digest"] == "sha256:" + hashlib.sha256(found[entry["name"]]).hexdigest()
    return found
