"""Hostile and damaged wheels: each is refused by a message that names the wheel, and what is wrong."""

from __future__ import annotations

import random
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit.errors import CorruptContent, InvalidInput, NotFound
from buildkit.wheels import archive, payload
from buildkit.wheels.record import Hash
from buildkit.wheels.splice import write_wheels
from tests.buildkit.wheels import support
from tests.buildkit.wheels.support import Part, parsed, planned, row, wheel_bytes, zipped

NOISE = random.Random(1).randbytes(150_000)
WHEEL = "pkg-1.0-py3-none-any.whl"
CENTRAL, LOCAL = b"PK\1\2", b"PK\3\4"


def patched(data: bytes, signature: bytes, offset: int, value: bytes, *, which: int = 0) -> bytes:
    """With these bytes at an offset in the header of one member."""
    at = -1
    for _ in range(which + 1):
        at = data.index(signature, at + 1)
    return data[: at + offset] + value + data[at + offset + len(value) :]


def both(data: bytes, central: int, local: int, value: bytes) -> bytes:
    """With the value in both headers of the first member."""
    return patched(patched(data, CENTRAL, central, value), LOCAL, local, value)


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/.", "a\\b", "..\\x", "a\nb", ".wh.x", "p/.wh..wh..opq",
     "n" * 256, "/".join(["d" * 200] * 21), "..", "/"],
)  # fmt: skip
def test_names_that_are_no_relative_paths_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"^pkg-1.0-py3-none-any.whl, member"):
        parsed(zipped({name: Part(b"1")}))


def test_a_nul_in_a_name_is_refused() -> None:
    data = zipped({"aXb": Part(b"1")}).replace(b"aXb", b"a\0b")
    with pytest.raises(InvalidInput, match="control character"):
        parsed(data)


def test_names_that_are_there_twice_are_refused() -> None:
    data = zipped({"abc": Part(b"1"), "abd": Part(b"2")}).replace(b"abd", b"abc")
    with pytest.raises(InvalidInput, match="'abc': the name is there twice"):
        parsed(data)


def test_a_file_that_is_a_folder_too_is_refused() -> None:
    for other in ("a/b", "a/"):
        with pytest.raises(InvalidInput, match="a file and a folder"):
            parsed(zipped({"a": Part(b"1"), other: Part(b"", stat.S_IFREG | 0o644 if other == "a/b" else 0)}))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR, stat.S_IFSOCK])
def test_only_files_are_members(kind: int) -> None:
    with pytest.raises(InvalidInput, match=r"it is (a symbolic link|neither)"):
        parsed(zipped({"link": Part(b"target", kind | 0o777)}))


@pytest.mark.parametrize("flag", [1, 1 << 5, 1 << 6, 1 << 13])
def test_encrypted_members_are_refused(flag: int) -> None:
    data = both(zipped({"x": Part(b"1")}), 8, 6, struct.pack("<H", flag))
    with pytest.raises(InvalidInput, match="'x': it is encrypted"):
        parsed(data)


@pytest.mark.parametrize("method", [1, 9, 12, 14, 93, 99])
def test_methods_that_are_not_deflate_are_refused(method: int) -> None:
    data = both(zipped({"x": Part(b"1")}), 10, 8, struct.pack("<H", method))
    with pytest.raises(InvalidInput, match=f"by method {method}"):
        parsed(data)


@pytest.mark.parametrize(
    ("central", "local", "value"),
    [
        (8, None, b"\x08\0"),
        (10, None, b"\0\0"),
        (None, 14, b"abcd"),
        (None, 18, b"\1\0\0\0"),
        (None, 22, b"\1\0\0\0"),
        (42, None, b"\1\0\0\0"),
        (42, None, b"\xff\xff\xff\x7f"),
        (46, None, b"y"),
        (28, None, b"\xff\xff"),
        (None, 26, b"\2\0"),
        (34, None, b"\1\0"),
        (None, 28, b"\xff\xff"),
    ],
)
def test_headers_that_do_not_agree_are_refused(central: int | None, local: int | None, value: bytes) -> None:
    data = zipped({"x": Part(b"1" * 50)})
    damaged = patched(data, CENTRAL, central, value) if central else patched(data, LOCAL, local or 0, value)
    with pytest.raises(CorruptContent, match=r"^pkg-1.0-py3"):
        parsed(damaged)


def test_overlapping_members_are_refused() -> None:
    """The quine of zip bombs: many directory entries, one payload."""
    data = zipped({"a": Part(NOISE, method=0), "b": Part(b"1", method=0)})
    longer = struct.pack("<II", len(NOISE) + 40, len(NOISE) + 40)
    with pytest.raises(CorruptContent, match="'a': it reaches into what follows"):
        parsed(both(data, 20, 18, longer))
    one = zipped({"a": Part(b"1", method=0)})
    with pytest.raises(CorruptContent, match="reaches into"):
        parsed(both(one, 20, 18, struct.pack("<II", 10_000, 10_000)))


