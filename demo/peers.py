"""The same two images by other tools, where they are installed: each as its users run it, warm for the second.

Not a benchmark (that is `make bench`): one run each, small numbers, a first impression.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from buildkit.testing.registry import InProcessRegistry
from demo.builds import archived
from demo.repository import Commits
from tests.rigs.cache import cache_folder
from tests.rigs.docker_engine import CLIENT, ENGINE, DockerEngine
from tests.rigs.errors import RigError
from tests.rigs.install import is_root
from tests.rigs.podman import Podman
from tests.rigs.process import run

DOCKERFILE = "FROM base:latest\nCOPY . /app\nWORKDIR /app\n"

Step = Callable[[str], object]


class Timing(NamedTuple):
    """How long a tool took for the first commit and for the second."""

    tool: str
    first: float
    second: float


def timings(commits: Commits, base: Path, scratch: Path) -> Iterator[Timing | str]:
    """A timing for each tool that is here; a line of text for one that is not."""
    for name, why_not, ready in (("docker build", _no_docker(), docker), ("buildah build", _no_buildah(), buildah),
                                 ("git archive + crane append", _no_crane(), crane)):  # fmt: skip
        if why_not:
            yield f"{name}: {why_not}"
            continue
        try:
            with ready(commits, base, scratch) as step:
                yield Timing(
                    name, _timed(commits, commits.first, step), _timed(commits, commits.second, step)
                )
        except RigError as error:  # A peer that does not work here is no reason to stop.
            yield f"{name}: does not work here: {str(error).splitlines()[-1]}"


def _timed(commits: Commits, commit: str, step: Step) -> float:
    commits.check_out(commit)
    began = time.monotonic()
    step(commit)
    return time.monotonic() - began


def _no_docker() -> str:
    return "" if is_root() and CLIENT.exists() and ENGINE.exists() else "not installed here"


def _no_buildah() -> str:
    return "" if is_root() and shutil.which("buildah") and shutil.which("podman") else "not installed here"


def _no_crane() -> str:
    return "" if _crane() else "not installed here"


def _crane() -> str | None:
    """The one on the PATH, else the one that the rigs have built."""
    built = next(cache_folder().glob("go/go-containerregistry-*/crane"), None)
    return shutil.which("crane") or (str(built) if built else None)


@contextmanager
def docker(commits: Commits, base: Path, scratch: Path) -> Iterator[Step]:
    """Into an engine of its own."""
    archive, recipe = archived(f"oci:{base}:latest", scratch / "base.tar", "base"), _recipe(scratch)
    with DockerEngine() as engine:
        engine.docker("load", "--quiet", "--input", archive)
        yield lambda _: engine.docker("build", "--quiet", "--tag=app", f"--file={recipe}", commits.clone)


@contextmanager
def buildah(commits: Commits, base: Path, scratch: Path) -> Iterator[Step]:
    """Into a store of its own."""
    archive, recipe = archived(f"oci:{base}:latest", scratch / "base.tar", "base"), _recipe(scratch)
    with Podman() as tools:
        tools.podman("load", "--quiet", "--input", archive)
        yield lambda _: tools.buildah("build", "--layers", "--tag=app", f"--file={recipe}", commits.clone)


@contextmanager
def crane(commits: Commits, base: Path, scratch: Path) -> Iterator[Step]:
    """Into a registry in this process."""
    program, layer = _crane(), scratch / "code.tar"
    assert program is not None
    archive = archived(f"oci:{base}:latest", scratch / "base.tar", "base")
    with InProcessRegistry() as registry:
        run([program, "push", archive, f"{registry.host}/base"])

        def step(commit: str) -> None:
            commits.archive(commit, layer)
            run([program, "append", f"--base={registry.host}/base", f"--new_layer={layer}",
                 f"--new_tag={registry.host}/app:{commit}"])  # fmt: skip

        yield step


def _recipe(scratch: Path) -> Path:
    file = scratch / "Dockerfile"
    file.write_text(DOCKERFILE)
    return file
