"""Full and read-only disks, output that nobody takes, a damaged cache, Ctrl-C."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from buildkit.testing.registry import InProcessRegistry
from buildkit.testing.registry.exchange import Exchange
from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end.complaints import FILES, complains
from tests.end_to_end.helpers import Ran, Treeship, build_words, snapshot
from tests.rigs.small_disk import SmallDisk


@pytest.fixture
def made(repository: ThrowAwayRepository) -> ThrowAwayRepository:
    """A repository with one plain commit."""
    repository.commit(FILES)
    return repository


@contextmanager
def _read_only(disk: SmallDisk) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", disk.path], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk.path], check=True)


@pytest.fixture
def large(repository: ThrowAwayRepository) -> ThrowAwayRepository:
    """A commit with 40 MB that cannot be compressed: more than waits in memory, and than a small disk takes."""
    noise = random.Random(1).randbytes(10 << 20)
    repository.git("config", "core.compression", "0")
    repository.commit({f"noise{number}": noise[number:] for number in range(4)})
    return repository


def test_a_full_disk_under_a_layout_is_no_bug_and_leaves_no_image(
    treeship: Treeship, large: ThrowAwayRepository, small_disk: SmallDisk
) -> None:
    """Exit code 4, which place is full, and the layout as it was before."""
    to = f"oci:{small_disk.path}/oci:x"
    words = ("build", "--repo", large.directory, "--base", "scratch", "--to", to, "--json")
    complains(treeship(*words, code=None), 4, f"{small_disk.path}/oci", "free some space")
    assert not (small_disk.path / "oci" / "index.json").exists()
    small = large.commit({"small": b"x"})
    digest = treeship("build", small, *words[1:]).json["digest"]
    complains(treeship("build", "HEAD~1", *words[1:], "--retag", code=None), 4)
    assert treeship("inspect", to, "--json").json["digest"] == digest
    assert [path.name for path in (small_disk.path / "oci").glob(".treeship-*")] == []


def test_a_full_temporary_folder_is_no_bug(
    treeship: Treeship, large: ThrowAwayRepository, small_disk: SmallDisk
) -> None:
    """Layers that wait for their upload need room: exit code 4, and TMPDIR is named."""
    ran = treeship(*build_words(large, "--json"), env={"TMPDIR": str(small_disk.path)}, code=None)
    complains(ran, 4, "TMPDIR")
    assert list(small_disk.path.iterdir()) == []
    assert not (treeship.home / ".treeship").exists()


@pytest.mark.parametrize("how", ["full", "read only", "a file"])
def test_a_cache_that_cannot_be_written_only_costs_time(
    how: str, treeship: Treeship, made: ThrowAwayRepository, small_disk: SmallDisk
) -> None:
    """The image is the same."""
    words = ("build", "--repo", made.directory, "--base", "scratch", "--json")
    expected = treeship(*words).json["digest"]
    cache = small_disk.path / "cache"
    cache.mkdir()
    if how == "full":
        _fill(small_disk.path / "filler")
        assert treeship(*words, "--cache", cache, "--to", "oci:a:x").json["digest"] == expected
    elif how == "read only":
        with _read_only(small_disk):
            assert treeship(*words, "--cache", cache, "--to", "oci:a:x").json["digest"] == expected
    else:
        assert (
            treeship(*words, "--cache", made.directory / ".git" / "config", "--to", "oci:a:x").json["digest"]
            == expected
        )


def _fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _fill(file: Path) -> None:
    with file.open("wb", 0) as stream:
        try:
            while True:
                stream.write(bytes(65536))
        except OSError:
            return


@pytest.mark.parametrize("how", ["full", "read only", "a file"])
def test_a_clone_needs_a_cache_that_can_be_written(
    how: str, treeship: Treeship, made: ThrowAwayRepository, small_disk: SmallDisk
) -> None:
    """A repository by URL has nowhere else to go: the cache is named."""
    words = ("build", "--repo", made.url, "--base", "scratch", "--json")
    if how == "a file":
        file = made.directory / ".git" / "config"
        complains(treeship(*words, "--cache", file, code=None), 2, str(file))
    elif how == "full":
        _fill(small_disk.path / "filler")
        complains(treeship(*words, "--cache", small_disk.path, code=None), 4, "space")
    else:
        with _read_only(small_disk):
            complains(treeship(*words, "--cache", small_disk.path, code=None), 2, str(small_disk.path))


def test_output_that_cannot_be_written_is_no_bug(treeship: Treeship, made: ThrowAwayRepository) -> None:
    """/dev/full is a disk without room; a closed stdout is a caller's choice."""
    for words in (["config", "show", "--repo", str(made.directory)], ["--help"]):
        line = " ".join([*treeship.argv, *words])
        complains(_in_shell(treeship, f"{line} >/dev/full"), 4, "standard output", "No space left")
        for redirection in (">&-", "2>&-", "<&- >&- 2>&-"):
            assert _in_shell(treeship, f"{line} {redirection}").code == 0


