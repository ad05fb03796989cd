"""Groups: a layer with one changed file is mostly copied, and its bytes are those of a fresh one."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.git.tree import Entry
from buildkit.layers import groups
from buildkit.layers.groups import Kept
from buildkit.layers.layer import Content, Written, write_layer
from tests.buildkit.layers.support import entries_of

kept = st.dictionaries(
    st.binary(min_size=32, max_size=32), st.lists(st.binary(max_size=50), max_size=4).map(tuple), max_size=4
)


@given(kept)
def test_what_was_packed_is_unpacked(found: Kept) -> None:
    assert groups.unpack(groups.pack(found)) == found


@given(
    st.binary(max_size=200)
    | kept.map(groups.pack).flatmap(lambda raw: st.integers(0, len(raw)).map(lambda n: raw[:n]))
)
def test_any_bytes_are_a_pack_or_refused(raw: bytes) -> None:
    try:
        groups.unpack(raw)
    except ValueError:
        pass


def tree(count: int) -> dict[bytes, bytes]:
    return {b"d%d/f%d" % (number % 9, number): b"content %d" % number for number in range(count)}


class Reader:
    """Content of a mapping; knows what was read."""

    def __init__(self, files: dict[bytes, bytes]) -> None:
        self._files = files
        self.read: list[bytes] = []

    def __call__(self, entries: Sequence[Entry]) -> Iterator[Content]:
        for entry in entries:
            self.read.append(entry.path)
            yield Content(len(self._files[entry.path]), [self._files[entry.path]])


def write(
    files: dict[bytes, bytes], known: Kept | None = None
) -> tuple[Written, bytes, dict[bytes, tuple[bytes, ...]], list[bytes]]:
    reader, parts, keep = Reader(files), list[bytes](), dict[bytes, tuple[bytes, ...]]()
    written = write_layer(entries_of({**files}), "/app", reader, parts.append, known=known, keep=keep)()
    return written, b"".join(parts), keep, reader.read


def test_every_entry_is_in_one_group_in_order() -> None:
    entries = entries_of({**tree(1000)})
    split = groups.split(entries)
    assert [entry for group in split for entry in group.entries] == entries
    assert 10 < len(split) < 100
    assert groups.split([]) == []


def test_a_change_of_one_file_reads_only_its_group() -> None:
    files = tree(1000)
    _, _, keep, read = write(files)
    assert sorted(read) == sorted(files)
    changed = files | {b"d0/f0": b"other"}
    fresh, copied = write(changed), write(changed, keep)
    assert copied[:3] == fresh[:3]
    assert b"d0/f0" in copied[3]
    assert len(copied[3]) < 200


def test_any_history_of_copies_gives_the_bytes_of_a_fresh_layer() -> None:
    dice = random.Random(11)
    files, keep = tree(300), dict[bytes, tuple[bytes, ...]]()
    for step in range(25):
        for path in dice.sample(sorted(files), 3):
            del files[path]
        for _ in range(3):
            files[b"d%d/n%d" % (dice.randrange(30), dice.randrange(10_000))] = hashlib.shake_256(
                b"%d" % step
            ).digest(dice.choice([5, 700_000]))
        written, raw, keep, _ = write(files, keep)
        if step % 6 == 0:
            assert (written, raw, keep) == write(files)[:3]


def test_a_member_that_was_damaged_in_memory_is_not_shipped() -> None:
    files = tree(100)
    keep = write(files)[2]
    spoiled = {key: tuple(member[:-1] + b"\x55" for member in members) for key, members in keep.items()}
    with pytest.raises(ValueError, match="damaged"):
        write(files, spoiled)
