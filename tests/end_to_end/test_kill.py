"""`kill -9` at any moment: whoever reads sees the state before or after, and the next run finishes.

Against registries the client is killed at every request: before it is answered, in the middle of its body, and
after the registry has done what was asked. Writing a layout is killed at every kind of file-system call, counted
by an audit hook inside the real command, and at random moments from outside.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from buildkit.testing.registry import InProcessRegistry, faults
from buildkit.testing.registry.exchange import Drop, Exchange, Reply
from buildkit.testing.registry.store import Store
from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end.helpers import Treeship
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.podman import Podman

# A file in each of a few layers, one of them of several reads and writes.
FILES = {
    "train.py": b"print('hello')\n",
    "big.bin": random.Random(7).randbytes(300_000),
    **{f"folder{number}/file": b"%d" % number * 2000 for number in range(6)},
}


@pytest.fixture
def made(repository: ThrowAwayRepository) -> ThrowAwayRepository:
    """A repository with one commit, whose image has several layers."""
    repository.commit(FILES)
    return repository


# At every request of a push


class Killer(faults.Fault):
    """Kills `victim` at its request number `at`: "before" it is answered, "within" its body, or "after" it was done."""

    def __init__(self) -> None:
        super().__init__()
        self.victim: subprocess.Popen[bytes] | None = None
        self.at = 0
        self.moment = ""
        self.count = 0
        self._counting = threading.Lock()

    def aim(self, at: int, moment: str) -> None:
        """At the next run."""
        self.victim, self.at, self.moment, self.count = None, at, moment, 0

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        """Counts, and kills before anything is done."""
        with self._counting:
            self.count += 1
            mine = self.count == self.at
        if mine and self.moment == "within":
            half = int(exchange.headers.get("content-length") or 0) // 2
            kept = exchange.read(half) if half else b""
            if exchange.name in store.uploads:
                store.uploads[exchange.name] += kept
        if mine and self.moment != "after":
            self._kill()
        exchange.query["killed after"] = "yes" if mine else ""
        return None

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        """Kills when the registry has done its part."""
        if exchange.query.get("killed after"):
            self._kill()
        return reply

    def _kill(self) -> None:
        while self.victim is None:
            time.sleep(0.001)
        self.victim.kill()
        self.victim.wait()
        raise Drop


def killed(treeship: Treeship, killer: Killer, *words: str | Path) -> int:
    """Run until the killer strikes, or to the end; the exit code."""
    killer.victim = treeship.start(*words)
    killer.victim.communicate(timeout=60)
    return killer.victim.returncode


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "within", "after"])
def test_a_push_killed_at_any_request_leaves_no_incomplete_tag_and_the_next_finishes(
    moment: str, treeship: Treeship, made: ThrowAwayRepository, tiny_base: Path
) -> None:
    """Blobs, mounts, manifests, and the tags at last; the base's blobs come from another repository there."""
    killer = Killer()
    with InProcessRegistry(faults=[killer]) as registry:
        treeship("copy", f"oci:{tiny_base}", f"{registry.host}/base:latest")

        def words(name: str) -> tuple[str | Path, ...]:
            return (
                "build", "--repo", made.directory, "--base", f"{registry.host}/base:latest", "--no-reuse", "--json",
                "--to", f"{registry.host}/{name}:main",
            )  # fmt: skip

        killer.aim(0, "")
        expected = treeship(*words("whole")).json["digest"]
        tags = dict(registry.store.repository("whole").tags)
        assert len(tags) == 2
        requests = killer.count
        assert requests > 10
        for at in range(1, requests + 1):
            name = f"app-{at}"
            killer.aim(at, moment)
            code = killed(treeship, killer, *words(name))
            assert code == -signal.SIGKILL or killer.count < at, f"request {at} of {requests}"
            assert registry.store.incomplete() == []
            assert registry.store.repository(name).tags.items() <= tags.items()
            killer.aim(0, "")
            assert treeship(*words(name)).json["digest"] == expected
            assert registry.store.repository(name).tags == tags
            assert registry.store.incomplete() == []