def _in_shell(treeship: Treeship, line: str) -> Ran:
    done = subprocess.run(["sh", "-c", line], env=treeship.environment(), capture_output=True, check=False)
    return Ran(done.returncode, "", done.stderr.decode())


@pytest.mark.parametrize(
    "words", [("--help",), ("build", "--help"), ("config", "show", "--repo", "REPO"), ("--version",)]
)
def test_a_reader_that_goes_away_is_no_error(
    words: tuple[str, ...], treeship: Treeship, made: ThrowAwayRepository
) -> None:
    """`| head -1` ends it quietly."""
    line = " ".join([*treeship.argv, *words]).replace("REPO", str(made.directory))
    assert _in_shell(treeship, f"{line} | true").err == ""


def test_names_that_stdout_cannot_encode_are_shown_all_the_same(
    treeship: Treeship, made: ThrowAwayRepository
) -> None:
    """A locale without the letter, or a folder that is no UTF-8: the build has happened, and says so."""
    plain = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    for folder in ("größe", os.fsdecode(b"\xff")):
        for env in ({}, plain):
            words = ("build", "--repo", made.directory, "--base", "scratch", "--to", f"oci:{folder}:x")
            ran = treeship(*words, env=env, code=0)
            assert "@sha256:" in ran.out


# The cache


def test_a_damaged_cache_entry_is_healed(treeship: Treeship, made: ThrowAwayRepository) -> None:
    """Whatever is in it instead: cut off, other bytes, empty, a FIFO, a link; the image is the same."""
    words = ("build", "--repo", made.directory, "--base", "scratch", "--json")
    digest = treeship(*words).json["digest"]
    whole = snapshot(treeship.cache)
    entries = [path for path in treeship.cache.rglob("*") if path.is_file() and path.name != "swept"]
    assert entries

    def link_to_zero(path: Path) -> None:
        path.unlink()
        path.symlink_to("/dev/zero")

    def to_folder(path: Path) -> None:
        path.unlink()
        path.mkdir()

    damages: list[Callable[[Path], object]] = [
        lambda path: os.truncate(path, path.stat().st_size // 2),
        lambda path: path.write_bytes(b"\xff" * 200),
        lambda path: os.truncate(path, 0),
        _fifo,
        link_to_zero,
        to_folder,
    ]
    for number, damage in enumerate(damages):
        for entry in entries:
            damage(entry)
        assert treeship(*words, "--to", f"oci:{number}:x").json["digest"] == digest
        if number < 3:
            assert snapshot(treeship.cache) == whole, "healed: what was damaged is there again"
        for entry in entries:
            if entry.is_dir():
                entry.rmdir()
            else:
                entry.unlink(missing_ok=True)
        treeship(*words, "--to", f"oci:{number}:x")


def test_the_cache_belongs_to_its_user_alone(treeship: Treeship, made: ThrowAwayRepository) -> None:
    """Whatever the umask: who could write to it could choose what is in images."""
    treeship(*build_words(made), before=("sh", "-c", 'umask 0; exec "$@"', "sh"))
    folders = [path for path in (treeship.cache, *treeship.cache.rglob("*")) if path.is_dir()]
    assert [path for path in folders if path.stat().st_mode & 0o077] == []


# Interruption


@pytest.mark.parametrize("number", range(1, 8))
def test_an_interrupt_ends_with_130_and_without_traceback(
    number: int, treeship: Treeship, made: ThrowAwayRepository, tiny_base: Path
) -> None:
    """Ctrl-C while the registry keeps us waiting, be it in one thread or in several."""
    running: list[subprocess.Popen[bytes]] = []
    with InProcessRegistry() as registry:

        def interrupt(count: int, _exchange: Exchange) -> None:
            if count == number:
                running[0].send_signal(signal.SIGINT)
            if count >= number:
                registry.wait(30)

        registry.on_request(interrupt)
        words = build_words(made, base=f"oci:{tiny_base}", to=f"{registry.host}/app:x")
        running.append(treeship.start(*words))
        out, err = running[0].communicate(timeout=20)
        assert registry.store.repository("app").tags == {}
    assert running[0].returncode == 130, err
    assert (out, err) == (b"", b"")
