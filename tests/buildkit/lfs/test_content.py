"""Content comes from the nearest place that has it whole, and from no other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from buildkit.errors import CorruptContent, NotFound
from buildkit.lfs.content import Directories, LfsContent, NoOrigin, Origin
from buildkit.lfs.remote import Nowhere
from buildkit.lfs.store import ObjectStore, Wanted
from tests.buildkit.lfs.support import file_of, put


class Shelf:
    """An origin with some contents; counts what it was asked for."""

    def __init__(self, *contents: bytes) -> None:
        self._contents = {file_of(content).oid: content for content in contents}
        self.asked: list[list[str]] = []

    def fetch(self, wanted: Sequence[Wanted], into: ObjectStore) -> None:
        """All or NotFound."""
        self.asked.append([item.oid for item in wanted])
        for item in wanted:
            if item.oid not in self._contents:
                raise NotFound(f"no {item.oid}")
            into.receive(item, [self._contents[item.oid]])


@pytest.fixture
def local(tmp_path: Path) -> ObjectStore:
    """The repository's own store."""
    return ObjectStore(str(tmp_path / "local"))


@pytest.fixture
def cache(tmp_path: Path) -> ObjectStore:
    """The cache."""
    return ObjectStore(str(tmp_path / "cache"))


def no_origin() -> Origin:
    """Asking for it is a mistake."""
    raise AssertionError("the origin was not needed")


def read(content: LfsContent, wanted: Wanted) -> bytes:
    """All of it."""
    with content.open(wanted) as stream:
        return stream.read()


def test_what_is_here_needs_no_origin(local: ObjectStore, cache: ObjectStore) -> None:
    one, two = put(local, b"one"), put(cache, b"two")
    content = LfsContent([local], cache, no_origin)
    content.prefetch([one, two])
    assert (read(content, one), read(content, two)) == (b"one", b"two")


def test_the_rest_is_fetched_in_one_go_and_kept(local: ObjectStore, cache: ObjectStore) -> None:
    wanted = [put(local, b"one"), file_of(b"two"), file_of(b"three"), file_of(b"two", b"twin")]
    shelf = Shelf(b"two", b"three")
    content = LfsContent([local], cache, lambda: shelf)
    content.prefetch(wanted)
    assert [read(content, item) for item in wanted] == [b"one", b"two", b"three", b"two"]
    assert shelf.asked == [[wanted[1].oid, wanted[2].oid]]
    assert cache.has(wanted[1])


def test_it_can_be_opened_without_a_prefetch(local: ObjectStore, cache: ObjectStore) -> None:
    assert read(LfsContent([local], cache, lambda: Shelf(b"one")), file_of(b"one")) == b"one"


@pytest.mark.parametrize("damaged", [b"0ne", b"on", b""])
def test_a_damaged_cache_entry_is_healed(local: ObjectStore, cache: ObjectStore, damaged: bytes) -> None:
    wanted = put(cache, b"one", instead=damaged)
    assert read(LfsContent([local], cache, lambda: Shelf(b"one")), wanted) == b"one"
    assert cache.is_sound(wanted)


def test_a_damaged_local_object_is_passed_over_and_left_alone(local: ObjectStore, cache: ObjectStore) -> None:
    wanted = put(local, b"one", instead=b"0ne")
    assert read(LfsContent([local], cache, lambda: Shelf(b"one")), wanted) == b"one"
    assert Path(local.file(wanted)).read_bytes() == b"0ne"


def test_where_no_other_place_has_it_the_damage_is_the_news(local: ObjectStore, cache: ObjectStore) -> None:
    wanted = put(local, b"one", instead=b"0ne")
    with pytest.raises(CorruptContent, match=rf"models/a\.bin .*{wanted.oid}.* is damaged"):
        LfsContent([local], cache, Shelf).prefetch([wanted])


def test_nowhere(local: ObjectStore, cache: ObjectStore) -> None:
    wanted = file_of(b"one")
    content = LfsContent([local], cache, lambda: NoOrigin(Nowhere("there is no remote", "set lfs.url")))
    with pytest.raises(NotFound) as caught:
        content.prefetch([wanted])
    assert all(
        word in str(caught.value) for word in ("models/a.bin", wanted.oid, "set lfs.url", "lfs.include")
    )


def test_a_repository_on_this_machine_is_copied_from_and_verified(
    local: ObjectStore, cache: ObjectStore, tmp_path: Path
) -> None:
    theirs = ObjectStore(str(tmp_path / "theirs"))
    good, bad, absent = put(theirs, b"good"), put(theirs, b"bad", instead=b"b@d"), file_of(b"absent")
    content = LfsContent([local], cache, lambda: Directories([theirs], "/srv/p.git"))
    assert read(content, good) == b"good"
    with pytest.raises(CorruptContent, match=bad.oid):
        content.prefetch([bad])
    with pytest.raises(
        NotFound, match=rf"/srv/p\.git does not have the content of models/a\.bin .*{absent.oid}"
    ):
        content.prefetch([absent])
