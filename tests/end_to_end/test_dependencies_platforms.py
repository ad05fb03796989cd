"""A lock for two platforms: each gets its own compiled wheels, and both share the others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildkit.testing.index import InProcessIndex
from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end.helpers import Json, Treeship
from tests.end_to_end.locked import CODE, Wheel, of_wheels, pylock
from tests.rigs.binfmt import Binfmt
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.fixtures import skipping
from tests.rigs.podman import Podman
from tests.rigs.wheels import wheelhouse

pytestmark = [pytest.mark.rig, pytest.mark.slow]
LOCK = Path(__file__).parent / "locks" / "small" / "requirements.txt"
NAME = "dependencies/platforms"
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
PROGRAM = b"""\
import json, os
import jinja2, markupsafe._speedups
print(json.dumps({
    "machine": os.uname().machine,
    "module": markupsafe._speedups.__file__.rpartition("/")[2],
    "page": jinja2.Template("{{ a }}", autoescape=True).render(a="<"),
}))
"""


@dataclass(frozen=True)
class Two:
    """What was built, and where it is."""

    host: str
    result: Json
    treeship: Treeship
    repository: ThrowAwayRepository
    index: InProcessIndex


def _houses(folder: Path) -> list[Path]:
    """The wheels of jinja2 and markupsafe for each machine."""
    wanted = re.findall(r"^(?:jinja2|markupsafe)==.*(?:\n    --hash.*)*", LOCK.read_text(), re.MULTILINE)
    assert len(wanted) == 2
    folder.mkdir()
    file = folder / "requirements.txt"
    file.write_text("\n".join(wanted))
    names = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")
    return [
        wheelhouse(file, "3.11", *(f"{each}_{machine}" for each in names)) for machine in MACHINES.values()
    ]


@pytest.fixture(scope="module")
def two(
    docker_registry: DockerRegistry, multi_layout: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("platforms")
    with skipping():
        houses = _houses(folder / "two")
    files = {path.name: path.read_bytes() for house in houses for path in house.iterdir()}
    wheels = [Wheel(name, data) for name, data in sorted(files.items())]
    repository = ThrowAwayRepository(folder / "repository")
    with InProcessIndex(files) as index:
        lock = pylock(f"http://{index.host}/files/", wheels)
        settings = b'platforms = ["linux/amd64", "linux/arm64"]\nexclude = ["*.toml"]\n'
        repository.commit({**CODE, "treeship.toml": settings, "program.py": PROGRAM, "pylock.toml": lock})
        treeship = Treeship(folder / "home")
        words = ("--base", f"oci:{multi_layout}", "--wheel-host", index.host)
        to = f"docker://{docker_registry.host}/{NAME}:main"
        result = treeship.build(repository.directory, *words, "--to", to)
        yield Two(docker_registry.host, result, treeship, repository, index)


def test_each_platform_has_its_own_compiled_wheel_and_both_share_the_pure_one(
    two: Two, podman: Podman
) -> None:
    layers = of_wheels(two.result)
    assert len(two.result["platforms"]) == 2
    told = [(each["name"], layer["digest"]) for layer in two.result["layers"] for each in layer["wheels"]]
    assert sorted(name for name, _ in told) == ["jinja2", "markupsafe", "markupsafe"]
    pure = next(digest for name, digest in told if name == "jinja2")
    compiled = {digest for name, digest in told if name == "markupsafe"}
    assert len(compiled) == 2
    assert len({layer["key"] for layer in layers.values()}) == len(layers)
    for digest in two.result["platforms"].values():
        raw = podman.skopeo("inspect", "--raw", f"docker://{two.host}/{NAME}@{digest}").stdout
        found = {layer["digest"] for layer in json.loads(raw)["layers"]}
        assert pure in found
        assert len(found & compiled) == 1
    assert len(two.index.log) == 3


def test_the_same_again_sends_nothing(two: Two, multi_layout: Path) -> None:
    words = ("--base", f"oci:{multi_layout}", "--wheel-host", two.index.host)
    again = two.treeship.build(two.repository.directory, *words, "--to", f"docker://{two.host}/{NAME}:main")
    assert again["digest"] == two.result["digest"]
    assert again["bytes_pushed"] == 0
    assert len(two.index.log) == 3


def test_this_machine_s_image_runs(two: Two, podman: Podman) -> None:
    _runs(two, podman, "linux/amd64")


def test_the_other_one_runs_under_qemu(two: Two, podman: Podman, binfmt: Binfmt) -> None:
    _runs(two, podman, "linux/arm64")


def _runs(two: Two, podman: Podman, platform: str) -> None:
    image = f"{two.host}/{NAME}:main"
    words = ("run", "--rm", "--network=none", f"--platform={platform}", image)
    seen = json.loads(podman.podman(*words, "python3.11", "/app/program.py").stdout)
    machine = MACHINES[platform]
    assert seen == {
        "machine": machine, "module": f"_speedups.cpython-311-{machine}-linux-gnu.so", "page": "&lt;",
    }  # fmt: skip
