"""The layer's own bytes: what is copied, which folders are stated, and how little memory it takes."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest

from buildkit.errors import CorruptContent
from buildkit.image.digest import Digest
from buildkit.wheels import archive
from buildkit.wheels.archive import parse
from buildkit.wheels.installed import plan
from buildkit.wheels.splice import SPLICED, recipe, write_known, write_wheels
from tests.buildkit.wheels.support import (
    DEBIAN,
    SITE,
    SPLIT,
    Part,
    entries,
    layer,
    parsed,
    planned,
    wheel_bytes,
)  # fmt: skip

LARGE = random.Random(2).randbytes(100_000)


def folders(blob: bytes) -> dict[str, int]:
    return {member.name: member.mode for member, _ in entries(blob) if member.isdir()}


def test_large_members_are_copied_as_they_are() -> None:
    data = wheel_bytes(
        {"pkg/large": LARGE, "pkg/stored": Part(LARGE, method=0), "pkg/small": LARGE[: SPLICED // 2]}
    )
    members = {member.name: member for member in parsed(data).members}
    _, blob = layer(planned(data))
    for name, copied in (("pkg/large", True), ("pkg/small", False)):
        each = members[name]
        assert (data[each.offset : each.offset + each.compressed] in blob) == copied


def test_only_folders_below_those_of_the_scheme_are_stated() -> None:
    parts: dict[str, bytes | Part] = {f"pkg-1.0.data/{kind}": b"" for kind in (
        "scripts/s", "data/share/jupyter/x", "data/lib/python3.11/y", "data/etc/z", "headers/h.h")}  # fmt: skip
    _, blob = layer(planned(wheel_bytes({"pkg/sub/a": b"", **parts})))
    headers = "usr/local/include/python3.11/pkg"
    expected = [
        headers,
        f"{SITE}/pkg",
        f"{SITE}/pkg-1.0.dist-info",
        f"{SITE}/pkg/sub",
        "usr/local/share/jupyter",
    ]
    assert folders(blob) == dict.fromkeys(expected, 0o755)
    _, blob = layer(planned(wheel_bytes({"pkg-1.0.data/data/tmp/x": b""}), SPLIT._replace(data="/")))
    assert folders(blob)["tmp"] == 0o1777


def test_every_entry_has_the_one_time_and_no_owner() -> None:
    _, blob = layer(planned(wheel_bytes({"pkg/" + "long" * 40: b"1", "pkg/é": b"2"})))
    assert {(member.mtime, member.uid, member.gid) for member, _ in entries(blob)} == {(315619200, 0, 0)}
    assert f"{SITE}/pkg/é" in {member.name for member, _ in entries(blob)}


def test_the_bytes_are_known() -> None:
    """Raise `FORMAT` when these change: layers of equal keys must be equal."""
    written, _ = layer(
        planned(wheel_bytes({"pkg/a": Part(b"1" * 100, method=0)}, entry_points="[console_scripts]\na=b:c\n"))
    )
    assert recipe() == "wheels 1, members of 65536, libdeflate-1/1MiB/probe-16KiB, 315619200, 0:0"
    assert written.digest == "sha256:be5f45bd15b0fb0cf97d89f2b148d5baf70e074825728e209a965c2dcc49b4b2"


def test_a_wheel_that_is_cut_off_while_it_is_read() -> None:
    data = wheel_bytes({"pkg/large": LARGE})
    cut = [len(data)]
    opened = parse(
        "pkg-1.0-py3-none-any.whl", len(data), lambda at, length: data[at : min(at + length, cut[0])]
    )
    found = plan(opened, DEBIAN)
    cut[0] = 50_000
    with pytest.raises(CorruptContent, match="pkg/large': it is cut off"):
        write_wheels([found], lambda _: None)
    with pytest.raises(CorruptContent, match="pkg/large': it is cut off"):
        write_known([found], lambda _: None, diff_id=Digest.of(b""))


@pytest.mark.parametrize("method", [0, 8])
def test_memory_does_not_grow_with_a_member(tmp_path: Path, method: int) -> None:
    path = tmp_path / "pkg-1.0-py3-none-any.whl"
    path.write_bytes(
        wheel_bytes({"pkg/noise": Part(LARGE * 400, method=method), "pkg/zeros": Part(bytes(90 << 20))})
    )
    with archive.opened(str(path)) as opened:
        tracemalloc.start()
        try:
            write_wheels([plan(opened, DEBIAN)], lambda _: None)
            assert tracemalloc.get_traced_memory()[1] < 16 << 20
        finally:
            tracemalloc.stop()