class Proxy:
    """Between a client and a registry: `count` pieces of bytes have passed; at number `at` the client is killed."""

    def __init__(self, host: str) -> None:
        name, _, port = host.rpartition(":")
        self._target = (name, int(port))
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.host = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.victim: subprocess.Popen[bytes] | None = None
        self.at = self.count = 0
        self._counting = threading.Lock()

    def serve(self) -> None:
        """Until it is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def close(self) -> None:
        """No more connections."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _join(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            back = threading.Thread(target=self._pass_on, args=(server, client), daemon=True)
            back.start()
            self._pass_on(client, server)
            back.join()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                with self._counting:
                    self.count += 1
                    mine = self.count == self.at
                if mine:
                    target.sendall(data[: len(data) // 2])
                    while self.victim is None:
                        time.sleep(0.001)
                    self.victim.kill()
                    self.victim.wait()
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy_to(host: str) -> Iterator[Proxy]:
    """A proxy in this process."""
    proxy = Proxy(host)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()


@pytest.mark.slow
def test_a_push_to_docker_registry_killed_at_any_piece_leaves_no_incomplete_tag(
    treeship: Treeship, made: ThrowAwayRepository, tiny_base: Path, docker_registry: DockerRegistry
) -> None:
    """The real registry, whose storage is looked at, as its own tags and links say."""
    with proxy_to(docker_registry.host) as proxy:

        def words(name: str) -> tuple[str | Path, ...]:
            return (
                "build", "--repo", made.directory, "--base", f"oci:{tiny_base}", "--no-reuse", "--json",
                "--to", f"{proxy.host}/kill/{name}:main",
            )  # fmt: skip

        expected = treeship(*words("whole")).json["digest"]
        pieces = proxy.count
        assert pieces > 20
        points = (
            range(1, pieces + 1) if pieces < 40 else sorted(random.Random(5).sample(range(1, pieces + 1), 40))
        )
        for at in points:
            proxy.victim, proxy.at, proxy.count = None, at, 0
            proxy.victim = treeship.start(*words(f"app{at}"))
            proxy.victim.communicate(timeout=60)
            assert set(_tags(docker_registry, f"kill/app{at}").values()) <= {expected}
            proxy.at = 0
            assert treeship(*words(f"app{at}")).json["digest"] == expected
            tags = _tags(docker_registry, f"kill/app{at}")
            assert set(tags) == {"main", made.git("rev-parse", "HEAD").decode()}
            assert set(tags.values()) == {expected}


def _tags(registry: DockerRegistry, name: str) -> dict[str, str]:
    """Tag to digest; all that they name was found in this repository, whole."""
    root = registry.storage / "docker" / "registry" / "v2"
    found = {}
    for folder in (root / "repositories" / name / "_manifests" / "tags").glob("*"):
        link = folder / "current" / "link"
        if link.exists():
            digest = found[folder.name] = link.read_text()
            manifest = json.loads(_blob(root, digest))
            for part in (manifest["config"], *manifest["layers"]):
                assert len(_blob(root, part["digest"])) == part["size"]
                plain = part["digest"].removeprefix("sha256:")
                assert (root / "repositories" / name / "_layers" / "sha256" / plain / "link").exists()
    return found


def _blob(root: Path, digest: str) -> bytes:
    plain = digest.removeprefix("sha256:")
    data = (root / "blobs" / "sha256" / plain[:2] / plain / "data").read_bytes()
    assert sha256(data).hexdigest() == plain
    return data


# At any moment of a layout write

# The real command, started from a process that has it loaded already: 200 times two runs take seconds, not minutes.
# Each line on stdin is a run; an audit hook counts what it does to files and kills it at one of these.
NURSERY = """
import json, os, signal, sys, threading, time
from importlib import import_module
from ci.__main__ import VERBS, main
for verb in VERBS:
    import_module(verb.module)
import buildkit.archive, buildkit.layout, buildkit.registry.registries, msgspec, tomllib, random

TOUCHING = {"os.rename", "os.remove", "os.mkdir", "os.link", "os.chmod", "os.truncate", "fcntl.flock"}

def run(argv, at, delay):
    seen = 0
    def hook(event, arguments):
        nonlocal seen
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in TOUCHING or writes:
            seen += 1
            if seen == at:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    if delay:
        threading.Thread(target=lambda: (time.sleep(delay), os.kill(os.getpid(), signal.SIGKILL)), daemon=True).start()
    began = time.monotonic()
    code = main(argv)
    os.write(report, json.dumps({"seen": seen, "seconds": time.monotonic() - began}).encode())
    os._exit(code)

for line in sys.stdin:
    argv, at, delay = json.loads(line)
    reader, report = os.pipe()
    child = os.fork()
    if not child:
        run(argv, at, delay)
    os.close(report)
    said = os.read(reader, 4096)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    print(json.dumps({"code": os.waitstatus_to_exitcode(status), **json.loads(said or b"{}")}), flush=True)
"""


class Born(NamedTuple):
    """How a run ended: what it did to files, and how long it took, where it lived to tell."""

    code: int
    seen: int = 0
    seconds: float = 0.0


Run = Callable[..., Born]


@contextmanager
def nursery(treeship: Treeship) -> Iterator[Run]:
    """A function that runs the command in a process of its own and kills it at a count or after a time."""
    with subprocess.Popen(
        [sys.executable, "-P", "-c", NURSERY], cwd=treeship.home, env=treeship.environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip

        def run(words: tuple[str, ...], at: int = 0, delay: float = 0.0) -> Born:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps([words, at, delay]) + "\n")
            process.stdin.flush()
            return Born(**json.loads(process.stdout.readline()))

        yield run


def faults_of(layout: Path) -> list[str]:
    """What is not whole in a layout: read with nothing but the standard library."""
    found: list[str] = []
    if not (layout / "index.json").exists():
        return found
    version = json.loads((layout / "oci-layout").read_bytes())
    if version != {"imageLayoutVersion": "1.0.0"}:
        found.append(f"version {version}")
    for entry in json.loads((layout / "index.json").read_bytes())["manifests"]:
        manifest = json.loads(_part(layout, entry, found) or b"{}")
        for part in (manifest.get("config"), *manifest.get("layers", ())):
            _part(layout, part, found)
    for blob in (layout / "blobs" / "sha256").iterdir():
        found += (
            [f"{blob.name} is not what it says"] if sha256(blob.read_bytes()).hexdigest() != blob.name else []
        )
    return found


def _part(layout: Path, descriptor: Any, found: list[str]) -> bytes:
    algorithm, _, plain = descriptor["digest"].partition(":")
    file = layout / "blobs" / algorithm / plain
    if not file.exists() or file.stat().st_size != descriptor["size"]:
        found.append(f"{descriptor['digest']} is not whole")
        return b""
    data: bytes = file.read_bytes()
    return data


def leftovers(folder: Path) -> list[str]:
    """Temporary files of a layout."""
    return [path.name for path in folder.glob(".treeship-*")]


POINTS = 40


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_layout_write_killed_at_any_moment_is_never_half_visible(
    seed: int, treeship: Treeship, repository: ThrowAwayRepository, tiny_base: Path, podman: Podman
) -> None:
    """200 points in all, three in four at a count of file-system calls, the others after a time.

    One commit after the other goes into one layout, so that there is something to spoil: what was there stays
    readable, for skopeo too, and the next run leaves nothing behind.
    """
    chance = random.Random(seed)
    layout = treeship.home / "layout"
    with nursery(treeship) as run:
        words = _words(repository, tiny_base, layout, 0)
        first = run(words)
        assert first.code == 0
        again = run(_words(repository, tiny_base, layout, 1))
        assert again.seen > 10
        strokes = 0
        for number in range(2, POINTS + 2):
            words = _words(repository, tiny_base, layout, number)
            by_count = number % 4
            died = run(words, at=chance.randint(1, again.seen)) if by_count else run(
                words, delay=chance.uniform(0.001, again.seconds)
            )  # fmt: skip
            assert died.code in (0, -signal.SIGKILL)
            strokes += died.code != 0
            assert faults_of(layout) == []
            if number % 10 == 0:
                _skopeo_reads(podman, layout, f"t{number - 1}")
            assert run(words).code == 0
            assert faults_of(layout) == []
            assert leftovers(layout) == [], "the next run has cleaned up"
        assert strokes > POINTS // 2
    _skopeo_reads(podman, layout, f"t{POINTS + 1}")
    tags = {entry["annotations"]["org.opencontainers.image.ref.name"] for entry in _index(layout)}
    assert tags == {f"t{number}" for number in range(POINTS + 2)}


@pytest.mark.slow
def test_a_layout_write_killed_at_every_call_of_a_first_build(
    treeship: Treeship, repository: ThrowAwayRepository, tiny_base: Path
) -> None:
    """No layout, no cache, then half of either: after each of these the same command gives the same image."""
    repository.commit(FILES)

    def words_for(layout: Path, cache: Path) -> tuple[str, ...]:
        places = ("--to", f"oci:{layout}:x", "--cache", str(cache))
        return ("build", "--repo", str(repository.directory), "--base", f"oci:{tiny_base}", *places)

    with nursery(treeship) as run:
        first = run(words_for(treeship.home / "whole", treeship.home / "cache-whole"))
        assert first.code == 0
        expected = _index(treeship.home / "whole")
        for at in range(1, first.seen + 1):
            layout, cache = treeship.home / f"layout{at}", treeship.home / f"cache{at}"
            words = words_for(layout, cache)
            assert run(words, at=at).code == -signal.SIGKILL, f"{at} of {first.seen}"
            assert faults_of(layout) == []
            assert run(words).code == 0
            assert _index(layout) == expected
            assert faults_of(layout) == []
            assert leftovers(layout) == []


def _words(repository: ThrowAwayRepository, base: Path, layout: Path, number: int) -> tuple[str, ...]:
    """The command that puts commit `number`, which is made, under tag `t<number>`."""
    commit = repository.commit({**FILES, "number": b"%d" % number})
    return (
        "build", commit, "--repo", str(repository.directory), "--base", f"oci:{base}",
        "--to", f"oci:{layout}:t{number}",
    )  # fmt: skip


def _index(layout: Path) -> list[Any]:
    manifests = json.loads((layout / "index.json").read_bytes())["manifests"]
    assert isinstance(manifests, list)
    return manifests


def _skopeo_reads(podman: Podman, layout: Path, tag: str) -> None:
    done = subprocess.run(
        ["skopeo", "inspect", f"oci:{layout}:{tag}"], capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr


def test_what_killed_runs_leave_in_the_cache_goes_within_a_day(
    treeship: Treeship, made: ThrowAwayRepository
) -> None:
    """Entries appear whole or not at all; an unfinished one is nobody's, and the daily sweep takes it."""
    words = ("build", "--repo", str(made.directory), "--base", "scratch", "--to", "oci:layout:x")
    with nursery(treeship) as run:
        counted = run((*words, "--cache", str(treeship.home / "counted")))
        for at in range(1, counted.seen + 1):
            run(words, at=at)
        unfinished = [path for path in treeship.cache.rglob("*.*") if path.is_file()]
        assert unfinished, "or this test shows nothing"
        old = time.time() - 2 * 86400
        for path in (*unfinished, treeship.cache / "v1" / "swept"):
            if path.exists():
                os.utime(path, (old, old))
        assert run(words).code == 0
        assert [path for path in treeship.cache.rglob("*.*") if path.is_file()] == []


# Clones


@pytest.mark.parametrize("seed", range(4))
def test_a_clone_killed_with_its_git_is_taken_up_by_the_next_build(
    seed: int, treeship: Treeship, made: ThrowAwayRepository
) -> None:
    """As when a container is stopped: git dies too, and leaves locks that nobody will ever take away."""
    words = ("build", "--repo", made.url, "--base", "scratch", "--json")
    expected = treeship("build", "--repo", made.directory, "--base", "scratch", "--json").json["digest"]
    began = time.monotonic()
    assert treeship(*words, "--cache", "measured").json["digest"] == expected
    took = time.monotonic() - began
    chance = random.Random(seed)
    for number in range(5):
        cache = treeship.home / f"cache{number}"
        victim = subprocess.Popen(
            [*treeship.argv, *words, "--cache", cache], cwd=treeship.home, env=treeship.environment(),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        time.sleep(chance.uniform(took * 0.3, took))
        with suppress(ProcessLookupError):
            os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
        assert treeship(*words, "--cache", cache).json["digest"] == expected


def test_locks_of_a_killed_git_are_removed(treeship: Treeship, made: ThrowAwayRepository) -> None:
    """Each that a fetch takes; and what it had received is thrown away when it is a day old."""
    words = ("build", "--repo", made.url, "--base", "scratch", "--json")
    treeship(*words)
    (clone,) = (treeship.cache / "repositories").glob("*[!k]")
    (ref,) = (clone / "refs" / "treeship").iterdir()
    part = clone / "objects" / "pack" / "tmp_pack_killed"
    for stale in (clone / "shallow.lock", clone / "config.lock", ref.with_name(f"{ref.name}.lock"), part):
        stale.write_bytes(b"")
    os.utime(part, (1, 1))
    made.commit({**FILES, "more": b"more"})
    assert treeship(*words).json["commit"] == made.git("rev-parse", "HEAD").decode()
    assert not part.exists()
