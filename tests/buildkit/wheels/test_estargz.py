"""eStargz layers: any gzip reader reads them, the table says where everything is, and the bytes are always the same."""

from __future__ import annotations

import gzip
import random
import subprocess
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings

from buildkit.errors import CorruptContent, InvalidInput
from buildkit.image.digest import Digest
from buildkit.wheels import archive
from buildkit.wheels.estargz import COPIED, TOC_DIGEST, UNCOMPRESSED_SIZE, Lazy, recipe, write_estargz
from buildkit.wheels.estargz import write_known_estargz as write_known
from buildkit.wheels.installed import Plan, plan
from buildkit.wheels.splice import write_wheels
from tests.buildkit.wheels import lazily
from tests.buildkit.wheels.support import (
    DEBIAN,
    SITE,
    SPLIT,
    Part,
    entries,
    layer,
    parsed,
    planned,
    row,
    unpacked,
    wheel_bytes,
)  # fmt: skip
from tests.buildkit.wheels.test_oracle import members
from tests.rigs import estargz as rig
from tests.rigs.errors import CommandFailed
from tests.rigs.fixtures import skipping
from tests.rigs.install import debian_packages
from tests.rigs.wheels import wheel

NOISE = random.Random(5).randbytes(1 << 20)
# Larger than what is copied, and no chunk like another.
LARGE = b"".join(bytes([number]) + NOISE[:-1] for number in range(9)) + b"rest"
LANDMARK, TABLE = ".no.prefetch.landmark", "stargz.index.json"


def lazy(*plans: Plan) -> tuple[Lazy, bytes]:
    """The layer; that it is what it says, the same where the diff id is known, and sound by its table, is checked."""
    parts: list[bytes] = []
    found = write_estargz(plans, parts.append)
    blob = b"".join(parts)
    tar = gzip.decompress(blob)
    assert found.written == (Digest.of(blob), Digest.of(tar), len(blob))
    assert found.uncompressed == len(tar)
    again: list[bytes] = []
    assert write_known(plans, again.append, diff_id=found.written.diff_id) == found
    assert b"".join(again) == blob
    read = lazily.read(blob)
    assert read.digest == found.toc
    assert found.annotations == {TOC_DIGEST: read.digest, UNCOMPRESSED_SIZE: str(len(tar))}
    _agree(read, blob)
    return found, blob


def _agree(read: lazily.Read, blob: bytes) -> None:
    """The table says of each entry what the tar says, in its order, and the tar ends with it."""
    *found, (last, _) = entries(blob)
    assert last.name == TABLE
    listed = [entry for entry in read.entries if entry["type"] != "chunk"]
    for (info, content), entry in zip(found, listed, strict=True):
        assert entry["name"] == info.name + ("/" if info.isdir() else "")
        assert (entry["type"], entry.get("size", 0)) == ("dir" if info.isdir() else "reg", info.size)
        assert (entry["mode"], entry["uid"], entry["gid"]) == (info.mode, info.uid, info.gid)
        assert entry["modtime"] == "1980-01-02T00:00:00Z"
        assert info.mtime == 315619200
        if info.isfile():
            assert read.contents[info.name] == content
    assert [info.name for info, _ in found].count(LANDMARK) == 1
    assert read.contents[LANDMARK] == b"\x0f"


@settings(max_examples=25, deadline=None)
@given(members)
def test_it_unpacks_to_what_the_plain_layer_does(members: dict[str, Part]) -> None:
    data = wheel_bytes(members)
    try:
        found = planned(data)
    except InvalidInput:
        return
    files = unpacked(lazy(found)[1])
    assert files.pop(LANDMARK).content == b"\x0f"
    assert files.pop(TABLE)
    assert files == unpacked(layer(found)[1])


