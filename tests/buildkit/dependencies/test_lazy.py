"""Files of a commit, for wheels that are some of them: streamed, one at a time."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from buildkit.dependencies.lazy import CommitFiles
from buildkit.errors import InvalidInput, NotFound
from buildkit.git.repository import Repository
from buildkit.testing.repositories import File, ThrowAwayRepository, link

FILES = {f"wheels/w{at}-1.0-py3-none-any.whl": bytes([at]) * (3 << 20) for at in range(6)}
LARGE = "wheels/large-1.0-py3-none-any.whl"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("commit")
    made = ThrowAwayRepository(path)
    files: dict[str, bytes | File] = {**FILES, LARGE: bytes(64 << 20), "empty.whl": b""}
    made.commit({**files, "wheels/link.whl": link(b"/etc/passwd")})
    return path


@pytest.fixture
def files(folder: Path) -> Iterator[CommitFiles]:
    with Repository(folder) as repository:
        found = CommitFiles(repository, repository.commit("HEAD"))
        yield found
        found.close()


def test_a_large_wheel_is_never_whole_in_memory(files: CommitFiles) -> None:
    """A repository of a few MB may hold a GB of zeros."""
    tracemalloc.start()
    with files.open(LARGE) as stream:
        count = 0
        while data := stream.read(1 << 20):
            count += len(data)
    assert count == 64 << 20
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_threads_read_one_after_another(files: CommitFiles) -> None:
    def read(path: str) -> bytes:
        with files.open(path) as stream:
            return stream.read()

    with ThreadPoolExecutor(6) as pool:
        assert dict(zip(FILES, pool.map(read, FILES), strict=True)) == FILES


def test_what_is_left_unread_is_in_nobodys_way(files: CommitFiles) -> None:
    for path, content in FILES.items():
        with files.open(LARGE) as stream:
            assert stream.read(10) == bytes(10)
        with files.open(path) as stream:
            assert stream.read() == content
    assert len(files.names("wheels")) == len(FILES) + 2


def test_what_is_no_file_is_refused_and_the_next_one_can_be_opened(files: CommitFiles) -> None:
    with pytest.raises(NotFound, match=r"no 'wheels/none\.whl'"):
        files.open("wheels/none.whl")
    with pytest.raises(InvalidInput, match="is a symbolic link"):
        files.open("wheels/link.whl")
    with pytest.raises(InvalidInput, match="is a tree"):
        files.open("wheels")
    with files.open("empty.whl") as stream:
        assert stream.read() == b""
