"""A blob is a pointer exactly where git-lfs takes it for one; git-lfs itself is asked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildkit.errors import InvalidInput
from buildkit.lfs.pointer import POINTER_LIMIT, Pointer, parse_pointer, refuse_extensions

OID = "a3" * 32
VERSION = b"version https://git-lfs.github.com/spec/v1\n"
OBJECT = f"oid sha256:{OID}\n".encode()
SIZE = b"size 123\n"
CANONICAL = VERSION + OBJECT + SIZE
LINES = [
    VERSION,
    OBJECT,
    SIZE,
    b"version https://hawser.github.com/spec/v1\n",
    b"version http://git-media.io/v/2\n",
    b"version https://git-lfs.github.com/spec/v2\n",
    f"ext-0-foo sha256:{OID}\n".encode(),
    f"ext-1-bar sha256:{OID}\n".encode(),
    f"ext-1-baz! sha256:{OID}\n".encode(),
    f"ext-12-x sha256:{OID}\n".encode(),
    b"ext-0-foo sha256:1\n",
    OBJECT.upper(),
    f"oid sha256:{OID.upper()}\n".encode(),
    f"oid sha256:{OID}ff\n".encode(),
    f"oid md5:{OID}\n".encode(),
    b"size +12\n",
    b"size 012\n",
    b"size 0\n",
    b"size -1\n",
    b"size  1\n",
    b"size 1_0\n",
    b"size 9223372036854775807\n",
    b"size 9223372036854775808\n",
    b"extra key\n",
    b"word\n",
    b"\n",
    b"  \n",
]
wrapped = st.tuples(
    st.sampled_from([b"", b"", b" ", b"\n", b"\xc2\xa0", b"\x1c", b"\x0b", b"\xe3\x80\x80"]),
    st.sampled_from([b"", b"", b" ", b"\n" * 300, b"\xc2\xa0", b"\x1c", b"\xff"]),
)


@st.composite
def almost_pointers(draw: st.DrawFn) -> bytes:
    """Pointers with a few lines, bytes or line ends changed."""
    lines = [draw(st.sampled_from([VERSION, *LINES])), OBJECT, SIZE]
    for _ in range(draw(st.integers(0, 2))):
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(LINES)))
    if draw(st.booleans()):
        lines[draw(st.integers(0, len(lines) - 1))] = draw(st.sampled_from(LINES))
    blob = b"".join(lines).replace(b"\n", draw(st.sampled_from([b"\n", b"\n", b"\r\n", b"\r\r\n"])))
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(blob) - 1))
        blob = blob[:at] + draw(st.binary(max_size=2)) + blob[at + 1 :]
    before, after = draw(wrapped)
    return before + (blob.rstrip(b"\n") if draw(st.booleans()) else blob) + after


@pytest.mark.skipif(not shutil.which("git-lfs"), reason="git-lfs is not installed")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(blob=almost_pointers().filter(lambda blob: 0 < len(blob) < POINTER_LIMIT))
def test_as_git_lfs(tmp_path: Path, blob: bytes) -> None:
    file = tmp_path / "blob"
    file.write_bytes(blob)
    command = ["git", "lfs", "pointer", "--check", "--file", str(file)]
    is_pointer = subprocess.run(command, capture_output=True, check=False).returncode == 0
    is_canonical = subprocess.run([*command, "--strict"], capture_output=True, check=False).returncode == 0
    pointer = parse_pointer(blob)
    assert (pointer is not None) == is_pointer
    assert pointer is None or pointer.canonical == is_canonical


@given(blob=st.binary(max_size=1100) | almost_pointers())
def test_no_blob_is_an_error(blob: bytes) -> None:
    pointer = parse_pointer(blob)
    assert pointer is None or (len(pointer.oid) == 64 and pointer.size >= 0)


def test_a_pointer_names_content() -> None:
    assert parse_pointer(CANONICAL) == Pointer(OID, 123, (), True)


@pytest.mark.parametrize(
    "blob",
    [
        CANONICAL.replace(b"\n", b"\r\n"),
        CANONICAL.rstrip(b"\n"),
        CANONICAL.replace(b"git-lfs", b"hawser"),
        CANONICAL.replace(b"https://git-lfs.github.com/spec/v1", b"http://git-media.io/v/2"),
        CANONICAL + b"\n" * (POINTER_LIMIT - len(CANONICAL) - 1),
    ],
    ids=["crlf", "no-newline", "hawser", "git-media", "padded"],
)
def test_unusual_ones_are_pointers_too(blob: bytes) -> None:
    assert parse_pointer(blob) == Pointer(OID, 123, (), False)


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"text",
        CANONICAL + b"\n" * 1000,
        CANONICAL + b"x y\n",
        CANONICAL.replace(b"a3", b"A3"),
        OBJECT + SIZE,
    ],
    ids=["empty", "text", "long", "extra-key", "upper-case", "no-version"],
)
def test_others_are_not(blob: bytes) -> None:
    assert parse_pointer(blob) is None


def test_content_that_went_through_an_extension_is_refused() -> None:
    plain, extended = parse_pointer(CANONICAL), parse_pointer(VERSION + LINES[6] + OBJECT + SIZE)
    assert plain is not None
    assert extended is not None
    assert extended.extensions == ("ext-0-foo",)
    refuse_extensions(plain, b"a.bin")
    with pytest.raises(InvalidInput, match=r"^a\.bin: .*ext-0-foo"):
        refuse_extensions(extended, b"a.bin")
