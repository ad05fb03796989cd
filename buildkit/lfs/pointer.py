"""LFS pointers, as leniently as git-lfs reads them (its docs/spec.md, and DecodePointer in lfs/pointer.go).

Whoever is stricter takes a pointer with CRLF line ends, say, for content.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from buildkit.errors import InvalidInput

# git-lfs looks for pointers in smaller blobs only (blobSizeCutoff in lfs/scanner.go).
POINTER_LIMIT = 1024
_VERSIONS = frozenset({
    "https://git-lfs.github.com/spec/v1",
    "https://hawser.github.com/spec/v1",
    "http://git-media.io/v/2",
})  # fmt: skip
_KEYS = ("version", "oid", "size")
_OID = re.compile(r"sha256:([0-9a-f]{64})")
_SIZE = re.compile(r"\+?[0-9]+")
_EXTENSION = re.compile(r"ext-([0-9])-[0-9A-Za-z_].*", re.DOTALL)
# What Go's bytes.TrimSpace takes off; Python's own notion of space is a wider one.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


class Pointer(NamedTuple):
    """What a pointer names: content of `size` bytes with this sha256, in hex.

    `extensions` are programs that the content went through before it was stored: it is not what belongs into
    the file then. `canonical` says that the pointer is written as git-lfs itself would.
    """

    oid: str
    size: int
    extensions: tuple[str, ...] = ()
    canonical: bool = True


def parse_pointer(data: bytes) -> Pointer | None:
    """The pointer that a blob is, or None. An empty blob is none: it stands for itself."""
    if not data or len(data) >= POINTER_LIMIT:
        return None
    fields: dict[str, str] = {}
    extensions: dict[str, str] = {}
    for line in data.decode("utf-8", "surrogateescape").strip(_SPACE).split("\n"):
        key, space, value = line.removesuffix("\r").partition(" ")
        if not key and not space:
            continue
        if not space or len(fields) == len(_KEYS):
            return None
        if key == _KEYS[len(fields)]:
            fields[key] = value
        elif _EXTENSION.fullmatch(key):
            extensions[key] = value
        else:
            return None
    return _checked(fields, extensions, data)


def _checked(fields: dict[str, str], extensions: dict[str, str], data: bytes) -> Pointer | None:
    oid, size = _OID.fullmatch(fields.get("oid", "")), fields.get("size", "")
    if fields.get("version") not in _VERSIONS or not oid or not _SIZE.fullmatch(size) or len(size) > 30:
        return None
    if int(size) >= 1 << 63 or not all(map(_OID.fullmatch, extensions.values())):
        return None
    if len({key[4] for key in extensions}) < len(extensions):
        return None  # two of one priority
    lines = ["version https://git-lfs.github.com/spec/v1"]
    lines += [f"{key} {extensions[key]}" for key in sorted(extensions)]
    lines += [f"oid sha256:{oid[1]}", f"size {int(size)}", ""]
    canonical = int(size) > 0 and "\n".join(lines).encode("utf-8", "surrogateescape") == data
    return Pointer(oid[1], int(size), tuple(sorted(extensions)), canonical)


def refuse_extensions(pointer: Pointer, path: bytes) -> None:
    """Raises InvalidInput for a pointer whose content is stored in another form than the file has."""
    if pointer.extensions:
        name = path.decode(errors="backslashreplace")
        raise InvalidInput(
            f"{name}: its LFS content went through {', '.join(pointer.extensions)}",
            "programs of git-lfs extensions are not run here: leave the path out of lfs.include",
        )
