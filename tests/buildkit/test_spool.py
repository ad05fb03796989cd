"""Where layers wait: memory first, then one nameless file; many readers at once."""

from __future__ import annotations

import os
import random
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.errors import Unavailable
from buildkit.spool import Spool, Void
from tests.rigs.small_disk import SmallDisk


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@given(st.lists(st.lists(st.binary(max_size=60), max_size=5), max_size=6), st.integers(0, 200))
def test_every_blob_reads_back_whatever_fits_into_memory(blobs: list[list[bytes]], room: int) -> None:
    with Spool(room) as spool:
        made = []
        for parts in blobs:
            blob = spool.blob()
            for part in parts:
                blob.write(part)
            made.append(blob)
        for blob, parts in zip(made, blobs, strict=True):
            for _ in range(2):
                with blob.open() as stream:
                    assert stream.read() == b"".join(parts)


def test_readers_in_many_threads_do_not_disturb_each_other(temporary: Path) -> None:
    dice = random.Random(1)
    contents = [dice.randbytes(300_000) for _ in range(8)]
    with Spool(500_000) as spool:
        blobs = [spool.blob() for _ in contents]
        for blob, content in zip(blobs, contents, strict=True):
            for start in range(0, len(content), 70_000):
                blob.write(content[start : start + 70_000])

        def read(number: int) -> bool:
            with blobs[number % 8].open() as stream:
                return b"".join(iter(lambda: stream.read(4001), b"")) == contents[number % 8]

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(read, range(64)))


def test_nothing_is_on_the_disk_under_any_name(temporary: Path) -> None:
    with Spool(0) as spool:
        blob = spool.blob()
        blob.write(b"secret")
        assert list(temporary.iterdir()) == []
        with blob.open() as stream:
            assert stream.read() == b"secret"
    spool.close()


def test_small_layers_touch_no_disk(temporary: Path) -> None:
    temporary.rmdir()
    with Spool() as spool:
        blob = spool.blob()
        blob.write(bytes(1000))
        with blob.open() as stream:
            assert len(stream.read()) == 1000


def test_a_closed_spool_leaves_no_descriptor_open(temporary: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with Spool(0) as spool:
            spool.blob().write(b"x")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_full_disk_is_reported_with_the_way_out(
    small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk.path))
    with Spool(0) as spool, pytest.raises(Unavailable) as caught:
        spool.blob().write(bytes(100 << 20))
    assert "TMPDIR" in caught.value.remedy


def test_a_void_keeps_nothing() -> None:
    with Void() as spool:
        blob = spool.blob()
        blob.write(bytes(1 << 20))
        with pytest.raises(AssertionError):
            blob.open()


def test_blobs_that_are_written_in_turns_do_not_mix() -> None:
    """Layers that a destination turns out to lack are made again from several threads."""
    with Spool(10) as spool:
        one, other = spool.blob(), spool.blob()
        for number in range(100):
            one.write(b"a%d" % number)
            other.write(b"b%d" % number)
            other.write(b"")
        assert one.open().read() == b"".join(b"a%d" % number for number in range(100))
        assert other.open().read() == b"".join(b"b%d" % number for number in range(100))