def test_members_are_copied_up_to_a_size_and_cut_into_chunks_above() -> None:
    data = wheel_bytes(
        {"pkg/a.so": LARGE, "pkg/b.so": LARGE[:COPIED], "pkg/c": b"few", "pkg/d": Part(LARGE[:3_000_000], method=0),
         "pkg/empty": b""}
    )  # fmt: skip
    _, blob = lazy(planned(data))
    held = {
        member.name: data[member.offset : member.offset + member.compressed]
        for member in parsed(data).members
    }
    assert {name: held[name] in blob for name in ("pkg/a.so", "pkg/b.so", "pkg/c")} == {
        "pkg/a.so": False, "pkg/b.so": True, "pkg/c": True}  # fmt: skip
    chunks: dict[str, list[tuple[int, int]]] = {}
    for entry in lazily.read(blob).entries:
        if "offset" in entry:
            found = chunks.setdefault(entry["name"].removeprefix(f"{SITE}/"), [])
            found.append((entry.get("chunkOffset", 0), entry.get("chunkSize", 0)))
    assert chunks["pkg/a.so"] == [(number << 20, 1 << 20) for number in range(9)] + [(9 << 20, 0)]
    assert chunks["pkg/b.so"] == chunks["pkg/c"] == [(0, 0)]
    assert chunks["pkg/d"] == [(0, 1 << 20), (1 << 20, 1 << 20), (2 << 20, 0)]
    assert "pkg/empty" not in chunks


def test_the_order_of_the_wheels_does_not_matter() -> None:
    one = planned(wheel_bytes({"one/a": LARGE}, name="one"), wheel="one-1.0-py3-none-any.whl")
    two = planned(wheel_bytes({"two/a": b"2"}, name="two"), wheel="two-1.0-py3-none-any.whl")
    assert lazy(one, two) == lazy(two, one)


def test_the_bytes_are_known() -> None:
    """Raise `FORMAT` when these change: layers of equal keys must be equal."""
    members = {
        "pkg/a": LARGE[: 3 << 20],
        "pkg-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n",
        "pkg-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n",
    }
    # Stored, since members that are deflated keep the bytes that this machine's zlib gave them.
    stored = {name: Part(content, method=0) for name, content in members.items()}
    found, _ = lazy(planned(wheel_bytes(stored)))
    assert recipe() == "estargz 1, copied to 8388608, libdeflate-1/1MiB/probe-16KiB, 315619200, 0:0"
    assert found.written.digest == "sha256:475a077b32619c106e5bca10c427fd1b64ded81dee0b16401585d31030a1834f"


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
@pytest.mark.parametrize("content", [b"small", LARGE])
def test_chunks_have_sha256_whatever_record_has(algorithm: str, content: bytes) -> None:
    def built(said: bytes) -> bytes:
        described = {
            "pkg-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n",
            "pkg-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n",
        }
        rows = "".join(row(name, data, algorithm) for name, data in {"pkg/a": said, **described}.items())
        return wheel_bytes({"pkg/a": content, **described}, record=rows)

    _, blob = lazy(planned(built(content)))
    assert lazily.read(blob).contents[f"{SITE}/pkg/a"] == content
    with pytest.raises(CorruptContent, match="pkg/a': its hash is not the one in RECORD"):
        lazy(planned(built(b"x" * len(content))))


