"""A wheel as a zip (APPNOTE 6.3.10): its members, each where its payload lies; nothing is believed unchecked.

Only one reading of the file is accepted: the end record ends it, the directory ends at the end record, and each local
header says what the directory says. So no other reader can see other content in the same bytes.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

from buildkit.errors import CorruptContent, InvalidInput, NotFound

STORED, DEFLATED = 0, 8
BLOCK = 1 << 20
# A bound on memory and time, far above what wheels have: to plan and write that many takes 7 s and 220 MB.
MOST_MEMBERS = 100_000
_LARGEST_DIRECTORY = 128 << 20
# Deflate gives at most 258 bytes for two bits.
_MOST_RATIO = 1032
_LONGEST, _LONGEST_NAME = 4096, 255

_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_NOT_HERE, _NOT_HERE16 = 0xFFFFFFFF, 0xFFFF
_ENCRYPTED, _DESCRIPTOR, _PATCHED, _STRONG, _UTF8, _MASKED = 1, 1 << 3, 1 << 5, 1 << 6, 1 << 11, 1 << 13

REBUILT = (
    "download the wheel again; if it stays so, ask its maintainers for one that a current tool has built"
)


class Member(NamedTuple):
    """One file of a wheel: sizes in bytes, `offset` that of its payload in the file, `mode` as Unix has it, or 0."""

    name: str
    method: int
    crc: int
    compressed: int
    size: int
    mode: int
    offset: int

    @property
    def executable(self) -> bool:
        """As installers see it: only a regular file with any of the three bits is."""
        return stat.S_ISREG(self.mode) and bool(self.mode & 0o111)


class Archive(NamedTuple):
    """A wheel that is open: `wheel` its file name, `members` its files in the order of their payloads."""

    wheel: str
    members: tuple[Member, ...]
    read_at: Callable[[int, int], bytes]

    def payload(self, member: Member) -> Iterator[bytes]:
        """The member's bytes as they are in the file, in blocks of at most 1 MiB. CorruptContent where some lack."""
        end = member.offset + member.compressed
        for start in range(member.offset, end, BLOCK):
            block = self.read_at(start, min(BLOCK, end - start))
            if len(block) != min(BLOCK, end - start):
                raise corrupt(self.wheel, "it is cut off", member.name)
            yield block


class _Listed(NamedTuple):
    """What the directory says of one member; `raw` is its name in bytes, `header` where its local header lies."""

    name: str
    raw: bytes
    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    mode: int
    header: int


