"""Tar bytes: what they say, and what other readers make of them."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.git.tree import EXECUTABLE, SYMLINK
from buildkit.image.digest import Digest
from buildkit.layers import tar
from buildkit.testing.repositories import File
from tests.buildkit import images
from tests.buildkit.layers.support import ODD, contents, layer, members
from tests.rigs.podman import Podman


def unpacked(raw: bytes) -> bytes:
    return gzip.decompress(raw)


def on_disk(folder: bytes) -> dict[bytes, bytes | File]:
    """A folder as the mapping it was made of."""
    found: dict[bytes, bytes | File] = {}
    for where, folders, files in os.walk(folder):
        for name in folders + files:
            path = where + b"/" + name
            relative = path[len(folder) + 1 :]
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                found[relative] = File(os.readlink(path), SYMLINK)
            elif stat.S_ISREG(mode):
                with open(path, "rb") as file:
                    data = file.read()
                assert stat.S_IMODE(mode) in (0o644, 0o755)
                found[relative] = File(data, EXECUTABLE) if mode & 0o100 else data
            else:
                assert (stat.S_ISDIR(mode), stat.S_IMODE(mode)) == (True, 0o755)
    return found


def test_python_reads_back_every_odd_name() -> None:
    _, raw = layer(ODD)
    assert contents(unpacked(raw)) == {b"app/" + path: file for path, file in ODD.items()}


@pytest.mark.skipif(not shutil.which("tar"), reason="there is no tar")
def test_gnu_tar_reads_back_every_odd_name_and_says_nothing(tmp_path: Path) -> None:
    _, raw = layer(ODD)
    done = subprocess.run(["tar", "-xp"], cwd=tmp_path, input=unpacked(raw), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert on_disk(os.fsencode(tmp_path / "app")) == ODD


def test_umoci_reads_back_every_odd_name(tmp_path: Path, podman: Podman) -> None:
    written, raw = layer(ODD)
    images.publish(tmp_path / "layout", images.image(images.Layer(raw, written.diff_id)), "v1")
    podman.umoci("unpack", "--image", f"{tmp_path}/layout:v1", str(tmp_path / "bundle"))
    assert on_disk(os.fsencode(tmp_path / "bundle/rootfs/app")) == ODD


names = st.binary(min_size=1, max_size=40).filter(
    lambda n: b"\0" not in n and b"/" not in n and n not in (b".", b"..")
)
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)
files = st.binary(max_size=1500) | st.builds(
    File, st.binary(min_size=1, max_size=150).filter(lambda target: b"\0" not in target), st.just(SYMLINK)
)


def without_conflicts(found: dict[bytes, bytes | File]) -> dict[bytes, bytes | File]:
    folders = {path[:end] for path in found for end in range(len(path)) if path[end : end + 1] == b"/"}
    return {path: file for path, file in found.items() if path not in folders}


@given(
    st.dictionaries(paths, files, max_size=6).map(without_conflicts), st.sampled_from(["/app", "/opt/x/y"])
)
def test_any_tree_comes_back_as_it_went_in(found: dict[bytes, bytes | File], prefix: str) -> None:
    written, raw = layer(found, prefix)
    start = prefix[1:].encode() + b"/"
    assert contents(unpacked(raw)) == {start + path: file for path, file in found.items()}
    assert written.diff_id == Digest.of(unpacked(raw))
    listed = [name for name, _ in members(unpacked(raw))]
    assert len(set(listed)) == len(listed)


def test_nothing_in_an_entry_depends_on_who_made_it() -> None:
    _, raw = layer(ODD)
    for _, member in members(unpacked(raw)):
        assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", tar.MTIME)
        assert set(member.pax_headers) <= {"path", "linkpath", "size"}
        assert member.mode == {tarfile.DIRTYPE: 0o755, tarfile.SYMTYPE: 0o777}.get(member.type, member.mode)
        assert member.mode in (0o644, 0o755, 0o777)


def test_short_ascii_names_need_no_record() -> None:
    assert len(tar.header(b"n" * 100, tar.FILE, mode=0o644)) == tar.BLOCK
    for name in (b"n" * 101, "\u00e9".encode(), b"\xff"):
        assert len(tar.header(name, tar.FILE, mode=0o644)) == 3 * tar.BLOCK


@pytest.mark.parametrize("size", [0, 1, 8**11 - 1, 8**11, 9 << 30, 1 << 43])
def test_sizes_beyond_eight_gigabytes_are_read_back(size: int) -> None:
    header = tar.header(b"huge", tar.FILE, mode=0o644, size=size)
    with tarfile.open(fileobj=io.BytesIO(header + tar.END)) as archive:
        member = archive.next()
    assert member is not None
    assert (member.name, member.size) == ("huge", size)


@given(st.integers(1, 1200))
def test_the_length_of_a_record_counts_its_own_digits(length: int) -> None:
    name = b"\xff" * length
    assert [found for found, _ in members(tar.header(name, tar.FILE, mode=0o644) + tar.END)] == [name]


def test_the_end_is_two_empty_blocks_and_everything_fills_its_blocks() -> None:
    _, raw = layer(ODD)
    assert unpacked(raw).endswith(bytes(1024))
    assert len(unpacked(raw)) % tar.BLOCK == 0
    assert [len(tar.padding(size)) for size in (0, 1, 511, 512, 513)] == [0, 511, 1, 0, 511]


def test_the_bytes_of_a_header_are_these() -> None:
    """By hand, from POSIX's table of ustar fields."""
    block = tar.header(b"a/b.py", tar.FILE, mode=0o755, size=5)
    expected = b"a/b.py".ljust(100, b"\0") + b"0000755\x000000000\x000000000\x0000000000005\x00"
    expected += b"%011o\0" % 315619200 + b"        " + b"0" + bytes(100) + b"ustar\x0000"
    expected = expected.ljust(512, b"\0")
    checksum = b"%06o\0 " % sum(expected)
    assert block == expected[:148] + checksum + expected[156:]
