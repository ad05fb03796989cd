"""Objects on disk: found where git-lfs keeps them, and never believed unread."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildkit.errors import CorruptContent, NotFound
from buildkit.lfs.store import ObjectStore, stores_of
from tests.buildkit.lfs.support import File, file_of, put


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An empty store."""
    return ObjectStore(str(tmp_path / "objects"))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=5000), step=st.integers(1, 3000))
def test_what_is_received_is_read_back_in_any_steps(store: ObjectStore, content: bytes, step: int) -> None:
    wanted = file_of(content)
    store.receive(wanted, [content[i : i + step] for i in range(0, len(content), step)])
    with store.open(wanted) as stream:
        assert b"".join(iter(lambda: stream.read(step), b"")) == content


def test_it_is_laid_out_as_git_lfs_does(store: ObjectStore, tmp_path: Path) -> None:
    wanted = file_of(b"content")
    store.receive(wanted, [b"content"])
    assert (tmp_path / "objects" / wanted.oid[:2] / wanted.oid[2:4] / wanted.oid).read_bytes() == b"content"


@pytest.mark.parametrize(
    "instead", [b"Content", b"conten", b"content!", b""], ids=["other", "short", "long", "empty"]
)
def test_damage_is_named_by_file_and_object(store: ObjectStore, instead: bytes) -> None:
    wanted = put(store, b"content", instead=instead)
    assert store.has(wanted)
    assert not store.is_sound(wanted)
    with (
        pytest.raises(CorruptContent, match=rf"models/a\.bin \(LFS object {wanted.oid}\)"),
        store.open(wanted) as stream,
    ):
        stream.read()


def test_the_last_byte_of_damaged_content_is_not_handed_out(store: ObjectStore) -> None:
    wanted = put(store, b"x" * 3_000_000, instead=b"x" * 2_999_999 + b"y")
    received: list[bytes] = []
    with store.open(wanted) as stream, pytest.raises(CorruptContent):
        received.extend(iter(lambda: stream.read(1000), b""))
    assert sum(map(len, received)) < wanted.size


@pytest.mark.parametrize("received", [b"Content", b"conten", b"content!"])
def test_what_is_not_the_object_is_not_kept(store: ObjectStore, received: bytes, tmp_path: Path) -> None:
    wanted = file_of(b"content")
    with pytest.raises(CorruptContent):
        store.receive(wanted, [received])
    assert not store.has(wanted)
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == []


def test_a_link_in_its_place_is_not_followed(store: ObjectStore, tmp_path: Path) -> None:
    wanted = put(store, b"content")
    os.rename(store.file(wanted), tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", store.file(wanted))
    assert not store.is_sound(wanted)


def test_what_is_absent_is_not_found(store: ObjectStore) -> None:
    wanted = file_of(b"content")
    assert not store.has(wanted)
    assert not store.is_sound(wanted)
    with pytest.raises(NotFound):
        store.open(wanted)
    store.discard(wanted)


def test_names_of_files_are_readable_whatever_their_bytes(store: ObjectStore) -> None:
    wanted = put(store, b"content", instead=b"x")._replace(path=b"a\n\xff.bin")
    with pytest.raises(CorruptContent) as caught:
        store.open(wanted)
    assert caught.value.what.isprintable()


@pytest.mark.parametrize(
    ("storage", "expected"),
    [("", "lfs/objects"), ("../shared", "../shared/objects"), ("/var/lfs", "/var/lfs/objects")],
)
def test_where_the_setting_of_the_repository_says(tmp_path: Path, storage: str, expected: str) -> None:
    (store,) = stores_of(str(tmp_path), storage)
    assert os.path.normpath(store.directory) == os.path.normpath(tmp_path / expected)


def test_a_repository_that_borrows_objects_borrows_lfs_content_too(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path / "lender"], check=True)
    subprocess.run(
        ["git", "clone", "-q", "--shared", tmp_path / "lender", tmp_path / "clone"],
        check=True,
        capture_output=True,
    )
    own, lent = stores_of(str(tmp_path / "clone" / ".git"))
    assert own.directory == str(tmp_path / "clone" / ".git" / "lfs" / "objects")
    assert lent.directory == str(tmp_path / "lender" / ".git" / "lfs" / "objects")


def test_a_file_is_what_is_wanted() -> None:
    assert isinstance(file_of(b""), File)