@contextmanager
def opened(path: str) -> Iterator[Archive]:
    """The wheel at this path, to be read until the block is left. Raises InvalidInput, CorruptContent, NotFound."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFound(f"the wheel {path} cannot be read: {error.strerror}", "check its path") from None
    try:
        size = os.fstat(file).st_size
        yield parse(os.path.basename(path), size, lambda offset, length: _read_at(file, offset, length))
    finally:
        os.close(file)


def parse(wheel: str, size: int, read_at: Callable[[int, int], bytes]) -> Archive:
    """The wheel of this name and size whose bytes `read_at(offset, length)` gives. Raises as `opened` does."""
    start, length, count = _directory(wheel, size, read_at)
    directory = read_at(start, length)
    if len(directory) != length:
        raise corrupt(wheel, "it is cut off")
    listed = sorted(_entries(wheel, directory, count), key=lambda each: each.header)
    _refuse_names(wheel, listed)
    members = [_located(wheel, each, read_at) for each in listed]
    _refuse_overlaps(wheel, listed, members, start)
    return Archive(wheel, tuple(each for each in members if not each.name.endswith("/")), read_at)


def corrupt(wheel: str, what: str, member: str = "") -> CorruptContent:
    """The error for a wheel, or a member of it, whose bytes are not what they were said to be."""
    return CorruptContent(f"{_where(wheel, member)}: {what}", REBUILT)


def invalid(wheel: str, what: str, member: str = "") -> InvalidInput:
    """The error for a wheel, or a member of it, that is what it was meant to be, and not to be installed."""
    return InvalidInput(f"{_where(wheel, member)}: {what}", REBUILT)


def _where(wheel: str, member: str) -> str:
    return f"{wheel}, member {member[:200]!r}" if member else wheel


def _read_at(file: int, offset: int, length: int) -> bytes:
    """As many bytes as there are; one call of the system may give fewer."""
    parts: list[bytes] = []
    while length and (part := os.pread(file, length, offset)):
        parts.append(part)
        offset, length = offset + len(part), length - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _directory(wheel: str, size: int, read_at: Callable[[int, int], bytes]) -> tuple[int, int, int]:
    """Where the directory begins, its length, and the number of its entries."""
    end = size - _END.size
    record = read_at(end, _END.size) if end >= 0 else b""
    if len(record) != _END.size or record[:4] != b"PK\5\6" or record[-2:] != b"\0\0":
        raise corrupt(wheel, "no zip ends here (wheels have no comment after their end)")
    _, disk, first, here, count, length, start, _ = _END.unpack(record)
    if disk or first or here != count:
        raise corrupt(wheel, "a zip of several parts")
    if count == _NOT_HERE16 or _NOT_HERE in (length, start):
        end, start, length, count = _directory64(wheel, end, read_at)
    if start + length != end or count > MOST_MEMBERS or length > _LARGEST_DIRECTORY:
        raise corrupt(wheel, "its directory does not lie where its end says, or is too large")
    return start, length, count


def _directory64(wheel: str, end: int, read_at: Callable[[int, int], bytes]) -> tuple[int, int, int, int]:
    """The same of a zip64, after where its end begins."""
    locator = read_at(end - _LOCATOR.size, _LOCATOR.size) if end >= _LOCATOR.size else b""
    if locator[:4] != b"PK\6\7":
        raise corrupt(wheel, "its end speaks of a zip64 end that is not there")
    _, disk, place, disks = _LOCATOR.unpack(locator)
    record = read_at(place, _END64.size) if place + _END64.size + _LOCATOR.size == end else b""
    if record[:4] != b"PK\6\6" or disk or disks != 1:
        raise corrupt(wheel, "its zip64 end does not lie where it should")
    _, left, _, _, disk, first, here, count, length, start = _END64.unpack(record)
    if left != _END64.size - 12 or disk or first or here != count:
        raise corrupt(wheel, "its zip64 end is damaged")
    return place, start, length, count


def _entries(wheel: str, directory: bytes, count: int) -> Iterator[_Listed]:
    at = 0
    for _ in range(count):
        fields = directory[at : at + _CENTRAL.size]
        if len(fields) != _CENTRAL.size or fields[:4] != b"PK\1\2":
            raise corrupt(wheel, "its directory is damaged")
        (_, _, _, flags, method, _, _, crc, compressed, size, *lengths, disk, _, attributes, header) = (
            _CENTRAL.unpack(fields)
        )
        name_end = at + _CENTRAL.size + lengths[0]
        extra_end = name_end + lengths[1]
        raw, extra = directory[at + _CENTRAL.size : name_end], directory[name_end:extra_end]
        at = extra_end + lengths[2]
        if at > len(directory) or disk:
            raise corrupt(wheel, "its directory is damaged")
        name = _decoded(wheel, raw, flags)
        size, compressed, header = _sizes(wheel, name, extra, (size, compressed, header))
        yield _Listed(name, raw, flags, method, crc, compressed, size, attributes >> 16, header)
    if at != len(directory):
        raise corrupt(wheel, "its directory holds more than it says")


def _decoded(wheel: str, raw: bytes, flags: int) -> str:
    try:
        return raw.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError:
        raise invalid(wheel, "its name is no UTF-8", raw.decode(errors="backslashreplace")) from None


def _sizes(wheel: str, name: str, extra: bytes, values: tuple[int, ...]) -> tuple[int, ...]:
    """Size, compressed size and offset, from the zip64 field where they do not fit their own."""
    at, wide = 0, b""
    while at < len(extra):
        if at + 4 > len(extra):
            raise corrupt(wheel, "its extra fields are damaged", name)
        kind, length = struct.unpack_from("<HH", extra, at)
        field = extra[at + 4 : at + 4 + length]
        if len(field) != length or (kind == 1 and wide) or kind == 0x7075:
            raise corrupt(wheel, "its extra fields are damaged, or give it a second name", name)
        wide = field if kind == 1 else wide
        at += 4 + length
    missing = [index for index, value in enumerate(values) if value == _NOT_HERE]
    if len(wide) < 8 * len(missing):
        raise corrupt(wheel, "its zip64 field is damaged", name)
    found = dict(zip(missing, struct.unpack_from(f"<{len(missing)}Q", wide), strict=True))
    return tuple(found.get(index, value) for index, value in enumerate(values))


def _refuse_names(wheel: str, listed: Iterable[_Listed]) -> None:
    """InvalidInput for names that are none, twice there, or at once a file's and a folder's."""
    seen: set[str] = set()
    folders: set[str] = set()
    files: set[str] = set()
    for each in listed:
        refuse_path(wheel, each.name.removesuffix("/"), each.name)
        if each.name in seen:
            raise invalid(wheel, "the name is there twice", each.name)
        seen.add(each.name)
        if not each.name.endswith("/"):
            files.add(each.name)
        folder = each.name.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    for name in sorted(files & folders):
        raise invalid(wheel, "a file and a folder have this name", name)


def refuse_path(wheel: str, path: str, member: str) -> None:
    """InvalidInput where this path, relative and with '/' between its names, is nothing to put below a folder."""
    names = path.split("/")
    if any(ord(char) < 32 or char in "\\\x7f" for char in path):
        raise invalid(wheel, "a backslash or a control character is in its name", member)
    if any(name in ("", ".", "..") for name in names):
        raise invalid(wheel, "its name is absolute, or has an empty part, '.' or '..' in it", member)
    if any(name.startswith(".wh.") for name in names):
        raise invalid(wheel, "in a layer, a name with '.wh.' in front deletes a file", member)
    if len(path.encode()) > _LONGEST or any(len(name.encode()) > _LONGEST_NAME for name in names):
        raise invalid(wheel, "its name is too long for Linux", member)


def _located(wheel: str, listed: _Listed, read_at: Callable[[int, int], bytes]) -> Member:
    """The member, with its payload found behind the local header, which has to agree."""
    _refuse_kind(wheel, listed)
    local = read_at(listed.header, _LOCAL.size + len(listed.raw))
    if len(local) != _LOCAL.size + len(listed.raw) or local[:4] != b"PK\3\4":
        raise corrupt(wheel, "there is no header where the directory says", listed.name)
    _, _, flags, method, _, _, crc, compressed, size, named, extra = _LOCAL.unpack_from(local)
    if local[_LOCAL.size :] != listed.raw or named != len(listed.raw) or method != listed.method:
        raise corrupt(wheel, "its header names another file or method than the directory", listed.name)
    told = ((crc, listed.crc), (compressed, listed.compressed), (size, listed.size))
    if (flags ^ listed.flags) & ~_UTF8 or (
        not flags & _DESCRIPTOR and any(here not in (there, _NOT_HERE) for here, there in told)
    ):
        raise corrupt(wheel, "its header and the directory do not agree", listed.name)
    offset = listed.header + _LOCAL.size + named + extra
    return Member(listed.name, method, listed.crc, listed.compressed, listed.size, listed.mode, offset)


def _refuse_kind(wheel: str, listed: _Listed) -> None:
    """InvalidInput for what is no plain file or folder, CorruptContent for sizes that cannot be."""
    if listed.flags & (_ENCRYPTED | _STRONG | _MASKED | _PATCHED):
        raise invalid(wheel, "it is encrypted, or a patch", listed.name)
    if listed.method not in (STORED, DEFLATED):
        raise invalid(wheel, f"it is compressed by method {listed.method}, not by deflate", listed.name)
    folder = listed.name.endswith("/")
    kind = stat.S_IFMT(listed.mode)
    if kind and kind != (stat.S_IFDIR if folder else stat.S_IFREG):
        what = "a symbolic link" if stat.S_ISLNK(listed.mode) else "neither a file nor a folder"
        raise invalid(wheel, f"it is {what}", listed.name)
    if folder and listed.size:
        raise invalid(wheel, "a folder that holds bytes of its own", listed.name)
    if listed.method == STORED and listed.size != listed.compressed:
        raise corrupt(wheel, "it is stored, and its two sizes differ", listed.name)
    if listed.size > _MOST_RATIO * listed.compressed:
        raise corrupt(wheel, "no deflate stream of its length can hold as much as it says", listed.name)


def _refuse_overlaps(wheel: str, listed: list[_Listed], members: list[Member], end: int) -> None:
    """CorruptContent where a member reaches into the next one or into the directory."""
    starts = [*(each.header for each in listed), end]
    for member, (_, following) in zip(members, pairwise(starts), strict=True):
        if member.offset + member.compressed > following:
            raise corrupt(wheel, "it reaches into what follows it", member.name)
