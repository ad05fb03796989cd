"""Streams of layers: compression of all kinds, and what a hostile one may try."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import tracemalloc
from importlib.util import find_spec

import pytest

from buildkit.bases.inflate import inflated
from buildkit.bases.scan import scan
from buildkit.bases.tree import File
from buildkit.errors import CorruptContent, InvalidInput
from tests.buildkit.bases_facts.support import (
    LIBC,
    Entry,
    entry,
    file,
    folder,
    link,
    shown,
    tar,
    tree_of,
    wanted_of,
)

SMALL = tar(file("etc/os-release", b"ID=debian\n"), file("var/big", bytes(100_000)), link("bin", "usr/bin"))


def scanned(raw: bytes) -> dict[str, str]:
    return shown(scan([("a layer", io.BytesIO(raw))]))


def renumbered(raw: bytes, size: int) -> bytes:
    """The first header with another size."""
    field = b"\x80" + size.to_bytes(11, "big")
    block = raw[:124] + field + raw[136:148] + b" " * 8 + raw[156:512]
    return block[:148] + b"%06o\0 " % sum(block) + block[156:] + raw[512:]


@pytest.mark.parametrize(
    "packed",
    [
        SMALL,
        gzip.compress(SMALL),
        gzip.compress(SMALL[:700]) + gzip.compress(b"") + gzip.compress(SMALL[700:]) + bytes(100),
        b"".join(gzip.compress(SMALL[at : at + 7]) for at in range(0, 4000, 7)) + gzip.compress(SMALL[4004:]),
    ],
    ids=["plain", "gzip", "members", "tiny members"],
)
def test_only_what_matters_is_kept_of_any_compression(packed: bytes) -> None:
    assert scanned(packed) == {
        "/bin": "-> usr/bin",
        "/etc": "folder",
        "/etc/os-release": "file",
    }


def test_without_an_end_mark_the_end_is_the_end() -> None:
    assert shown(tree_of(tar(file("a"))[:512])) == {"/a": "file"}


def test_the_stream_is_read_to_its_end_and_closed() -> None:
    stream = io.BytesIO(gzip.compress(SMALL + random.Random(1).randbytes(1_000_000)))
    scan([("a layer", stream)])
    assert stream.closed


@pytest.mark.skipif(find_spec("zstandard") is not None, reason="it can be read here")
def test_zstd_without_a_library_is_refused_with_a_remedy() -> None:
    with pytest.raises(InvalidInput, match="pip install zstandard"):
        scanned(b"\x28\xb5\x2f\xfd" + bytes(100))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (gzip.compress(SMALL)[:-20], "cut off within its gzip"),
        (gzip.compress(SMALL)[:-8] + bytes(8), "is no gzip"),
        (SMALL[:300], "within a header"),
        (SMALL[:60_000], "within a file"),
        (SMALL[:520], "within a file"),
        (b"x" * 512, "a header is broken"),
        (tar(file("a/../../etc/passwd")), "leads out"),
        (tar(file("..")), "leads out"),
        (renumbered(tar(file("x")), 1 << 40), "within a file"),
        (renumbered(tar(file("etc/passwd")), 1 << 40), "within a file"),
        (renumbered(tar(file("usr/bin/python3.12")), 1 << 40), "within a file"),
        (renumbered(tar(entry("x" * 200)), 1 << 40), "an extended header of"),
    ],
)
def test_what_is_broken_or_hostile_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(CorruptContent, match=why):
        scanned(raw)


@pytest.mark.parametrize("records", [b"99999 path=x\n", b"x path=x\n", b"11 path=abc", b"-5 path=x\n"])
def test_broken_extended_headers_are_refused(records: bytes) -> None:
    member = entry("pax", tarfile.XHDTYPE)
    member.size = len(records)
    with pytest.raises(CorruptContent, match="extended header is broken"):
        scanned(tar((member, records), file("a")))


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_and_foreign_names_are_read_in_both_forms(form: int) -> None:
    names = [f"{'d' * 90}/{'e' * 90}/bin/äöü", "usr/bin/" + "f" * 150]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, encoding="utf-8") as archive:
        for name in names:
            archive.addfile(entry(name))
        archive.addfile(entry("link", tarfile.SYMTYPE, target="t" * 300))
    found = shown(wanted_of(buffer.getvalue()))
    assert {f"/{name}" for name in names} < set(found)
    assert found["/link"] == "-> " + "t" * 300


def test_absolute_and_dotted_names_are_inside() -> None:
    assert shown(tree_of(tar(file("/a"), file("./b"), file("c//d"), folder("./")))) == {
        "/a": "file", "/b": "file", "/c": "folder", "/c/d": "file"}  # fmt: skip


def test_a_version_is_found_across_the_pieces_of_a_large_file() -> None:
    for before in ((1 << 20) - 20, (1 << 20) - 60, 3_000_000):
        node = wanted_of(tar(file("lib/libc.so.6", bytes(before) + LIBC + bytes(5000)))).at("/lib/libc.so.6")
        assert isinstance(node, File)
        assert node.content == b"2.36"


def test_of_large_files_only_the_beginning_is_kept() -> None:
    node = wanted_of(tar(file("etc/passwd", b"x" * 3_000_000))).at("/etc/passwd")
    assert isinstance(node, File)
    assert len(node.content or b"") == 256 * 1024


def test_memory_does_not_grow_with_entries_or_with_a_bomb() -> None:
    entries: list[Entry] = [file(f"var/cache/{number}/x", bytes(number % 3)) for number in range(3_000)]
    packed = gzip.compress(tar(*entries, file("var/bomb", bytes(40_000_000))), 9)
    del entries
    tracemalloc.start()
    assert scanned(packed) == {}
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_pieces_are_bounded_whatever_the_ratio() -> None:
    assert max(map(len, inflated(io.BytesIO(gzip.compress(bytes(50_000_000), 9)), "a layer"))) <= 4 << 20


def test_many_whiteouts_of_one_directory_are_as_cheap_as_one() -> None:
    """Quadratic work would take much longer."""
    below = tar(*(file(f"bin/{number}") for number in range(2_000)))
    above = tar(
        *(entry("bin/.wh..wh..opq") for _ in range(3_000)), *(file(f"bin/n{n}") for n in range(2_000))
    )
    assert len(shown(wanted_of(below, above))) == 2_001