def test_sizes_that_no_stream_can_give_are_refused() -> None:
    data = zipped({"a": Part(bytes(1000))})
    with pytest.raises(CorruptContent, match="no deflate stream"):
        parsed(both(data, 24, 22, struct.pack("<I", 1 << 31)))
    stored = zipped({"a": Part(bytes(1000), method=0)})
    with pytest.raises(CorruptContent, match="its two sizes differ"):
        parsed(both(stored, 24, 22, struct.pack("<I", 999)))


@pytest.mark.parametrize("size", [999, 1001])
def test_a_stream_that_gives_another_size_is_refused(size: int) -> None:
    opened = parsed(both(zipped({"a": Part(bytes(1000))}), 24, 22, struct.pack("<I", size)))
    with pytest.raises(CorruptContent, match=r"'a': it (holds more|is cut off)"):
        list(payload.contents(opened, opened.members[0]))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda raw: raw + b"x", "ends early"),
        (lambda raw: raw[:-1], "cut off|damaged"),
        (lambda raw: b"\xff" + raw[1:], "damaged"),
        (lambda raw: raw + raw, "ends early"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"abc" * 900, bytes(1 << 20), bytes((2 << 20) + 1), NOISE * 8])
def test_a_payload_is_one_whole_deflate_stream(
    change: Callable[[bytes], bytes], what: str, content: bytes
) -> None:
    deflater = zlib.compressobj(9, wbits=-15)
    raw = deflater.compress(content) + deflater.flush()

    def read(stream: bytes) -> bytes:
        member = archive.Member("a", 8, zlib.crc32(content), len(stream), len(content), 0, 0)
        opened = archive.Archive(WHEEL, (member,), lambda offset, length: stream[offset : offset + length])
        return b"".join(payload.contents(opened, member, Hash.of(content)))

    assert read(raw) == content
    with pytest.raises(CorruptContent, match=what):
        read(change(raw))


def test_wrong_crc_and_wrong_hash_name_the_member() -> None:
    data = wheel_bytes({"pkg/big.bin": NOISE, "pkg/small": b"1"})
    for member in ("pkg/big.bin", "pkg/small"):
        record = f"{member},sha256={'A' * 43},\n"
        others = "pkg/big.bin" if member == "pkg/small" else "pkg/small"
        content = {"pkg/big.bin": NOISE, "pkg/small": b"1"}
        plan = planned(wheel_bytes(content, record=record + _rows(content, others)))
        with pytest.raises(CorruptContent, match=f"{member}': its hash is not the one in RECORD"):
            write_wheels([plan], lambda _: None)
    crc = struct.pack("<I", zlib.crc32(NOISE))
    assert data.count(crc) == 2
    with pytest.raises(CorruptContent, match=r"pkg/big.bin': its CRC"):
        write_wheels([planned(data.replace(crc, b"abcd"))], lambda _: None)


def _rows(content: dict[str, bytes], member: str) -> str:
    info = "pkg-1.0.dist-info"
    metadata = b"Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n"
    return (
        row(member, content[member])
        + row(f"{info}/METADATA", metadata)
        + row(f"{info}/WHEEL", (support.WHEEL % "true").encode())
    )


def test_only_one_reading_of_a_zip_is_accepted() -> None:
    data = zipped({"a": Part(b"1")})
    for bad in (
        b"",
        b"PK",
        data[:-1],
        b"x" + data,
        data + b"x",
        data[:-2] + b"\1\0x",
        data[:-22],
        data + data,
    ):
        with pytest.raises(CorruptContent):
            parsed(bad)


def test_zip64_and_data_descriptors_are_read(tmp_path: Path) -> None:
    path = tmp_path / WHEEL

    class Pipe:
        """A file without `seek`: zipfile then writes data descriptors."""

        def __init__(self) -> None:
            self.parts: list[bytes] = []

        def write(self, data: bytes) -> int:
            self.parts.append(bytes(data))
            return len(data)

        def flush(self) -> None:
            pass

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as target:  # type: ignore[call-overload]
        for name, wide in (("a", True), ("b", False)):
            with target.open(name, "w", force_zip64=wide) as stream:
                stream.write(NOISE)
    path.write_bytes(b"".join(pipe.parts))
    with archive.opened(str(path)) as opened:
        assert [member.name for member in opened.members] == ["a", "b"]
        assert all(b"".join(payload.contents(opened, member)) == NOISE for member in opened.members)


def test_more_members_than_a_zip_without_zip64_has() -> None:
    data = zipped({f"{number}": Part(b"", method=0) for number in range(70_000)})
    assert len(parsed(data).members) == 70_000


def test_more_members_than_wheels_have_are_refused_before_they_are_read() -> None:
    for count, fault in ((archive.MOST_MEMBERS, "is damaged"), (archive.MOST_MEMBERS + 1, "is too large")):
        end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, 0, 0)
        end += struct.pack("<4sIQI", b"PK\6\7", 0, 0, 1)
        end += struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        with pytest.raises(CorruptContent, match=fault):
            parsed(end)


def test_a_wheel_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="cannot be read"), archive.opened(str(tmp_path / "none.whl")):
        pass
