"""A lock of real wheels, run by two engines and compared with what pip makes of the same wheels, file by file.

The lock is `locks/small`, made by `uv lock` and exported by `uv export` to the two other formats. The wheels come from
an index in this process: nothing is asked of another one.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildkit.testing.index import InProcessIndex
from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end import pip_oracle
from tests.end_to_end.helpers import Json, Treeship
from tests.end_to_end.locked import Watched, of_wheels
from tests.end_to_end.pip_oracle import Seen
from tests.rigs.docker_engine import DockerEngine
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.fixtures import skipping
from tests.rigs.podman import Podman
from tests.rigs.wheels import wheelhouse

pytestmark = [pytest.mark.rig, pytest.mark.slow]
LOCKS = Path(__file__).parent / "locks" / "small"
PLATFORMS = (
    "manylinux2014_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_28_x86_64",
)
NAME = "dependencies/real"
# What the wheels are for: imports of compiled modules, a command, a script, data, a namespace of two.
PROGRAM = b"""\
import json, subprocess, sys
import boto3, certifi, jinja2, metaflow, numpy, requests, yaml
import charset_normalizer, markupsafe._speedups
from importlib.util import find_spec
said = {
    "sum": int(numpy.arange(4).sum()),
    "page": jinja2.Template("{{ a }}").render(a=1),
    "yaml": [yaml.safe_load("a: 1"), yaml.__with_libyaml__],
    "namespace": list(find_spec("sphinxcontrib").submodule_search_locations),
    "both": [find_spec(name) is not None for name in ("sphinxcontrib.devhelp", "sphinxcontrib.htmlhelp")],
    "script": subprocess.run(["jp.py", "a"], input='{"a": 5}', capture_output=True, text=True, check=True).stdout,
    "command": subprocess.run(["idna", "--version"], capture_output=True, text=True).returncode,
    "pip": subprocess.run(["pip", "--version"], capture_output=True, text=True, check=True).stdout.split()[1],
    "check": subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True).stdout,
    "freeze": subprocess.run(
        [sys.executable, "-m", "pip", "freeze", "--all"], capture_output=True, text=True, check=True
    ).stdout.split(),
}
print(json.dumps(said))
"""
CODE = {"treeship.toml": b'workdir = "/tmp"\nentrypoint = []\n', "program.py": PROGRAM}


@dataclass(frozen=True)
class Real:
    """The wheels on an index, and an image of the lock in docker-registry."""

    index: InProcessIndex
    house: Path
    host: str
    result: Json

    @property
    def image(self) -> str:
        """For engines."""
        return f"{self.host}/{NAME}:main"

    @property
    def base(self) -> str:
        """The same."""
        return f"{self.host}/{NAME}-base:1"


@pytest.fixture(scope="module")
def real(
    docker_registry: DockerRegistry, base_layout: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Real]:
    with skipping():
        house = wheelhouse(LOCKS / "requirements.txt", "3.11", *PLATFORMS)
    folder = tmp_path_factory.mktemp("real")
    host = docker_registry.host
    treeship = Treeship(folder / "home")
    treeship("copy", f"oci:{base_layout}", f"docker://{host}/{NAME}-base:1")
    repository = ThrowAwayRepository(folder / "repository")
    repository.commit({**CODE, "pylock.toml": (LOCKS / "pylock.toml").read_bytes()})
    with InProcessIndex({path.name: path.read_bytes() for path in house.iterdir()}) as index:
        words = ("--base", f"docker://{host}/{NAME}-base:1", "--index", index.url)
        result = treeship.build(repository.directory, *words, "--to", f"docker://{host}/{NAME}:main")
        yield Real(index, house, host, result)


def locked() -> list[str]:
    """`name==version` as the lock has them, sorted."""
    lines = (LOCKS / "requirements.txt").read_text().splitlines()
    return sorted(line.split()[0] for line in lines if "==" in line and not line.startswith((" ", "#")))


def works(said: Json) -> None:
    """Everything of the lock is there, and only that; it runs."""
    assert sorted(name.replace("_", "-").lower() for name in said["freeze"]) == locked()
    assert said["check"] == "No broken requirements found.\n"
    assert said["sum"] == 6
    assert said["yaml"] == [{"a": 1}, True]
    assert said["page"] == "1"
    assert len(said["namespace"]) == 1
    assert said["both"] == [True, True]
    assert said["script"].strip() == "5"
    assert said["command"] in (0, 2)
    assert f"pip=={said['pip']}" in locked()


def test_podman_runs_it(real: Real, podman: Podman) -> None:
    ran = podman.podman("run", "--rm", "--network=none", real.image, "python3", "/app/program.py")
    works(json.loads(ran.stdout))


def test_the_docker_engine_runs_it(real: Real, docker_engine: DockerEngine) -> None:
    ran = docker_engine.docker("run", "--rm", "--network=none", real.image, "python3", "/app/program.py")
    works(json.loads(ran.stdout))


def test_it_runs_when_it_was_given_to_an_engine_itself(
    real: Real,
    docker_engine: DockerEngine,
    treeship: Treeship,
    repository: ThrowAwayRepository,
    base_layout: Path,
) -> None:
    """Without a registry in between."""
    repository.commit({**CODE, "pylock.toml": (LOCKS / "pylock.toml").read_bytes()})
    words = ("--base", f"oci:{base_layout}", "--index", real.index.url, "--to", "docker-daemon:real:given")
    treeship.build(repository.directory, *words, env=docker_engine.env)
    ran = docker_engine.docker("run", "--rm", "--network=none", "real:given", "python3", "/app/program.py")
    works(json.loads(ran.stdout))


def test_every_file_is_as_pip_installs_it(real: Real, podman: Podman, tmp_path: Path) -> None:
    """All of /usr/local: contents, modes, links; the exceptions are a table in `pip_oracle.py`."""

    def run(*words: str) -> str:
        return podman.podman("run", "--rm", "--network=none", *words).stdout

    (tmp_path / "look.py").write_text(pip_oracle.LOOK)
    ours = Seen.of(run("-v", f"{tmp_path}:/look:ro", real.image, "python3", "-B", "/look/look.py"))
    theirs = pip_oracle.by_pip(run, real.base, LOCKS / "requirements.txt", real.house, tmp_path / "lock")
    assert sorted(name.replace("_", "-").lower() for name in ours.distributions) == locked()
    assert ours.distributions == theirs.distributions
    assert len(ours.files) > 3000
    assert pip_oracle.differences(ours, theirs) == {}
    assert pip_oracle.scripts(ours) == pip_oracle.scripts(theirs)
    assert {"jp.py", "metaflow", "pip"} <= pip_oracle.scripts(ours).keys()


def test_skopeo_umoci_and_gzip_accept_every_layer(real: Real, podman: Podman, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    podman.skopeo("copy", f"docker://{real.image}", f"oci:{layout}:it")
    podman.umoci("unpack", "--image", f"{layout}:it", tmp_path / "bundle")
    site = tmp_path / "bundle" / "rootfs/usr/local/lib/python3.11/dist-packages"
    assert (site / "numpy" / "__init__.py").is_file()
    for layer in of_wheels(real.result).values():
        blob = layout / "blobs" / "sha256" / layer["digest"].removeprefix("sha256:")
        assert blob.stat().st_size == layer["size"]
        with blob.open("rb") as stream:
            subprocess.run(["gzip", "--test"], stdin=stream, check=True)


@pytest.mark.parametrize("lock", ["uv.lock", "requirements.txt"])
def test_each_kind_of_lock_gives_the_same_layers(
    real: Real, treeship: Treeship, repository: ThrowAwayRepository, base_layout: Path, lock: str
) -> None:
    """As pylock.toml does; each was read by a machine that had built nothing."""
    names = ["pyproject.toml", "uv.lock"] if lock == "uv.lock" else [lock]
    repository.commit({**CODE, **{name: (LOCKS / name).read_bytes() for name in names}})
    with Watched(real.index) as index:
        result = treeship.build(
            repository.directory,
            "--base",
            f"oci:{base_layout}",
            "--index",
            real.index.url,
            "--to",
            "oci:out:it",
        )
    assert result["dependencies"]["lock"] == lock
    assert len(index.files) == len(locked())
    assert {name: layer["digest"] for name, layer in of_wheels(result).items()} == {
        name: layer["digest"] for name, layer in of_wheels(real.result).items()
    }
