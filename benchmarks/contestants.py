"""The tools, each as its best-informed users run it. Every step is a whole command, started anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.arena import Arena
from benchmarks.clones import Clone
from benchmarks.generated import Shape
from benchmarks.processes import Pipeline, command
from tests.rigs.buildkit import BuildKit
from tests.rigs.docker_engine import CLIENT, DockerEngine
from tests.rigs.ggcr_registry import crane
from tests.rigs.podman import Podman

Steps = Callable[[str], Sequence[Pipeline]]

TREESHIP = "treeship, its cache"
TREESHIP_FRESH = "treeship, no cache"
TREESHIP_COLD = "treeship, nothing known"
DOCKER = "docker build + push"
BUILDKIT = "BuildKit, COPY --link"
BUILDAH = "buildah bud + push"
CRANE = "git archive + crane append"


class Contestant(NamedTuple):
    """A tool, its own clone, and the commands that turn a commit into an image in the registry."""

    name: str
    clone: Clone
    steps: Steps


def treeship(arena: Arena, folder: Path, shape: Shape, name: str = "cached") -> Contestant:
    """treeship with the cache that its own earlier builds have left."""
    clone = arena.clone(folder, shape, name)
    cache = folder / f"{name}-cache"
    return Contestant(TREESHIP, clone, lambda commit: [_build(arena, clone, commit, name, cache)])


def treeship_fresh(arena: Arena, folder: Path, shape: Shape, name: str = "fresh") -> Contestant:
    """treeship on a machine that has never run it, told which repository has the images of earlier commits."""
    clone = arena.clone(folder, shape, name)
    reuse = f"--reuse-from=docker://{arena.image(name)}"

    def steps(commit: str) -> list[Pipeline]:
        return [_build(arena, clone, commit, name, folder / f"{name}-caches" / commit, reuse)]

    return Contestant(TREESHIP_FRESH, clone, steps)


def treeship_cold(arena: Arena, folder: Path, shape: Shape, name: str = "cold-treeship") -> Contestant:
    """treeship that knows nothing, into a new repository of the registry each time."""
    clone = arena.clone(folder, shape, name)

    def steps(commit: str) -> list[Pipeline]:
        return [_build(arena, clone, commit, f"{name}/{commit}", folder / f"{name}-caches" / commit)]

    return Contestant(TREESHIP_COLD, clone, steps)


def _build(arena: Arena, clone: Clone, commit: str, image: str, cache: Path, *more: str) -> Pipeline:
    places = [f"--base=docker://{arena.base}", f"--to=docker://{arena.image(image)}", f"--cache={cache}"]
    return command(arena.product.treeship, "build", commit, f"--repo={clone.folder}", *places, *more)


@contextmanager
def peers(arena: Arena, folder: Path, shape: Shape) -> Iterator[list[Contestant]]:
    """All others; those with daemons where the sizes say so."""
    if not arena.sizes.engines:
        yield [crane_append(arena, folder, shape)]
        return
    with DockerEngine() as engine, BuildKit() as buildkit, Podman() as podman:
        yield [
            docker(arena, folder, shape, engine),
            buildctl(arena, folder, shape, buildkit),
            buildah(arena, folder, shape, podman),
            crane_append(arena, folder, shape),
        ]


def crane_append(
    arena: Arena, folder: Path, shape: Shape, name: str = "crane", *, anew: bool = False
) -> Contestant:
    """Through a pipe: crane then compresses once, while it uploads; from a file it does so twice.

    With ANEW, each commit goes into a repository of its own.
    """
    clone = arena.clone(folder, shape, name)
    environment = {"DOCKER_CONFIG": str(folder / "no-docker-config")}

    def steps(commit: str) -> list[Pipeline]:
        tag = f"{arena.image(f'{name}/{commit}' if anew else name)}:{commit}"
        archive = ("git", "-C", clone.folder, "archive", "--prefix=app/", commit)
        append = (crane(), "append", f"--base={arena.base}", "--new_layer=-", f"--new_tag={tag}")
        return [Pipeline((archive, append), environment)]

    return Contestant(CRANE, clone, steps)


def docker(arena: Arena, folder: Path, shape: Shape, engine: DockerEngine) -> Contestant:
    """Debian's engine with the BuildKit that is in it."""
    clone = arena.clone(folder, shape, "docker", work_tree=True)
    _write_context(clone.folder, arena.base, "COPY . /app")
    environment = engine.env | {"DOCKER_BUILDKIT": "1"}

    def steps(commit: str) -> list[Pipeline]:
        tag = f"{arena.image('docker')}:{commit}"
        build = command(CLIENT, "build", "--quiet", "--tag", tag, clone.folder, env=environment)
        return [build, command(CLIENT, "push", "--quiet", tag, env=environment)]

    return Contestant(DOCKER, clone, steps)


def buildctl(arena: Arena, folder: Path, shape: Shape, buildkit: BuildKit) -> Contestant:
    """A current BuildKit; with --link the new layer does not hang on those below."""
    clone = arena.clone(folder, shape, "buildkit", work_tree=True)
    _write_context(clone.folder, arena.base, "COPY --link . /app")
    places = [f"--local=context={clone.folder}", f"--local=dockerfile={clone.folder}"]

    def steps(commit: str) -> list[Pipeline]:
        tag = f"{arena.image('buildkit')}:{commit}"
        output = f"--output=type=image,name={tag},push=true,registry.insecure=true"
        words = ["build", "--progress=quiet", "--frontend=dockerfile.v0", *places, output]
        return [command(buildkit.client, *words, env=buildkit.env)]

    return Contestant(BUILDKIT, clone, steps)


def buildah(arena: Arena, folder: Path, shape: Shape, podman: Podman) -> Contestant:
    """With its cache of layers."""
    clone = arena.clone(folder, shape, "buildah", work_tree=True)
    _write_context(clone.folder, arena.base, "COPY . /app")
    program = podman.argv("buildah")

    def steps(commit: str) -> list[Pipeline]:
        tag = f"{arena.image('buildah')}:{commit}"
        build = command(*program, "bud", "--quiet", "--layers", "--tag", tag, clone.folder, env=podman.env)
        return [build, command(*program, "push", "--quiet", "--tls-verify=false", tag, env=podman.env)]

    return Contestant(BUILDAH, clone, steps)


def _write_context(folder: Path, base: str, copy: str) -> None:
    """A recipe in the work tree, which neither git nor the image gets to see."""
    (folder / "Dockerfile").write_text(f"FROM {base}\nENV PYTHONPATH=/app\nWORKDIR /app\n{copy}\n")
    (folder / ".dockerignore").write_text(".git\nDockerfile\n.dockerignore\n")