@pytest.mark.parametrize(
    "part", [Part(LARGE), Part(LARGE[:99]), Part(LARGE[:99], method=0), Part(LARGE, method=0)]
)
def test_what_record_does_not_speak_of_is_refused(part: Part) -> None:
    record = row("pkg/a", b"!" * len(part.content)) + "".join(
        row(f"pkg-1.0.dist-info/{name}", data)
        for name, data in (
            ("METADATA", b"Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n"),
            ("WHEEL", b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        )
    )
    with pytest.raises(CorruptContent, match="pkg/a': its hash is not the one in RECORD"):
        write_estargz([planned(wheel_bytes({"pkg/a": part}, record=record))], lambda _: None)


@pytest.mark.parametrize("name", [TABLE, LANDMARK, ".prefetch.landmark", f"{TABLE}/below"])
def test_names_of_its_own_are_refused(name: str) -> None:
    found = planned(wheel_bytes({f"pkg-1.0.data/data/{name}": b""}), SPLIT._replace(data="/"))
    with pytest.raises(InvalidInput, match=f"writes /{name}, a name that eStargz"):
        write_estargz([found], lambda _: None)
    assert lazy(planned(wheel_bytes({f"pkg/{name}": b""})))


@pytest.mark.parametrize("room", [0, 5_000, 3_000_000, 9_438_000])
def test_a_disk_that_is_full_is_said_at_once(room: int) -> None:
    """Wherever it happens: in the landmark, in a file that the thread deflates, or in the table."""
    left = [room]

    def write(data: bytes) -> None:
        left[0] -= len(data)
        if left[0] < 0:
            raise OSError(28, "No space left on device")

    found = planned(wheel_bytes({"pkg/a.so": LARGE}))
    with pytest.raises(OSError, match="No space left"):
        write_estargz([found], write)
    left[0] = room
    with pytest.raises(OSError, match="No space left"):
        write_known([found], write, diff_id=Digest.of(b""))


def test_a_wheel_that_is_cut_off_while_it_is_read() -> None:
    data = wheel_bytes({"pkg/a.so": LARGE})
    cut = [len(data)]
    opened = archive.parse(
        "pkg-1.0-py3-none-any.whl", len(data), lambda at, size: data[at : min(at + size, cut[0])]
    )
    found = plan(opened, DEBIAN)
    cut[0] = 5_000_000
    with pytest.raises(CorruptContent, match=r"pkg/a\.so': it is cut off"):
        write_estargz([found], lambda _: None)
    with pytest.raises(CorruptContent, match=r"pkg/a\.so': it is cut off"):
        write_known([found], lambda _: None, diff_id=Digest.of(b""))


def test_memory_does_not_grow_with_a_member(tmp_path: Path) -> None:
    path = tmp_path / "pkg-1.0-py3-none-any.whl"
    path.write_bytes(wheel_bytes({"pkg/noise": LARGE * 4, "pkg/zeros": Part(bytes(90 << 20))}))
    with archive.opened(str(path)) as opened:
        tracemalloc.start()
        try:
            write_estargz([plan(opened, DEBIAN)], lambda _: None)
            assert tracemalloc.get_traced_memory()[1] < 24 << 20
        finally:
            tracemalloc.stop()


@pytest.fixture(scope="module")
def checked() -> None:
    """The snapshotter's library can be asked."""
    with skipping():
        rig.checker()


@pytest.mark.rig
def test_the_snapshotters_library_accepts_it(checked: None, tmp_path: Path) -> None:
    path = tmp_path / "layer"
    parts: dict[str, bytes | Part] = {"pkg/é" + "long" * 40: b"1", "pkg/a.so": LARGE, "pkg/empty": b"",
                                      "pkg/b.so": Part(LARGE, 0o100755, 0), "pkg/c.so": LARGE[:COPIED]}  # fmt: skip
    found, blob = lazy(planned(wheel_bytes(parts)))
    path.write_bytes(blob)
    said = rig.check(path, found.toc)
    assert said.entries == len(entries(blob)) - 1
    assert said.files == len(unpacked(blob)) - 1
    assert said.chunks == 2 * 10 + 1 + 1 + 4 + 1  # both large ones, c.so, é, .dist-info, the landmark


@pytest.mark.rig
def test_the_snapshotters_library_would_say_so(checked: None, tmp_path: Path) -> None:
    """The check checks: a bit in a payload, another table, no footer."""
    path = tmp_path / "layer"
    found, blob = lazy(planned(wheel_bytes({"pkg/a": Part(NOISE[:5000], method=0)})))
    at = blob.index(NOISE[:1000])
    for bad, toc, what in (
        (blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :], found.toc, "tar|checksum"),
        (blob, Digest.of(b""), "invalid TOC JSON"),
        (blob[:-1], found.toc, "open:"),
    ):
        path.write_bytes(bad)
        with pytest.raises(CommandFailed, match=what):
            rig.check(path, toc)


@pytest.mark.rig
def test_a_real_wheel_is_accepted_by_all_readers(checked: None, tmp_path: Path) -> None:
    with skipping():
        debian_packages("gzip", "pigz", "isal")
        path = wheel("numpy==2.3.4")
    layer_file = tmp_path / "layer.gz"
    with archive.opened(str(path)) as opened, layer_file.open("wb") as target:
        found = plan(opened, DEBIAN)
        written = write_estargz([found], target.write)
        plain = write_wheels([found], lambda _: None)
    said = rig.check(layer_file, written.toc)
    assert said.files == len(found.files) + 1
    # What lazy pulling costs in bytes: large libraries are deflated anew, small files not with their neighbours.
    assert plain.size < written.written.size < 1.08 * plain.size
    for words in (["gzip", "-dc"], ["unpigz", "-c"], ["igzip", "-dc"]):
        done = subprocess.run([*words, str(layer_file)], capture_output=True, check=True)
        assert Digest.of(done.stdout) == written.written.diff_id, words
    with tarfile.open(layer_file) as tar:
        assert tar.getnames()[-1] == TABLE
