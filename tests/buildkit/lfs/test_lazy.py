"""A build's LFS content, from real repositories that git-lfs itself has filled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from buildkit.config.values import Places
from buildkit.errors import NotFound
from buildkit.git.repository import Repository
from buildkit.lfs.lazy import LazyLfs
from tests.buildkit.lfs.support import file_of
from tests.rigs.lfs_server import LfsServer

CONTENT = b"weights" * 1000
WANTED = file_of(CONTENT, b"model.bin")


def git(directory: Path, *arguments: str) -> None:
    """Run git, quietly."""
    subprocess.run(["git", "-C", str(directory), *arguments], check=True, capture_output=True)


@pytest.fixture
def source(tmp_path: Path, lfs_server: LfsServer) -> Path:
    """A repository with one LFS file, whose content it has."""
    directory = tmp_path / "source"
    directory.mkdir()
    git(directory, "init", "-q")
    git(directory, "lfs", "install", "--local")
    git(directory, "lfs", "track", "*.bin")
    (directory / "model.bin").write_bytes(CONTENT)
    git(directory, "add", ".")
    git(directory, "commit", "-q", "-m", "one")
    return directory


def bare(source: Path, tmp_path: Path) -> Path:
    """A bare clone, which has pointers only."""
    git(tmp_path, "clone", "-q", "--bare", str(source), "clone.git")
    return tmp_path / "clone.git"


def read(directory: Path, places: Places) -> bytes:
    """The content, by a new `LazyLfs`."""
    with Repository(directory) as repository:
        lfs = LazyLfs(repository, places, {})
        lfs.prefetch([WANTED])
        with lfs.open(WANTED) as stream:
            return stream.read()


def test_out_of_the_repository_s_own_store(source: Path) -> None:
    assert read(source, Places()) == CONTENT


def test_out_of_a_store_that_a_setting_names(source: Path, tmp_path: Path) -> None:
    (source / ".git" / "lfs").rename(tmp_path / "elsewhere")
    git(source, "config", "lfs.storage", str(tmp_path / "elsewhere"))
    assert read(source, Places()) == CONTENT


def test_out_of_the_repository_that_was_cloned(source: Path, tmp_path: Path) -> None:
    assert read(bare(source, tmp_path), Places(cache=str(tmp_path / "cache"))) == CONTENT


def test_from_a_server_that_our_settings_or_git_s_name(
    source: Path, tmp_path: Path, lfs_server: LfsServer
) -> None:
    git(source, "config", "lfs.url", lfs_server.url)
    git(source, "remote", "add", "origin", str(tmp_path))
    git(source, "lfs", "push", "--all", "origin")
    clone = bare(source, tmp_path)
    (source / ".git" / "lfs").rename(tmp_path / "gone")
    assert read(clone, Places(lfs_url=lfs_server.url)) == CONTENT
    git(clone, "config", "lfs.url", lfs_server.url)
    assert read(clone, Places(cache=str(tmp_path / "cache"))) == CONTENT
    downloads = len(lfs_server.requests)
    assert read(clone, Places(cache=str(tmp_path / "cache"))) == CONTENT
    assert len(lfs_server.requests) == downloads, "the cache has it"


def test_the_commit_does_not_name_the_server(source: Path, tmp_path: Path, lfs_server: LfsServer) -> None:
    (source / ".lfsconfig").write_text(f"[lfs]\n\turl = {lfs_server.url}\n")
    git(source, "add", ".")
    git(source, "commit", "-q", "-m", "hostile")
    lfs_server.add(CONTENT)
    (source / ".git" / "lfs").rename(tmp_path / "gone")
    with pytest.raises(NotFound, match="no remote"):
        read(source, Places())
    assert lfs_server.requests == []


def test_what_is_here_loads_no_http_client(source: Path) -> None:
    program = (
        "import sys; from buildkit.config.values import Places; from buildkit.git.repository import Repository;"
        "from buildkit.lfs.lazy import LazyLfs; from tests.buildkit.lfs.test_lazy import WANTED;"
        "modules = set(sys.modules); lfs = LazyLfs(Repository(sys.argv[1]), Places()); lfs.open(WANTED).read();"
        "print('requests' in set(sys.modules) - modules, 'ssl' in set(sys.modules) - modules)"
    )
    command = [sys.executable, "-c", program, str(source)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == "False False"
