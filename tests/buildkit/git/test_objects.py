"""Bulk reads through one process: order, interleaving, damage, memory, and never a hang."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.errors import CorruptContent, InvalidInput, NotFound
from buildkit.git.objects import CHUNK, ObjectReader
from buildkit.testing.repositories import ThrowAwayRepository
from tests.buildkit.git.deadline import deadline


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    with deadline(60):
        yield


def stored(origin: ThrowAwayRepository, contents: list[bytes]) -> list[str]:
    """The ids of blobs that one commit brings in."""
    origin.commit({f"{number:06}": content for number, content in enumerate(contents)})
    return origin.git("ls-tree", "--format=%(objectname)", "HEAD").decode().split()


def reader_of(origin: ThrowAwayRepository) -> ObjectReader:
    return ObjectReader(str(origin.directory))


def test_six_thousand_requests_are_answered_in_order(origin: ThrowAwayRepository) -> None:
    dice = random.Random(1)
    contents = [dice.randbytes(dice.choice([0, 1, 50, 5000])) for _ in range(6000)]
    oids = stored(origin, contents)
    with reader_of(origin) as reader:
        for (header, chunks), oid, content in zip(reader.stream(oids), oids, contents, strict=True):
            assert (header.oid, header.kind, header.size) == (oid, "blob", len(content))
            assert b"".join(chunks) == content


def test_a_slow_reader_of_large_blobs_blocks_nobody(origin: ThrowAwayRepository) -> None:
    """More answers than any pipe holds wait while requests are still being written."""
    dice = random.Random(2)
    contents = [dice.randbytes(300_000) for _ in range(20)]
    oids = stored(origin, contents) * 10
    with reader_of(origin) as reader:
        assert sum(header.size for header, _ in reader.stream(oids)) == 20 * 10 * 300_000


def test_what_is_not_read_is_passed_over(origin: ThrowAwayRepository) -> None:
    """Also where it is so much that a new process is cheaper than reading it."""
    contents = [b"first", bytes(3 * CHUNK), b"x" * 1000, b"last"] * 3
    oids = stored(origin, contents)
    with reader_of(origin) as reader:
        found = [b"".join(chunks) for header, chunks in reader.stream(oids) if header.size < 10]
        assert found == [b"first", b"last"] * 3
        partly = [next(chunks)[:1] for _, chunks in reader.stream(oids)]
        assert partly == [b"f", b"\0", b"x", b"l"] * 3


def test_a_stream_that_is_given_up_leaves_nothing_behind(origin: ThrowAwayRepository) -> None:
    contents = [b"%d" % number for number in range(1000)]
    oids = stored(origin, contents)
    with reader_of(origin) as reader:
        for header, chunks in reader.stream(oids):
            assert b"".join(chunks) == b"0"
            assert header.oid == oids[0]
            break
        assert reader.read("HEAD:000999", kind="blob", limit=10) == (oids[999], b"999")
        assert [b"".join(chunks) for _, chunks in reader.stream(oids[5:8])] == [b"5", b"6", b"7"]


def test_other_questions_may_come_between_the_blobs_of_a_stream(origin: ThrowAwayRepository) -> None:
    contents = [b"%d" % number for number in range(700)]
    oids = stored(origin, contents)
    with reader_of(origin) as reader:
        found = []
        for number, (_, chunks) in enumerate(reader.stream(oids)):
            found.append(b"".join(chunks))
            if number % 100 == 7:
                assert reader.header("HEAD:000003") == (oids[3], "blob", 1)
            if number % 100 == 8:
                assert [b"".join(part) for _, part in reader.stream(oids[:3])] == [b"0", b"1", b"2"]
        assert found == contents


def test_a_blob_that_was_left_for_another_is_not_cut_short_in_silence(origin: ThrowAwayRepository) -> None:
    oids = stored(origin, [bytes(3 * CHUNK), b"other"])
    with reader_of(origin) as reader:
        _, chunks = next(reader.stream(oids))
        assert next(chunks)
        reader.header(oids[1])
        with pytest.raises(RuntimeError, match="before this one was read"):
            b"".join(chunks)


def test_a_blob_whose_process_was_ended_is_not_cut_short_in_silence(origin: ThrowAwayRepository) -> None:
    oids = stored(origin, [bytes(3 * CHUNK)])
    with reader_of(origin) as reader:
        _, chunks = next(reader.stream(oids))
        next(chunks)
        reader.close()
        with pytest.raises(RuntimeError):
            b"".join(chunks)


NAMES = [
    "HEAD\n" + "1" * 40, "a\rb", "a\0b", "",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_would_be_two_requests_is_refused(origin: ThrowAwayRepository, name: str) -> None:
    origin.commit({"a": b"1"})
    with reader_of(origin) as reader:
        with pytest.raises(InvalidInput, match="not an object name"):
            reader.header(name)
        assert reader.header("HEAD") is not None


@pytest.mark.parametrize(
    "name", ["-x", "--help", "--batch-all-objects", "HEAD missing", "HEAD:nowhere", "1" * 40, "x" * 200_000]
)
def test_an_unknown_name_is_none_and_the_next_answer_is_right(origin: ThrowAwayRepository, name: str) -> None:
    commit = origin.commit({"a": b"1"})
    with reader_of(origin) as reader:
        assert reader.header(name) is None
        assert reader.read("HEAD", kind="commit", limit=1000)[0] == commit


def test_an_object_of_another_kind_or_size_is_refused(origin: ThrowAwayRepository) -> None:
    origin.commit({"big": bytes(3 * CHUNK), "small": b"s"})
    with reader_of(origin) as reader:
        with pytest.raises(InvalidInput, match="is a commit, not a tree"):
            reader.read("HEAD", kind="tree", limit=1000)
        with pytest.raises(InvalidInput, match="at most 1000"):
            reader.read("HEAD:big", kind="blob", limit=1000)
        with pytest.raises(NotFound):
            reader.read("HEAD:none", kind="blob", limit=1000)
        assert reader.read("HEAD:small", kind="blob", limit=1) == (reader.header("HEAD:small").oid, b"s")  # type: ignore[union-attr]


# Damage


def read_all(reader: ObjectReader, oids: list[str]) -> None:
    for _, chunks in reader.stream(oids):
        for _ in chunks:
            pass


def loose(origin: ThrowAwayRepository, oid: str) -> Path:
    path = origin.directory / ".git/objects" / oid[:2] / oid[2:]
    path.chmod(0o644)
    return path


def text(size: int) -> bytes:
    """Compressible, and not all alike."""
    return b"".join(b"%d\n" % number for number in range(size // 4))[:size]


DAMAGES = ["garbage", "empty", "cut off", "flipped", "of another size"]


def damage(path: Path, how: str) -> None:
    raw, middle = path.read_bytes(), path.stat().st_size // 2
    content = b""
    if how == "of another size":
        content = zlib.decompress(raw).partition(b"\0")[2]
    path.write_bytes({
        "garbage": b"garbage" + raw[7:],
        "empty": b"",
        "cut off": raw[:middle],
        "flipped": raw[:middle] + bytes([raw[middle] ^ 0xFF] * 8) + raw[middle + 8 :],
        "of another size": zlib.compress(b"blob %d\0" % (len(content) + 5) + content),
    }[how])  # fmt: skip


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("size", [500, 5_000_000])
def test_a_corrupt_loose_object_is_reported_as_such(origin: ThrowAwayRepository, how: str, size: int) -> None:
    good, bad = origin.blob(b"good"), origin.blob(text(size))
    damage(loose(origin, bad), how)
    with reader_of(origin) as reader, pytest.raises(CorruptContent) as caught:
        read_all(reader, [good, bad, good])
    assert "fsck" in caught.value.remedy


@pytest.mark.parametrize("how", DAMAGES[:4])
def test_a_corrupt_commit_is_reported_as_such(origin: ThrowAwayRepository, how: str) -> None:
    commit = origin.commit({"a": b"1"})
    damage(loose(origin, commit), how)
    with reader_of(origin) as reader, pytest.raises(CorruptContent):
        reader.header(f"{commit}^{{commit}}")


@pytest.mark.parametrize("how", ["flipped", "cut off"])
def test_a_corrupt_pack_is_reported_as_such(origin: ThrowAwayRepository, how: str) -> None:
    dice = random.Random(3)
    oids = stored(origin, [text(1000 * (number + 1)) + dice.randbytes(3000) for number in range(50)])
    origin.git("repack", "-qad")
    (pack,) = (origin.directory / ".git/objects/pack").glob("*.pack")
    pack.chmod(0o644)
    raw = pack.read_bytes()
    third, length = len(raw) // 3, len(raw) // 3
    pack.write_bytes(
        raw[:third] + (dice.randbytes(length) + raw[third + length :] if how == "flipped" else b"")
    )
    with reader_of(origin) as reader, pytest.raises(CorruptContent):
        read_all(reader, oids)


def test_many_corrupt_objects_do_not_fill_a_pipe_that_nobody_reads(origin: ThrowAwayRepository) -> None:
    oids = [origin.blob(b"%d" % number) for number in range(300)]
    for oid in oids:
        damage(loose(origin, oid), "garbage")
    with reader_of(origin) as reader:
        for oid in oids * 5:
            with pytest.raises(CorruptContent):
                reader.header(oid)


def test_a_missing_object_is_named(origin: ThrowAwayRepository) -> None:
    good = origin.blob(b"good")
    with reader_of(origin) as reader, pytest.raises(NotFound, match="2222222"):
        list(reader.stream([good, "2" * 40, good]))


def test_a_process_that_ends_early_is_an_error_and_the_next_read_starts_another(
    origin: ThrowAwayRepository,
) -> None:
    bad, good = origin.blob(text(5_000_000)), origin.blob(b"good")
    damage(loose(origin, bad), "cut off")
    with reader_of(origin) as reader:
        with pytest.raises(CorruptContent):
            reader.read(bad, kind="blob", limit=10**7)
        assert reader.read(good, kind="blob", limit=10)[1] == b"good"


def test_no_process_is_left_behind(origin: ThrowAwayRepository) -> None:
    oids = stored(origin, [b"%d" % number for number in range(500)])
    reader = reader_of(origin)
    next(reader.stream(oids))
    child = reader._process
    assert child is not None
    reader.close()
    reader.close()
    assert child.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


MEMORY = """
import resource, sys
from buildkit.git.objects import ObjectReader

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with ObjectReader(sys.argv[1]) as reader:
    (header, chunks), = reader.stream([sys.argv[2]])
    size = sum(map(len, chunks))
assert size == header.size == 150_000_000, size
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_huge_blob_goes_through_little_memory(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(150_000_000)
    oid = origin.git("-c", "core.compression=0", "hash-object", "-w", str(huge)).decode()
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(origin.directory), oid],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 20_000  # KB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
