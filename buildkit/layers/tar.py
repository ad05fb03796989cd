"""Tar entries (POSIX pax interchange format; image-spec, layer.md) that depend on nothing but the content.

Owner 0:0, no names, one constant time, modes 0644, 0755 and 0777. Paths that do not fit a ustar name, or are not
ASCII, go into a PAX record as raw bytes: every reader tried gives them back unchanged, and GNU tar does not warn.
"""

from __future__ import annotations

from collections.abc import Iterator

BLOCK = 512
END = bytes(2 * BLOCK)
# 2 January 1980, 00:00 UTC. Never the commit's time, or every layer would change with every commit; and not near 0,
# since zip files (so: wheels, and code packages made inside the container) refuse times before 1980 in any time zone.
MTIME = 315619200
_USTAR_SIZE = 8**11 - 1

FILE, LINK, FOLDER, _PAX = b"0", b"2", b"5", b"x"


def header(path: bytes, kind: bytes, *, mode: int, size: int = 0, target: bytes = b"") -> bytes:
    """The blocks before the content of one entry; `path` without leading '/', a folder's with a final one."""
    records = b"".join(_records(path, size, target))
    short = _short(path)
    block = _block(short, kind, mode=mode, size=min(size, _USTAR_SIZE), target=_short(target))
    if not records:
        return block
    return _block(b"././@PaxHeader", _PAX, mode=0o644, size=len(records)) + _padded(records) + block


def padding(size: int) -> bytes:
    """What follows content of this size up to the next block."""
    return bytes(-size % BLOCK)


def _records(path: bytes, size: int, target: bytes) -> Iterator[bytes]:
    """The PAX records that are needed, sorted by key."""
    if not _fits(target):
        yield _record(b"linkpath", target)
    if not _fits(path):
        yield _record(b"path", path)
    if size > _USTAR_SIZE:
        yield _record(b"size", str(size).encode())


def _fits(name: bytes) -> bool:
    return len(name) <= 100 and name.isascii()


def _short(name: bytes) -> bytes:
    """What stands in the ustar field: readers that know PAX do not look at it when a record overrides it."""
    return name if _fits(name) else bytes(c if c < 128 else 95 for c in name[:100])


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, where LENGTH counts its own digits too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _block(path: bytes, kind: bytes, *, mode: int, size: int, target: bytes = b"") -> bytes:
    before = b"%s%07o\x000000000\x000000000\x00%011o\x00%011o\x00" % (
        path.ljust(100, b"\0"),
        mode,
        size,
        MTIME,
    )
    after = b"%s%s%s" % (kind, target.ljust(100, b"\0"), b"ustar\x0000")
    # The checksum counts its own field as eight blanks.
    checksum = sum(before) + sum(after) + 8 * 32
    return (b"%s%06o\0 %s" % (before, checksum, after)).ljust(BLOCK, b"\0")


def _padded(data: bytes) -> bytes:
    return data + padding(len(data))
