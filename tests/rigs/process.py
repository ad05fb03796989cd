"""The one place that starts processes: argv lists, a scrubbed environment, output kept, all of them ended."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tests.rigs.errors import CommandFailed, RigError

T = TypeVar("T")

# Settings of the caller's that would change what a tool does (REGISTRY_* overrides docker-registry's file).
SCRUBBED = ("GIT_", "DOCKER_", "CONTAINERS_", "CONTAINER_", "BUILDKIT_", "BUILDAH_", "REGISTRY_", "STORAGE_")
TOKEN = "TREESHIP_RIG"
TAIL = 4000

_running: list["Daemon"] = []


def running() -> tuple["Daemon", ...]:
    """The daemons that run now, for whoever wants to show their logs."""
    return tuple(_running)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every process of a rig: the caller's without settings of the tools, and EXTRA."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SCRUBBED)}
    loopback = ",".join(filter(None, (kept.get("NO_PROXY"), "127.0.0.1,localhost")))
    kept["PATH"] = (
        f"{kept.get('PATH', os.defpath)}:/usr/sbin:/sbin"  # su leaves them out; dockerd needs runc.
    )
    return kept | {"LC_ALL": "C.UTF-8", "NO_PROXY": loopback, "no_proxy": loopback} | dict(extra or {})


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout: float = 300,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run ARGV to its end. With CHECK, a code other than 0 raises CommandFailed with what was printed."""
    words = [str(word) for word in argv]
    done = subprocess.run(
        words,
        env=environment(env),
        cwd=cwd,
        input=stdin or "",
        timeout=timeout,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    if check and done.returncode != 0:
        raise CommandFailed(words, done.returncode, (done.stdout + done.stderr)[-TAIL:])
    return done


def output_of(argv: Sequence[str | Path], *, stdin: bytes = b"") -> bytes:
    """The bytes that ARGV prints; a code other than 0 raises."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, env=environment(), input=stdin, capture_output=True, check=False, timeout=60)
    if done.returncode != 0:
        raise CommandFailed(words, done.returncode, done.stderr.decode(errors="replace")[-TAIL:])
    return done.stdout


def family(token: str) -> list[int]:
    """Ids of the processes that have TOKEN in their environment, and of all their descendants.

    A group id is not enough: dockerd puts containerd, and that its shims, into sessions of their own, and a
    shim's parent is gone at once. The environment reaches down to the shim, and parenthood from there.
    """
    mark = f"{TOKEN}={token}".encode()
    children: dict[int, list[int]] = {}
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
            marked = mark in (folder / "environ").read_bytes()
        except OSError:  # It has ended meanwhile, or is somebody else's.
            continue
        children.setdefault(parent, []).append(int(folder.name))
        if marked:
            found.append(int(folder.name))
    for process in found:  # Grows while it is walked: a breadth-first search.
        found.extend(child for child in children.get(process, ()) if child not in found)
    return [process for process in found if process != os.getpid()]


def kill_family(token: str, *, patience: float = 10) -> None:
    """Kill all of family(TOKEN), again until nobody is left: a supervisor may start another meanwhile."""
    deadline = time.monotonic() + patience
    while (processes := family(token)) and time.monotonic() < deadline:
        for process in processes:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


class Daemon:
    """A process that runs until the end of its `with` block; LOG takes all it prints.

    It gets SIGTERM when the thread that started it dies, be it by kill -9: setpriv sees to that.
    """

    def __init__(
        self, argv: Sequence[str | Path], *, log: Path, token: str, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = Path(argv[0]).name
        self.log = log
        self._token = f"{token}/{self.name}"
        guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*guard, *(str(word) for word in argv)],
                env=environment(dict(env or {}) | {TOKEN: self._token}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _running.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The id of the process itself."""
        return self._process.pid

    def written(self) -> int:
        """How much it has printed so far, in bytes."""
        return self.log.stat().st_size

    def output(self, *, since: int = 0) -> str:
        """What it has printed so far, after the first SINCE bytes."""
        with self.log.open("rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace")

    def wait_until(self, probe: Callable[[], T | None], *, timeout: float = 60) -> T:
        """Call PROBE until it returns something; raise the log's tail when the daemon or the time ends."""
        deadline = time.monotonic() + timeout
        while (result := probe()) is None:
            if self._process.poll() is not None:
                raise RigError(f"{self.name} ended, code {self._process.returncode}\n{self.output()[-TAIL:]}")
            if time.monotonic() > deadline:
                raise RigError(f"{self.name} is not ready after {timeout} s\n{self.output()[-TAIL:]}")
            time.sleep(0.02)
        return result

    def stop(self, *, grace: float = 15) -> None:
        """Ask it to end, then kill what is left of it and of all that it started. Twice is harmless."""
        if self in _running:
            _running.remove(self)
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        kill_family(self._token)
