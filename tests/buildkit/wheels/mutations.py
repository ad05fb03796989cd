"""Ways to damage a wheel: each takes one that is sound, and a source of chance, and gives bytes."""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise

from tests.buildkit.wheels.support import wheel_bytes

Mutation = Callable[[bytes, random.Random], bytes]

CENTRAL, LOCAL, END, END64, LOCATOR = b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7"
# Offset and width of the fields of each record (APPNOTE 6.3.10, section 4.3).
FIELDS: dict[bytes, Sequence[tuple[int, int]]] = {
    LOCAL: ((4, 2), (6, 2), (8, 2), (10, 4), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    CENTRAL: ((4, 2), (6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (34, 2),
              (36, 2), (38, 4), (42, 4)),
    END: ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
    END64: ((4, 8), (16, 4), (20, 4), (24, 8), (32, 8), (40, 8), (48, 8)),
    LOCATOR: ((4, 4), (8, 8), (16, 4)),
}  # fmt: skip
NAMES = (
    b"../../../../etc/passwd", b"/etc/passwd", b"..", b".", b"a/../../b", b"C:\\x", b"..\\..\\x", b"pkg//x", b"pkg/./x",
    b"pkg/.wh.x", b".wh..wh..opq", b"pkg/\0x", b"pkg/\nx", b"pkg/\x1b[2Jx", b"\xff\xfe", b"pkg/a.py", b"pkg", b"",
    b"/", b"pkg-1.0.data/scripts/../../x", b"pkg-1.0.data/data/../../../etc/x", b"pkg-1.0.data/other/x",
    b"pkg-1.0.data/purelib/pkg/a.py", b"pkg-1.0.dist-info/RECORD", b"pkg-2.0.dist-info/METADATA", b"n" * 300,
)  # fmt: skip
PARTS = (
    "..", ".", "", "pkg", "a.py", "x", "etc", "usr", "pkg-1.0.data", "scripts", "data", "purelib", "platlib", "headers",
    "pkg-1.0.dist-info", "RECORD", "METADATA", "INSTALLER", "pkg-2.0.dist-info", ".wh.x", ".wh..wh..opq", "C:", "a\\b",
    "a\nb", "\x1b[2J", "\x7f", "é", "\u202e", "n" * 256, "__pycache__", "stargz.index.json", "bin", "lib", "site",
)  # fmt: skip


def flip(data: bytes, chance: random.Random) -> bytes:
    """Some bits or bytes, anywhere."""
    bad = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        place = chance.randrange(len(bad))
        bad[place] = chance.choice((bad[place] ^ 1 << chance.randrange(8), 0, 255, chance.randrange(256)))
    return bytes(bad)


def flip_directory(data: bytes, chance: random.Random) -> bytes:
    """The same in the directory and the end."""
    start = data.index(CENTRAL)
    return data[:start] + flip(data[start:], chance)


def truncate(data: bytes, chance: random.Random) -> bytes:
    """A piece that is lacking, at an end or between."""
    start = chance.randrange(len(data))
    return data[:start] + chance.choice((b"", data[start + chance.choice((1, 2, 30, 400)) :]))


def repeat(data: bytes, chance: random.Random) -> bytes:
    """A piece that is there twice, or elsewhere too."""
    start = chance.randrange(len(data))
    piece = data[start : start + chance.choice((1, 4, 46, 300, 5000))]
    place = chance.choice((start, chance.randrange(len(data)), len(data)))
    return data[:place] + piece + data[place:]


def field(data: bytes, chance: random.Random) -> bytes:
    """A field of a header, or the same field of both headers of a member, with a value that hurts."""
    kind = chance.choice((LOCAL, CENTRAL, CENTRAL, END, END64, LOCATOR))
    places = [match.start() for match in re.finditer(re.escape(kind), data)]
    if not places:
        return flip_directory(data, chance)
    offset, width = chance.choice(FIELDS[kind])
    number = chance.randrange(len(places))
    value = _value(data, places[number] + offset, width, chance)
    bad = _put(data, places[number] + offset, value)
    if kind == CENTRAL and 6 <= offset <= 28 and chance.random() < 0.5:
        return _in_local(bad, number, offset - (2 if offset > 6 else 0), value)
    return bad


def method(data: bytes, chance: random.Random) -> bytes:
    """A member that is stored is said to be deflated, or the other way about, in both headers."""
    number, place = _entry(data, chance)
    value = struct.pack("<H", chance.choice((0, 8, 9, 12, 93)))
    return _in_local(_put(data, place + 10, value), number, 8, value)


def rename(data: bytes, chance: random.Random) -> bytes:
    """A name, in both headers: of the same length, so that all offsets stay, or longer, with all of them moved."""
    number, place = _entry(data, chance)
    (length,) = struct.unpack_from("<H", data, place + 28)
    old, new = data[place + 46 : place + 46 + length], chance.choice(NAMES)
    if chance.random() < 0.5:
        new = (new + b"x" * length)[:length]
        return (
            data.replace(old, new)
            if chance.random() < 0.5
            else _put(_put_local(data, number, new), place + 46, new)
        )
    return _resized(data, number, place, new)


def reorder(data: bytes, chance: random.Random) -> bytes:
    """Directory entries in another order, twice there, or gone, with the end in step."""
    start, end = data.index(CENTRAL), data.rindex(END)
    entries = _split(data[start:end])
    change = chance.randrange(3)
    if change == 0:
        chance.shuffle(entries)
    elif change == 1:
        entries.insert(chance.randrange(len(entries)), chance.choice(entries))
    else:
        entries.pop(chance.randrange(len(entries)))
    directory = b"".join(entries)
    tail = data[:start] + directory + data[end:]
    counts = struct.pack("<HHI", len(entries), len(entries), len(directory))
    return _put(tail, len(tail) - 22 + 8, counts)


def swap(data: bytes, chance: random.Random) -> bytes:
    """Two directory entries that point to each other's payload, sizes and sums included: names are exchanged."""
    one, two = sorted(chance.sample(_places(data), 2))
    bad = bytearray(data)
    for offset, width in ((10, 2), (16, 12), (42, 4)):
        left, right = bad[one + offset : one + offset + width], bad[two + offset : two + offset + width]
        bad[one + offset : one + offset + width], bad[two + offset : two + offset + width] = right, left
    return bytes(bad)


def other_content(data: bytes, chance: random.Random) -> bytes:
    """Other content of the same length with the right CRC: what RECORD alone can tell."""
    number, place = _entry(data, chance)
    method, compressed, size = _sizes(data, place)
    start = _payload(data, number)
    if method != 0 or not size:
        return flip(data, chance)
    content = bytearray(data[start : start + compressed])
    content[chance.randrange(size)] ^= 1 << chance.randrange(8)
    right = struct.pack("<I", zlib.crc32(content))
    bad = _put(_put(data, start, bytes(content)), place + 16, right)
    return (
        _in_local(bad, number, 14, right)
        if struct.unpack_from("<I", data, _local(data, number) + 14)[0]
        else bad
    )


def hostile(_: bytes, chance: random.Random) -> bytes:
    """Another wheel, sound but for its names, with a RECORD and commands that are in step with them."""
    names = ("/".join(chance.choices(PARTS, k=chance.randrange(1, 5))) for _ in range(chance.randrange(1, 4)))
    command = f"[console_scripts]\n{'/'.join(chance.choices(PARTS, k=chance.randrange(1, 3)))} = pkg.a:main\n"
    members = dict.fromkeys(names, b"content") | {"pkg/a.py": b""}
    return wheel_bytes(members, entry_points=command if chance.random() < 0.3 else None)


def several(data: bytes, chance: random.Random) -> bytes:
    """Two or three of the others, one after the other."""
    for _ in range(chance.choice((2, 3))):
        try:
            data = chance.choice(MUTATIONS[:-1])(data, chance)
        except (ValueError, IndexError, struct.error):  # what the one before left is no zip any more
            return data
    return data


MUTATIONS: tuple[Mutation, ...] = (
    flip, flip_directory, truncate, repeat, field, field, method, rename, rename, reorder, swap, other_content, hostile,
    several,
)  # fmt: skip


def _places(data: bytes) -> list[int]:
    start = data.index(CENTRAL)
    found, at = [], start
    while data[at : at + 4] == CENTRAL:
        found.append(at)
        at += 46 + sum(struct.unpack_from("<3H", data, at + 28))
    return found


def _entry(data: bytes, chance: random.Random) -> tuple[int, int]:
    """The number of a directory entry, and where it is."""
    places = _places(data)
    number = chance.randrange(len(places))
    return number, places[number]


def _local(data: bytes, number: int) -> int:
    (place,) = struct.unpack_from("<I", data, _places(data)[number] + 42)
    return int(place)


def _payload(data: bytes, number: int) -> int:
    place = _local(data, number)
    named, extra = struct.unpack_from("<2H", data, place + 26)
    return place + 30 + int(named) + int(extra)


def _sizes(data: bytes, place: int) -> tuple[int, int, int]:
    """Method, compressed size and size, as the directory has them."""
    method, compressed, size = struct.unpack_from("<H8x2I", data, place + 10)
    return int(method), int(compressed), int(size)


def _value(data: bytes, place: int, width: int, chance: random.Random) -> bytes:
    old = int.from_bytes(data[place : place + width], "little")
    most = (1 << 8 * width) - 1
    values = (
        0,
        1,
        most,
        most >> 1,
        old + 1,
        old - 1,
        old * 2,
        len(data),
        old ^ 1 << chance.randrange(8 * width),
    )
    return (chance.choice(values) & most).to_bytes(width, "little")


def _put(data: bytes, place: int, value: bytes) -> bytes:
    return data[:place] + value + data[place + len(value) :]


def _in_local(data: bytes, number: int, offset: int, value: bytes) -> bytes:
    return _put(data, _local(data, number) + offset, value)


def _put_local(data: bytes, number: int, name: bytes) -> bytes:
    return _put(data, _local(data, number) + 30, name)


def _split(directory: bytes) -> list[bytes]:
    return [directory[start:end] for start, end in pairwise([*_places(directory), len(directory)])]


def _resized(data: bytes, number: int, place: int, name: bytes) -> bytes:
    """With another name of any length; the directory's offsets and the end follow."""
    (length,) = struct.unpack_from("<H", data, place + 28)
    local = _local(data, number)
    grown = len(name) - length
    entry = _put(data, place + 28, struct.pack("<H", len(name)))
    entry = entry[: place + 46] + name + entry[place + 46 + length :]
    entry = _put(entry, local + 26, struct.pack("<H", len(name)))
    entry = entry[: local + 30] + name + entry[local + 30 + length :]
    for each in _places(entry):
        (header,) = struct.unpack_from("<I", entry, each + 42)
        if local < header < 0xFFFFFFFF:
            entry = _put(entry, each + 42, struct.pack("<I", header + grown))
    size, start = struct.unpack_from("<2I", entry, len(entry) - 10)
    return _put(entry, len(entry) - 10, struct.pack("<2I", (size + grown) % 2**32, (start + grown) % 2**32))
