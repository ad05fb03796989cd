"""Layers made of plain mappings, without any repository."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence

from buildkit.git.tree import EXECUTABLE, REGULAR, SYMLINK, Entry
from buildkit.layers.layer import Content, Written, write_layer
from buildkit.testing.repositories import File

ODD: dict[bytes, bytes | File] = {
    b"plain": b"1",
    b"empty": b"",
    b"tool.sh": File(b"#!/bin/sh\n", EXECUTABLE),
    b"link": File(b"plain", SYMLINK),
    b"line\nfeed\n": b"2",
    b"\xff\xfe not utf-8": b"3",
    "caf\u00e9/\u65e5\u672c\u8a9e".encode(): b"4",
    b" leading and trailing ": b"5",
    b"back\\slash\\n": b"6",
    b"24 path=/etc/passwd\n": b"7",
    b"0000000": b"8",
    b"-rf *": b"9",
    b"UPPER/upper": b"10",
    b"UPPER/Upper": b"11",
    b"/".join([b"p" * 99] * 3): b"12",
    b"n" * 100: b"13",
    b"n" * 101: b"14",
    b"d" * 255 + b"/x": b"15",
    b"exactly/" + b"q" * 92: b"16",
    b"links/absolute": File(b"/etc/passwd", SYMLINK),
    b"links/upwards": File(b"../../../../x", SYMLINK),
    b"links/bytes": File(b"\xff\n\xfe", SYMLINK),
    b"links/long": File(b"t" * 300, SYMLINK),
    b"links/record": File(b"24 linkpath=/etc/passwd\n", SYMLINK),
    b"links/100": File(b"t" * 100, SYMLINK),
    b"links/101": File(b"t" * 101, SYMLINK),
    b"block": b"x" * 512,
    b"block+1": b"x" * 513,
}


def entry(path: bytes, file: bytes | File) -> Entry:
    """As a commit would have it."""
    content, mode = file if isinstance(file, File) else (file, REGULAR)
    return Entry(path, mode, hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest())


def entries_of(files: Mapping[bytes, bytes | File]) -> list[Entry]:
    """Sorted by path."""
    return [entry(path, files[path]) for path in sorted(files)]


def layer(
    files: Mapping[bytes, bytes | File], prefix: str = "/app", *, piece: int = 1 << 20
) -> tuple[Written, bytes]:
    """The layer that holds these files, and its bytes; content comes in pieces of this size."""

    def contents(entries: Sequence[Entry]) -> Iterator[Content]:
        for path, _, _ in entries:
            file = files[path]
            data = file.content if isinstance(file, File) else file
            yield Content(len(data), [data[start : start + piece] for start in range(0, len(data), piece)])

    parts: list[bytes] = []
    written = write_layer(entries_of(files), prefix, contents, parts.append)()
    return written, b"".join(parts)


def members(raw_tar: bytes) -> list[tuple[bytes, tarfile.TarInfo]]:
    """What Python reads of a tar file: names as bytes, and all else."""
    with tarfile.open(fileobj=io.BytesIO(raw_tar), errors="surrogateescape", encoding="utf-8") as tar:
        return [(member.name.encode(errors="surrogateescape"), member) for member in tar.getmembers()]


def contents(raw_tar: bytes) -> dict[bytes, bytes | File]:
    """The files and links of a tar file as the mapping they were made of."""
    found: dict[bytes, bytes | File] = {}
    with tarfile.open(fileobj=io.BytesIO(raw_tar), errors="surrogateescape", encoding="utf-8") as tar:
        for member in tar:
            name = member.name.encode(errors="surrogateescape")
            if member.issym():
                found[name] = File(member.linkname.encode(errors="surrogateescape"), SYMLINK)
            elif member.isfile():
                stream = tar.extractfile(member)
                assert stream is not None
                data = stream.read()
                found[name] = File(data, EXECUTABLE) if member.mode & 0o100 else data
    return found
