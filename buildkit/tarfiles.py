"""Tar as a container of a few large files: headers to write, and a strict index to read.

`tarfile` is for archives that are trusted: it reads extended headers of any size into memory, and hostile
numbers have sent it round for ever. Here nothing is extracted, all sizes are bounded, and what an archive of
images has no use for is refused. Layout of headers: POSIX.1-2017, pax, "ustar Interchange Format".
"""

from __future__ import annotations

import os
from typing import NamedTuple

from buildkit.errors import CorruptContent

BLOCK = 512
END = bytes(2 * BLOCK)
_META_LIMIT = 64 * 1024
_MEMBER_LIMIT = 20_000
_OCTAL_LIMIT = 8**11
_FILES, _LINKS, _FOLDER = (b"0", b"\0", b"7"), (b"1", b"2"), b"5"
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = b"L", b"K", b"x", b"g"


class Member(NamedTuple):
    """A file by where its bytes are, or (with a `target`) a link."""

    offset: int
    size: int
    target: str = ""


class Shared:
    """A file descriptor that closes with its last user; reads at any place, from any thread."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size = os.fstat(fd).st_size

    def read(self, offset: int, size: int) -> bytes:
        """As `os.pread`: short at the end."""
        return os.pread(self.fd, size, offset)

    def __del__(self) -> None:
        os.close(self.fd)


def header(name: str, size: int) -> bytes:
    """The header of a read-only regular file of root's at time 0; the same bytes everywhere."""
    raw = name.encode()
    if len(raw) > 100:
        raise ValueError(f"too long for one header: {name}")
    octal = size < _OCTAL_LIMIT
    length = b"%011o\0" % size if octal else b"\x80" + size.to_bytes(11, "big")
    magic = b"ustar\00000" if octal else b"ustar  \0"  # 8 GiB and more need GNU's numbers
    fields = (raw.ljust(100, b"\0"), b"0000444\0", b"0000000\0", b"0000000\0", length, b"00000000000\0",
              b" " * 8, b"0", bytes(100), magic)  # fmt: skip
    block = b"".join(fields).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padding(size: int) -> bytes:
    """What follows a file's bytes."""
    return bytes(-size % BLOCK)


def index(file: Shared, what: str) -> dict[str, Member]:
    """The files and links of an archive by name. CorruptContent for what is broken or hostile."""
    members: dict[str, Member] = {}
    offset, extended = 0, dict[str, str]()
    for _ in range(_MEMBER_LIMIT):
        block = file.read(offset, BLOCK)
        if block == bytes(BLOCK) or not block:
            return members
        kind, size, name, target = _header(block, extended, what)
        data, offset = offset + BLOCK, offset + BLOCK + size + -size % BLOCK
        if data + size > file.size:
            raise _refusal(what, f"{name[:200]!r} is cut off")
        if kind in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
            extended |= _extension(kind, _meta(file, data, size, what), what)
            continue
        extended = {}
        if kind != _FOLDER and name in members:
            raise _refusal(what, f"{name[:200]!r} is there twice")
        if kind != _FOLDER:
            members[name] = Member(data, size, target)
    raise _refusal(what, f"it has more than {_MEMBER_LIMIT} members")


def resolve(members: dict[str, Member], name: str, what: str) -> Member:
    """The file of this name. One link is followed, inside: `docker save` writes equal layers once."""
    member = members.get(_clean(name, what))
    if member is not None and member.target:
        beside = os.path.normpath(os.path.join(os.path.dirname(name), member.target))
        member = members.get(_clean(beside, what))
    if member is None or member.target:
        raise _refusal(what, f"it lacks {name[:200]!r}")
    return member


def number(field: bytes) -> int:
    """A number of a header: octal, or GNU's binary form; -1 for anything else, negative ones included."""
    if field[0] & 0x80:
        return -1 if field[0] & 0x40 else int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b" \0")
    if not digits:
        return 0
    return int(digits, 8) if digits.isdigit() and not set(digits) & set(b"89") else -1


def _header(block: bytes, extended: dict[str, str], what: str) -> tuple[bytes, int, str, str]:
    """Kind, size, name and link target of one header, extensions applied."""
    if len(block) < BLOCK or number(block[148:156]) != sum(block[:148]) + 256 + sum(block[156:]):
        raise _refusal(what, "a header is broken")
    kind = block[156:157]
    size, name, target = number(block[124:136]), _text(block[0:100]), _text(block[157:257])
    if block[257:263] == b"ustar\0" and (prefix := _text(block[345:500])):
        name = f"{prefix}/{name}"
    if kind in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
        return kind, size, "", ""
    if "size" in extended:
        size = int(extended["size"]) if extended["size"].isdecimal() else -1
    name, target = extended.get("path", name), extended.get("linkpath", target)
    if kind == b"\0" and name.endswith("/"):
        kind = _FOLDER
    if kind not in (*_FILES, *_LINKS, _FOLDER) or size < 0 or (size and kind not in _FILES):
        raise _refusal(what, f"{name[:200]!r} is no plain file")
    if (kind in _LINKS) != bool(target):
        raise _refusal(what, f"{name[:200]!r} is a malformed link")
    return kind, size, _clean(name, what), target


def _clean(name: str, what: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or not (parts or name.strip("./") == ""):
        raise _refusal(what, f"{name[:200]!r} leads out of it")
    return "/".join(parts)


def _extension(kind: bytes, raw: bytes, what: str) -> dict[str, str]:
    if kind == _PAX_GLOBAL:  # comments of `git archive` and the like; nothing here depends on them
        return {}
    if kind in (_LONG_NAME, _LONG_LINK):
        return {"path" if kind == _LONG_NAME else "linkpath": _text(raw)}
    fields: dict[str, str] = {}
    while raw:
        length, _, _ = raw.partition(b" ")
        count = int(length) if length.isdigit() and len(length) < 6 else 0
        record, raw = raw[len(length) + 1 : count], raw[count:]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n") or key.startswith(b"GNU.sparse"):
            raise _refusal(what, "an extended header is broken or of an unknown kind")
        fields[_text(key)] = _text(value[:-1])
    return fields


def _meta(file: Shared, offset: int, size: int, what: str) -> bytes:
    if size > _META_LIMIT:
        raise _refusal(what, "an extended header is larger than any name")
    return file.read(offset, size)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _refusal(what: str, why: str) -> CorruptContent:
    return CorruptContent(f"{what} is refused: {why}", "treeship reads archives as docker save writes them")
