"""The peers of dependency layers: pip in a build, and a push. Each at its best.

The wheels are on the daemon's own disk before the clock starts, pip neither resolves nor compiles nor copies into a
cache, and the base is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.arena import Arena
from benchmarks.locked import Project
from benchmarks.processes import Argv, Pipeline, command, seconds
from tests.rigs.buildkit import BuildKit
from tests.rigs.docker_engine import CLIENT, DockerEngine

DOCKER = "docker build + push"
BUILDKIT = "BuildKit"
# The lock brings pip, which runs from its wheel.
INSTALL = (
    "python $(echo /context/house/pip-*.whl)/pip install --quiet --no-deps --no-index --find-links=/context/house"
    " --require-hashes --no-compile --no-cache-dir --break-system-packages --root-user-action=ignore"
    " --disable-pip-version-check -r /context/requirements.txt"
)
RECIPE = """\
FROM {base} AS start
RUN --mount=type=bind,target=/context ls /context/house
FROM start
RUN --mount=type=bind,target=/context {install}
COPY train.py /app/
"""


class Installer(NamedTuple):
    """A tool and the steps of its build number N of a project, whose context is of the wanted commit by then."""

    name: str
    project: Project
    steps: Callable[[int], Sequence[Pipeline]]


@contextmanager
def installers(arena: Arena, folder: Path, base: str, lock: str) -> Iterator[list[Installer]]:
    """Both, with what needs to be there before."""
    with DockerEngine() as engine, BuildKit() as buildkit:
        yield [_docker(arena, folder, base, lock, engine), _buildctl(arena, folder, base, lock, buildkit)]


def _docker(arena: Arena, folder: Path, base: str, lock: str, engine: DockerEngine) -> Installer:
    """Debian's engine with the BuildKit that is in it."""
    project = _with_recipe(folder / "docker", base, lock)
    environment = engine.env | {"DOCKER_BUILDKIT": "1"}
    words: Argv = (CLIENT, "build", "--quiet", "--network=none")
    seconds([command(*words, "--target=start", project.context, env=environment)])

    def steps(number: int) -> list[Pipeline]:
        tag = f"{arena.image('docker-lock')}:{number}"
        build = command(*words, "--tag", tag, project.context, env=environment)
        return [build, command(CLIENT, "push", "--quiet", tag, env=environment)]

    return Installer(DOCKER, project, steps)


def _buildctl(arena: Arena, folder: Path, base: str, lock: str, buildkit: BuildKit) -> Installer:
    """A current BuildKit."""
    project = _with_recipe(folder / "buildkit", base, lock)
    places = [f"--local=context={project.context}", f"--local=dockerfile={project.context}"]
    words: Argv = (buildkit.client, "build", "--progress=quiet", "--frontend=dockerfile.v0", *places)
    seconds([command(*words, "--opt=target=start", env=buildkit.env)])

    def steps(number: int) -> list[Pipeline]:
        tag = f"{arena.image('buildkit-lock')}:{number}"
        output = f"--output=type=image,name={tag},push=true,registry.insecure=true"
        return [command(*words, output, env=buildkit.env)]

    return Installer(BUILDKIT, project, steps)


def _with_recipe(folder: Path, base: str, lock: str) -> Project:
    project = Project(folder, lock)
    project.change(0)
    (project.context / "Dockerfile").write_text(RECIPE.format(base=base, install=INSTALL))
    return project
