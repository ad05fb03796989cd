"""RECORD, METADATA, WHEEL and entry_points.txt: what is read, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.errors import InvalidInput
from buildkit.wheels.record import (
    EntryPoint,
    Hash,
    Metadata,
    Row,
    is_purelib,
    parse_entry_points,
    parse_metadata,
    parse_record,
    same_version,
    write_record,
)  # fmt: skip
from tests.buildkit.wheels.support import row

W = "x-1-py3-none-any.whl"
paths = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\\"), min_size=1, max_size=20
)
hashes = st.binary(min_size=48, max_size=48).map(lambda digest: Hash("sha384", digest)) | st.binary().map(
    Hash.of
)


@given(st.dictionaries(paths, st.tuples(st.none() | hashes, st.none() | st.integers(0, 10**15)), max_size=9))
def test_a_record_comes_back(found: dict[str, tuple[Hash | None, int | None]]) -> None:
    rows = {path: Row(path, *rest) for path, rest in found.items()}
    written = write_record(reversed(rows.values()))
    assert parse_record(written, W) == rows
    assert write_record(rows.values()) == written


def test_windows_paths_and_crlf() -> None:
    assert list(parse_record(b"a\\b,,\r\nc,,3\r\n", W)) == ["a/b", "c"]


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_hashes_are_those_of_the_content(algorithm: str) -> None:
    parsed = parse_record(row("a", b"1", algorithm).encode(), W)["a"]
    assert parsed.hash is not None
    assert str(parsed.hash) == row("a", b"1", algorithm).split(",")[1]


@pytest.mark.parametrize(
    "text",
    ["a,b\n", "a,,,\n", ",,\n", "a,md5=AAAA,1\n", "a,sha256=AAAA,1\n", "a,sha256=%s,1\n" % ("!" * 43), "a,sha256,1\n",
     "a,,-1\n", "a,,1e3\n", "a,,\u0661\n", 'a"b,"c"d,\n', "a,,1\na,,2\n", "\udcff"],
)  # fmt: skip
def test_bad_records_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^x-1-py3-none-any.whl: .*RECORD"):
        parse_record(text.encode(errors="surrogateescape"), W)


def test_metadata() -> None:
    text = b"Metadata-Version: 2.1\r\nNAME: A.b_c\r\nVersion : 1!2.0+cu12\r\nX: y\r\n\r\nName: in the description\r\n"
    assert parse_metadata(text, W) == Metadata("A.b_c", "1!2.0+cu12")


@pytest.mark.parametrize(
    "text", [b"", b"Name: a", b"Name: a\nName: b\nVersion: 1", b"Name: ../a\nVersion: 1", b"Name: a\nVersion: 1/2",
             b"\xff"]
)  # fmt: skip
def test_bad_metadata_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput, match="METADATA"):
        parse_metadata(text, W)


def test_versions_are_the_same_however_they_are_written() -> None:
    for one, other in (
        ("1.0", "1.0.0"),
        ("1.0", "v1"),
        ("1.0rc1", "1.0-RC.1"),
        ("2!1", "2!1.0"),
        ("odd one", "odd one"),
    ):
        assert same_version(one, other)
        assert same_version(other, one)
    for one, other in (
        ("1.0", "1.0.1"),
        ("1.0", "1.0+cpu"),
        ("1.0", "1!1.0"),
        ("", "1.0"),
        ("odd one", "other one"),
    ):
        assert not same_version(one, other)
        assert not same_version(other, one)


def test_wheel_file() -> None:
    assert is_purelib(b"Wheel-Version: 1.9\nRoot-Is-Purelib: True\n", W)
    assert not is_purelib(b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n", W)
    for bad in (b"", b"Wheel-Version: 2.0\nRoot-Is-Purelib: true", b"Wheel-Version: 1.0\nRoot-Is-Purelib: no",
                b"Wheel-Version: 1.0", b"Wheel-Version: 10\nRoot-Is-Purelib: true"):  # fmt: skip
        with pytest.raises(InvalidInput):
            is_purelib(bad, W)


def test_entry_points() -> None:
    text = b"[gui_scripts]\nG=g:h\n[console_scripts]\n# no\na-b = m.n : o.p [x, y]\n[pytest11]\nq = %(w)s not : one\n"
    assert parse_entry_points(text, W) == [EntryPoint("a-b", "m.n", "o.p"), EntryPoint("G", "g", "h")]


@pytest.mark.parametrize(
    "text",
    ["a = b", "[console_scripts", "[console_scripts]\na", "[console_scripts]\na = b", "[console_scripts]\na = b:",
     "[console_scripts]\na=b:c\na=d:e", "[console_scripts]\n../a=b:c", "[console_scripts]\n..=b:c",
     "[console_scripts]\n/a=b:c", "[console_scripts]\na=os;b:c", "[console_scripts]\na=b:c()",
     "[console_scripts]\na=b:c;d", "[console_scripts]\na=b:1", "[console_scripts]\na=b..c:d",
     "[console_scripts]\n.wh.a=b:c",
     "[console_scripts]\na=b:c\n d:e", "[console_scripts]\na\x00=b:c", "\udcff"],
)  # fmt: skip
def test_bad_entry_points_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"entry_points\.txt"):
        parse_entry_points(text.encode(errors="surrogateescape"), W)
