"""A real lock with torch and its CUDA libraries, 2.9 GB: what engines run is what pip would have installed.

pip itself, from its wheel of the same lock, installs the same wheels into the same base, and is the judge
(`pip_oracle.py`, where the exceptions are a table).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end import pip_oracle
from tests.end_to_end.helpers import Json, Treeship
from tests.end_to_end.pip_oracle import Seen
from tests.rigs import torch_lock
from tests.rigs.docker_engine import DockerEngine
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.fixtures import skipping
from tests.rigs.podman import Podman
from tests.rigs.process import run

pytestmark = [pytest.mark.rig, pytest.mark.slow, pytest.mark.large, pytest.mark.xdist_group("engines")]
NAME = "dependencies/torch"
IMPORT = "import torch, transformers; print(torch.__version__.partition('+')[0], transformers.__version__)"
VFS = "the engine can only use vfs here, which copies all of the image for each layer"
MOST_SECONDS = 1800
Inside = Callable[..., str]


class Built(NamedTuple):
    """The image in the registry, and what it was built from."""

    image: str
    base: str
    made: Json
    house: Path
    versions: dict[str, str]


@pytest.fixture(scope="module")
def built(
    docker_registry: DockerRegistry, base_layout: Path, tmp_path_factory: pytest.TempPathFactory
) -> Built:
    """Built once, cold, with the wheels on the local disk."""
    folder = tmp_path_factory.mktemp("torch")
    lock = torch_lock.lock_text()
    with skipping():
        house = torch_lock.wheelhouse(lock)
    repository = ThrowAwayRepository(folder / "repository")
    repository.commit({"pylock.toml": lock.encode(), "look.py": pip_oracle.LOOK.encode()})
    treeship = Treeship(folder / "home")
    image, base = (f"{docker_registry.host}/{NAME}{kind}:1" for kind in ("", "-base"))
    treeship("copy", f"oci:{base_layout}", f"docker://{base}")
    words = ("--base", f"docker://{base}", "--to", f"docker://{image}", "--wheelhouse", house)
    return Built(image, base, treeship.build(repository.directory, *words), house, torch_lock.versions(lock))


@pytest.fixture(scope="module")
def by_pip(podman: Podman, built: Built, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What a container of the base has after pip has installed the lock."""
    folder = tmp_path_factory.mktemp("lock")
    (folder / "requirements.txt").write_text(torch_lock.requirements(torch_lock.lock_text()))

    def inside(*words: str) -> str:
        argv = [*podman.argv("podman"), "run", "--rm", "--network=none", *words]
        return run(argv, env=podman.env, timeout=MOST_SECONDS).stdout

    return pip_oracle.by_pip(inside, built.base, folder / "requirements.txt", built.house, folder / "in")


@pytest.fixture(scope="module")
def in_podman(podman: Podman, built: Built) -> Iterator[Inside]:
    """Runs a command in the image, pulled by podman."""
    if podman.driver == "vfs":
        pytest.skip(VFS)
    argv = podman.argv("podman")
    run([*argv, "pull", "--quiet", built.image], env=podman.env, timeout=MOST_SECONDS)
    yield lambda *words: podman.podman("run", "--rm", "--network=none", built.image, *words).stdout
    podman.podman("rmi", "--force", built.image)


@pytest.fixture(scope="module")
def in_docker(docker_engine: DockerEngine, built: Built) -> Iterator[Inside]:
    """The same by the Docker Engine."""
    if docker_engine.docker("info", "--format", "{{.Driver}}").stdout.strip() == "vfs":
        pytest.skip(VFS)
    docker_engine.docker("pull", "--quiet", built.image, timeout=MOST_SECONDS)
    yield lambda *words: docker_engine.docker("run", "--rm", "--network=none", built.image, *words).stdout
    docker_engine.docker("rmi", "--force", built.image)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder that does not outlive the test, as those of `tmp_path` do: gigabytes go into it."""
    with TemporaryDirectory(prefix="treeship-torch-") as name:
        yield Path(name)


@pytest.mark.parametrize("engine", ["in_podman", "in_docker"])
def test_an_engine_runs_it_as_if_pip_had_installed_it(
    engine: str, built: Built, by_pip: Seen, request: pytest.FixtureRequest
) -> None:
    inside: Inside = request.getfixturevalue(engine)
    imports(inside("python", "-c", IMPORT), built)
    assert inside("python", "-m", "pip", "check") == "No broken requirements found.\n"
    frozen = inside("python", "-m", "pip", "freeze", "--all").lower().replace("_", "-").split()
    assert sorted(frozen) == sorted(f"{name}=={version}" for name, version in built.versions.items())
    is_as_pip_installs_it(inside("python", "-B", "/app/look.py"), by_pip)


def test_containerd_pulls_unpacks_and_runs_it(docker_engine: DockerEngine, built: Built) -> None:
    docker_engine.ctr("images", "pull", "--plain-http", built.image)
    try:
        imports(
            docker_engine.ctr("run", "--rm", "--net-host", built.image, "it", "python", "-c", IMPORT).stdout,
            built,
        )
    finally:
        docker_engine.ctr("images", "remove", "--sync", built.image)


def test_skopeo_copies_gzip_tests_and_umoci_unpacks_every_layer(
    podman: Podman, built: Built, by_pip: Seen, scratch: Path
) -> None:
    layout, root = scratch / "layout", scratch / "bundle" / "rootfs"
    podman.skopeo("copy", "--src-tls-verify=false", f"docker://{built.image}", f"oci:{layout}:app")
    for layer in built.made["layers"]:
        blob = layout / "blobs" / "sha256" / layer["digest"].removeprefix("sha256:")
        assert blob.stat().st_size == layer["size"]
        assert run(["sh", "-ec", 'gzip --test < "$1"', "sh", blob]).stderr == ""
        with blob.open("rb") as file:
            assert "sha256:" + hashlib.file_digest(file, "sha256").hexdigest() == layer["digest"]
    assert sum(layer["size"] for layer in built.made["layers"]) > 2_900_000_000
    podman.umoci("unpack", "--image", f"{layout}:app", root.parent)
    # The base's own Python, since LOOK begins at the root.
    is_as_pip_installs_it(run(["chroot", root, "/usr/bin/python3", "-B", "/app/look.py"]).stdout, by_pip)


def imports(said: str, built: Built) -> None:
    """torch and transformers of the lock."""
    assert said.split()[-2:] == [built.versions["torch"], built.versions["transformers"]]


def is_as_pip_installs_it(said: str, by_pip: Seen) -> None:
    """Every file, mode and link, and what the commands call."""
    ours = Seen.of(said)
    assert len(ours.files) > 20_000
    assert ours.distributions == by_pip.distributions
    assert pip_oracle.differences(ours, by_pip) == {}
    assert pip_oracle.scripts(ours) == pip_oracle.scripts(by_pip)
    assert {"torchrun", "transformers-cli", "pip"} <= pip_oracle.scripts(ours).keys()
