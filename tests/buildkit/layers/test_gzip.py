"""Gzip members: any reader gets the same back, and their bytes are known."""

from __future__ import annotations

import gzip as python_gzip
import hashlib
import random
import shutil
import subprocess
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.layers import gzip
from buildkit.layers.gzip import LIBDEFLATE, MEMBER, member, recipe, store
from tests.buildkit.layers.support import layer
from tests.rigs.fixtures import skipping
from tests.rigs.install import debian_packages

TEXT = b"".join(b"line %d of it\n" % number for number in range(80_000))[:MEMBER]
NOISE = random.Random(5).randbytes(MEMBER)


def test_the_encoder_here_is_the_known_one() -> None:
    assert recipe() == LIBDEFLATE


@given(st.binary(max_size=3000) | st.binary(max_size=30).map(lambda data: data * 5000))
def test_any_bytes_come_back(data: bytes) -> None:
    assert python_gzip.decompress(member(data)) == data
    assert zlib.decompress(store(data), -15) == data
    assert python_gzip.decompress(member(memoryview(data)) + member(data)) == data * 2


@pytest.mark.rig
@pytest.mark.parametrize(("program", "package"), [("gzip", "gzip"), ("unpigz", "pigz"), ("igzip", "isal")])
def test_other_programs_read_many_members_as_one_stream(program: str, package: str) -> None:
    """unpigz and igzip are what containerd and Docker take where they find them."""
    if not shutil.which(program):
        with skipping():
            debian_packages(package)
    data = TEXT + NOISE + bytes(MEMBER) + b"end"
    raw = b"".join(member(data[start : start + MEMBER]) for start in range(0, len(data), MEMBER))
    done = subprocess.run([program, "-d", "-c"], input=raw, capture_output=True, check=True)
    assert done.stdout == data


def boundaries(raw: bytes) -> list[tuple[int, int]]:
    """(compressed, uncompressed) size of each member."""
    found = []
    while raw:
        reader = zlib.decompressobj(31)
        data = reader.decompress(raw)
        assert reader.eof
        found.append((len(raw) - len(reader.unused_data), len(data)))
        raw = reader.unused_data
    return found


def test_a_long_file_is_cut_every_mebibyte() -> None:
    _, raw = layer({b"a": TEXT + NOISE + TEXT})
    sizes = [size for _, size in boundaries(raw)]
    folder, *whole, rest, end = sizes
    assert (folder, whole, end) == (512, [MEMBER] * 3, 1024)
    assert 0 < rest <= MEMBER


@given(st.binary(min_size=1, max_size=3000))
def test_a_member_gives_back_what_it_holds(data: bytes) -> None:
    made = member(data)
    assert gzip.content(made) == data
    for damaged in (made[:-1], made[:12] + b"\xff\xff" + made[14:], made[:-5] + b"\xff\xff\xff\xff\xff"):
        if damaged != made:
            with pytest.raises(ValueError, match="damaged"):
                gzip.content(damaged)


def test_the_head_of_a_member_says_nothing_of_the_machine() -> None:
    for data in (TEXT, NOISE, b"x"):
        assert member(data)[:10] == bytes.fromhex("1f8b08000000000000ff")
        assert member(data)[-8:] == zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")


def test_what_does_not_shrink_is_stored() -> None:
    assert len(member(NOISE)) == MEMBER + 18 + 5 * 17
    assert member(NOISE)[10:-8] == store(NOISE)
    assert len(member(TEXT)) < len(TEXT) // 3
    assert member(b"")[10:-8] == store(b"") == bytes.fromhex("010000ffff")


def test_only_the_beginning_is_probed() -> None:
    late = NOISE[: 16 << 10] + bytes(MEMBER // 2)
    assert member(late)[10:-8] == store(late)
    early = bytes(16 << 10) + NOISE[: MEMBER // 2]
    assert member(early)[10:-8] != store(early)


@pytest.mark.parametrize("size", [0, 1, 65534, 65535, 65536, 131070, 131071])
def test_stored_blocks_hold_at_most_what_they_can(size: int) -> None:
    data = NOISE[:size]
    assert zlib.decompress(store(data), -15) == data
    assert len(store(data)) == size + 5 * max(1, -(-size // 65535))


def test_the_bytes_are_known() -> None:
    """A new release of the encoder that fails here must not be taken, or `key.FORMAT` must be raised."""
    digest = hashlib.sha256()
    for data in (TEXT, NOISE, bytes(MEMBER), TEXT[:1000] + NOISE[:1000], gzip._sample(), b"", b"x"):
        digest.update(member(data))
    assert digest.hexdigest() == KNOWN


KNOWN = "7ede9b1b1fa62ea340ad11b23fb5d9de6be54912be036050250e3a22b6dacf67"
