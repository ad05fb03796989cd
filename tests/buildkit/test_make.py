"""Making layers: content of git and LFS becomes bytes, what is known is copied, and lies are found out."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from buildkit.cache import Cache, NoCache
from buildkit.config.values import Holds
from buildkit.errors import CorruptContent, InvalidInput, NotFound
from buildkit.git.objects import Header
from buildkit.git.repository import Repository
from buildkit.git.tree import SYMLINK, Entry
from buildkit.image.digest import Digest
from buildkit.layering import Layerer
from buildkit.layers.layer import Written
from buildkit.layers.partition import Scheme
from buildkit.make import Made, Maker, leaves_tree
from buildkit.plan import Slot
from buildkit.selection import PointerFile
from buildkit.spool import Spool
from buildkit.testing.repositories import File, ThrowAwayRepository, executable, link
from tests.buildkit.layers.support import contents

CONTENT = b"weights" * 1000


class Store:
    """LFS content from memory; knows what was asked for."""

    def __init__(self, *contents: bytes) -> None:
        self._contents = {Digest.of(content).hex: content for content in contents}
        self.prefetched: list[PointerFile] = []
        self.streams: list[io.BytesIO] = []

    def prefetch(self, wanted: Sequence[PointerFile]) -> None:
        missing = [pointer for pointer in wanted if pointer.oid not in self._contents]
        if missing:
            raise NotFound(f"{missing[0].path!r}: LFS object {missing[0].oid} is nowhere", "push it")
        self.prefetched += wanted

    def open(self, wanted: PointerFile) -> BinaryIO:
        self.streams.append(io.BytesIO(self._contents[wanted.oid]))
        return self.streams[-1]


class CountingRepository(Repository):
    """Knows how many blobs were read."""

    read = 0

    def blobs(self, oids: Sequence[str]) -> Iterator[tuple[Header, Iterator[bytes]]]:
        self.read += len(oids)
        return super().blobs(oids)


class Workshop:
    """A repository with all that it takes to make its layers."""

    def __init__(self, directory: Path, cache: Cache, lfs: Store) -> None:
        self.origin = ThrowAwayRepository(directory)
        self.repository = CountingRepository(directory)
        self.spool = Spool()
        self.said: list[str] = []
        self.cache = cache
        self.maker = Maker(self.repository, "/app", lfs, self.spool, cache, self.said.append)

    def entries(self, files: dict[str, bytes | File]) -> list[Entry]:
        return self.repository.listing(self.repository.commit(self.origin.commit(files)).tree)

    def close(self) -> None:
        self.repository.close()
        self.spool.close()


@pytest.fixture
def lfs() -> Store:
    return Store(CONTENT)


@pytest.fixture
def shop(tmp_path: Path, lfs: Store) -> Iterator[Workshop]:
    made = Workshop(tmp_path / "repository", Cache(tmp_path / "cache"), lfs)
    yield made
    made.close()


def slot(name: str = "light-00", key: bytes = b"key") -> Slot:
    return Slot(name, Digest.of(key), 1)


def read(made: Made) -> bytes:
    with made.open() as stream:
        return stream.read()


def test_a_layer_holds_what_the_commit_holds(shop: Workshop) -> None:
    files: dict[str, bytes | File] = {
        "a": b"1",
        "d/tool": executable(b"2"),
        "link": link(b"d/tool"),
        "big": bytes(3 << 20),
    }
    made = shop.maker.make(slot(), shop.entries(files))()
    raw = read(made)
    assert contents(gzip.decompress(raw)) == {b"app/" + path.encode(): file for path, file in files.items()}
    assert made.written == Written(Digest.of(raw), Digest.of(gzip.decompress(raw)), len(raw))
    assert read(made) == raw


def lfs_entry(content: bytes, path: bytes = b"w.bin") -> Entry:
    return Entry(path, b"100644", f"lfs:{Digest.of(content).hex}:{len(content)}")


def test_lfs_content_takes_the_place_of_its_pointer(shop: Workshop, lfs: Store) -> None:
    entries = [lfs_entry(CONTENT, b"a.bin"), lfs_entry(CONTENT, b"b.bin")]
    shop.maker.prepare("1" * 40, entries)
    assert [pointer.path for pointer in lfs.prefetched] == [b"a.bin", b"b.bin"]
    made = shop.maker.make(slot("lfs-00"), entries)()
    assert contents(gzip.decompress(read(made))) == {b"app/a.bin": CONTENT, b"app/b.bin": CONTENT}
    assert all(stream.closed for stream in lfs.streams)


def test_lfs_content_that_is_nowhere_is_an_error_before_anything_is_made(shop: Workshop) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        shop.maker.prepare("1" * 40, [lfs_entry(b"other")])


def test_an_object_that_is_no_blob_is_corrupt(shop: Workshop) -> None:
    tree = shop.origin.tree([])
    with pytest.raises(CorruptContent, match="a is a tree"):
        shop.maker.make(slot(), [Entry(b"a", b"100644", tree)])()


def test_links_that_leave_the_tree_are_kept_and_talked_about(shop: Workshop) -> None:
    files: dict[str, bytes | File] = {
        "in": link(b"x/../y"),
        "out": link(b"/etc/passwd"),
        "up": link(b"../x\n"),
        "d/up": link(b"../in"),
    }
    made = shop.maker.make(slot(), shop.entries(files))()
    assert contents(gzip.decompress(read(made)))[b"app/out"] == File(b"/etc/passwd", SYMLINK)
    assert shop.said == [
        "the symbolic link out leads out of the tree, to /etc/passwd",
        "the symbolic link up leads out of the tree, to ../x\\n",
    ]


@pytest.mark.parametrize(
    ("path", "target", "leaves"),
    [
        (b"a", b"b", False), (b"a", b".", False), (b"a", b"..", True), (b"a/b", b"..", False), (b"a/b", b"../..", True),
        (b"a/b", b"../../x", True), (b"a/b", b"../c/../d", False), (b"a", b"/", True), (b"a", b"..x", False),
        (b"a", b"x/../../y", True), (b"a/b", b"../\xff", False), (b"a", b"//x", True),
    ],
)  # fmt: skip
def test_whether_a_link_leaves_the_tree(path: bytes, target: bytes, leaves: bool) -> None:
    assert leaves_tree(path, target) is leaves


def test_a_link_with_a_huge_target_is_refused_and_the_next_layer_is_right(shop: Workshop) -> None:
    files: dict[str, bytes | File] = {"link": link(b"x" * (3 << 20)), "z": b"1"}
    entries = shop.entries(files)
    with pytest.raises(InvalidInput, match="target of 3145728 bytes"):
        shop.maker.make(slot(), entries)()
    assert contents(gzip.decompress(read(shop.maker.make(slot(), entries[1:])()))) == {b"app/z": b"1"}


def test_what_an_earlier_layer_shares_is_not_read_again(shop: Workshop, tmp_path: Path) -> None:
    files: dict[str, bytes | File] = {f"d/{n}": b"%d" % n for n in range(500)}
    before = slot(key=b"one")
    shop.maker.make(before, shop.entries(files))()
    entries = shop.entries(files | {"d/7": b"other"})
    shop.repository.read = 0
    made = shop.maker.make(slot(key=b"two"), entries, before)()
    assert 0 < shop.repository.read < 150
    fresh = Workshop(tmp_path / "fresh", NoCache(), Store())
    assert read(made) == read(fresh.maker.make(slot(), fresh.entries(files | {"d/7": b"other"}))())
    fresh.close()


@pytest.mark.parametrize("damage", [b"", b"x" * 100, b"\xff" * 40])
def test_members_that_are_none_are_made_again(shop: Workshop, damage: bytes) -> None:
    entries = shop.entries({"a": b"1"})
    made = shop.maker.make(slot(key=b"one"), entries)()
    shop.cache.put("members", Digest.of(b"one").hex, damage)
    assert shop.maker.make(slot(key=b"two"), entries, slot(key=b"one"))().written == made.written


def test_a_layer_that_was_described_truly_is_made_again_when_it_is_needed(shop: Workshop) -> None:
    shop.entries({"a": b"1"})
    commit = shop.repository.commit("HEAD")
    layerer = Layerer(shop.repository, Holds(), Scheme, NoCache())
    layering = layerer.lay_out(commit)
    (found,) = layering.snapshot.slots
    made = shop.maker.make(found, layerer.entries(commit, layering, found))()
    with shop.maker.again(commit, layerer, layering, found._replace(written=made.written)) as stream:
        assert Digest.of(stream.read()) == made.written.digest
    lie = made.written._replace(digest=Digest.of(b"lie"))
    with pytest.raises(CorruptContent, match="light") as caught:
        shop.maker.again(commit, layerer, layering, found._replace(written=lie))
    assert "--no-reuse" in caught.value.remedy
