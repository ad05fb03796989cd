"""Real wheels on Debian in three manners: as they are, slimmed, and slimmed as eStargz. All tools take all of them."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from buildkit.testing import smoke
from buildkit.testing.index import InProcessIndex
from buildkit.testing.repositories import ThrowAwayRepository
from buildkit.wheels.installed import plan
from buildkit.wheels.slim import slim
from buildkit.wheels.slim_rules import RULES
from tests.buildkit.wheels.support import DEBIAN, open_all
from tests.end_to_end.helpers import Json, Treeship
from tests.end_to_end.locked import Wheel, of_wheels, pylock
from tests.end_to_end.test_dependencies_real import LOCKS, PLATFORMS
from tests.rigs import estargz
from tests.rigs.containerd import Containerd
from tests.rigs.docker_engine import DockerEngine
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.fixtures import skipping
from tests.rigs.podman import Podman
from tests.rigs.wheels import wheelhouse

pytestmark = [pytest.mark.rig, pytest.mark.slow]
# Compiled and pure, one larger than what eStargz copies; Jinja2 imports MarkupSafe, and has a large neighbour.
NAMES = ("numpy", "jinja2", "markupsafe", "six", "certifi", "pip")
NAME = "manners"
LANDMARKS = {".no.prefetch.landmark", "stargz.index.json"}
TOC = "containerd.io/snapshot/stargz/toc.digest"
_CODE = 'exclude = ["treeship.toml", "pylock.toml"]\nentrypoint = []\nworkdir = "/tmp"\n'
_RULES = f"slim = {json.dumps(list(RULES))}\n"
SETTINGS = {"plain": _CODE, "slim": _CODE + _RULES, "lazy": _CODE + "estargz = true\n",
            "both": _CODE + _RULES + "estargz = true\n"}  # fmt: skip
# What RECORD files and folders do not agree about, as lines; run in the container, with the standard library only.
RECORDS = """\
import csv, os, sysconfig
site = "/usr/local/lib/python3.11/dist-packages"
rows = set()
for name in sorted(os.listdir(site)):
    if name.endswith(".dist-info"):
        with open(f"{site}/{name}/RECORD", newline="") as record:
            for path, digest, size in csv.reader(record):
                path = os.path.normpath(f"{site}/{path}")
                rows.add(path)
                if not os.path.isfile(path):
                    print("not there:", path)
                elif size and os.path.getsize(path) != int(size):
                    print("of another size:", path)
for parent, _, names in os.walk("/usr/local"):
    for path in (os.path.join(parent, name) for name in names):
        if path not in rows and not os.path.islink(path):
            print("not in a RECORD:", path)
print(len(rows), "files")
"""


class Real(NamedTuple):
    """Images of one commit each in docker-registry, by manner, and the wheels that are in them."""

    host: str
    wheels: list[Path]
    results: dict[str, Json]
    treeship: Treeship

    def image(self, manner: str) -> str:
        """For engines."""
        return f"{self.host}/{NAME}/{manner}:main"

    def get(self, path: str, manner: str) -> bytes:
        """What the registry has, asked as any client would."""
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        request = urllib.request.Request(f"http://{self.host}/v2/{NAME}/{manner}/{path}", headers=accept)
        with urllib.request.urlopen(request, timeout=60) as answer:
            data = answer.read()
        assert isinstance(data, bytes)
        return data


@pytest.fixture(scope="module")
def real(
    docker_registry: DockerRegistry, base_layout: Path, tmp_path_factory: pytest.TempPathFactory
) -> Real:
    with skipping():
        house = wheelhouse(LOCKS / "requirements.txt", "3.11", *PLATFORMS)
    wheels = sorted(path for path in house.iterdir() if path.name.partition("-")[0] in NAMES)
    assert len(wheels) == len(NAMES)
    folder = tmp_path_factory.mktemp("manners")
    base = f"docker://{docker_registry.host}/{NAME}/base:1"
    treeship = Treeship(folder / "home")
    treeship("copy", f"oci:{base_layout}", base)
    repository = ThrowAwayRepository(folder / "repository")
    offered = [Wheel(path.name, path.read_bytes()) for path in wheels]
    results = {}
    with InProcessIndex({each.filename: each.data for each in offered}) as index:
        lock = pylock(f"http://{index.host}/files/", offered)
        for manner, settings in SETTINGS.items():
            repository.commit(
                {"pylock.toml": lock, "treeship.toml": settings.encode(), "train.py": b"print('train')\n"}
            )
            to = f"docker://{docker_registry.host}/{NAME}/{manner}:main"
            words = ("--base", base, "--wheel-host", index.host, "--to", to)
            results[manner] = treeship.build(repository.directory, *words)
    return Real(docker_registry.host, wheels, results, treeship)


def importing(real: Real, manner: str) -> list[str]:
    """Words that import what of the wheels should be importable."""
    rules = RULES if _RULES in SETTINGS[manner] else ()
    with ExitStack() as stack:
        plans = [slim(plan(each, DEBIAN), rules).plan for each in open_all(stack, real.wheels)]
        names = smoke.modules(plans)
    assert set(names) == set(NAMES)
    inner = ("numpy.testing", "numpy.random", "numpy.linalg", "markupsafe._speedups", "jinja2.ext", "train")
    return smoke.command("python3", [*names, *inner])


@pytest.mark.parametrize("manner", SETTINGS)
def test_podman_runs_it_every_module_imports_and_record_is_true(
    real: Real, podman: Podman, manner: str
) -> None:
    def run(*words: str) -> str:
        return podman.podman(
            "run", "--rm", "--network=none", "--env=PYTHONPATH=/app", real.image(manner), *words
        ).stdout

    assert json.loads(run(*importing(real, manner)).splitlines()[-1]) == {}
    assert run("python3", "-c", "import numpy; print(numpy.arange(4) @ numpy.arange(4))") == "14\n"
    said = run("python3", "-B", "-c", RECORDS).splitlines()
    paths = sum(layer["paths"] for layer in of_wheels(real.results[manner]).values())
    assert said == [f"{paths} files"]
    assert run("python3", "-m", "pip", "check") == "No broken requirements found.\n"


@pytest.mark.parametrize("manner", ["slim", "both"])
def test_what_was_left_out_is_said_and_is_what_is_missing(real: Real, manner: str) -> None:
    layers = of_wheels(real.results[manner])
    numpy = layers["wheel-numpy"]["slim"]
    assert set(numpy) == {"tests", "headers", "sources", "static-libraries", "stubs"}
    gone = sum(found["files"] for layer in layers.values() for found in layer["slim"].values())
    whole, left = (
        sum(layer["paths"] for layer in of_wheels(real.results[each]).values()) for each in ("plain", manner)
    )
    assert whole - left == gone > 300
    assert sum(found["bytes"] for found in numpy.values()) > 5_000_000


@pytest.mark.parametrize("manner", ["lazy", "both"])
def test_the_snapshotters_own_library_accepts_each_layer_as_it_is_in_the_registry(
    real: Real, manner: str, tmp_path: Path
) -> None:
    manifest = json.loads(real.get("manifests/main", manner))
    told = {layer["digest"]: layer.get("annotations", {}) for layer in manifest["layers"]}
    layers = of_wheels(real.results[manner])
    assert {digest for digest, said in told.items() if TOC in said} == {
        each["digest"] for each in layers.values()
    }
    for layer in layers.values():
        blob = real.get(f"blobs/{layer['digest']}", manner)
        assert f"sha256:{hashlib.sha256(blob).hexdigest()}" == layer["digest"]
        (tmp_path / "layer").write_bytes(blob)
        found = estargz.check(tmp_path / "layer", told[layer["digest"]][TOC])
        assert found.files == layer["paths"] + 1, "and the landmark"
    assert layers["wheel-numpy"]["size"] > 8 << 20


@pytest.mark.parametrize("manner", SETTINGS)
def test_gzip_takes_every_layer(real: Real, manner: str) -> None:
    for layer in of_wheels(real.results[manner]).values():
        blob = real.get(f"blobs/{layer['digest']}", manner)
        subprocess.run(["gzip", "--test"], input=blob, check=True)


@pytest.mark.parametrize("manner", SETTINGS)
def test_skopeo_takes_it_to_a_layout_and_back_with_all_that_is_told(
    real: Real, podman: Podman, manner: str, tmp_path: Path
) -> None:
    back = f"docker://{real.host}/{NAME}/{manner}-back:main"
    podman.skopeo("copy", f"docker://{real.image(manner)}", f"oci:{tmp_path}/layout:it")
    podman.skopeo("copy", f"oci:{tmp_path}/layout:it", back)
    assert real.treeship("inspect", back, "--json").json["digest"] == real.results[manner]["digest"]
    assert real.get("manifests/main", f"{manner}-back") == real.get("manifests/main", manner)


@pytest.mark.parametrize(("manner", "plain"), [("lazy", "plain"), ("both", "slim")])
def test_umoci_unpacks_the_same_tree_as_of_the_plain_image(
    real: Real, podman: Podman, manner: str, plain: str, tmp_path: Path
) -> None:
    trees = []
    for each in (manner, plain):
        podman.skopeo("copy", f"docker://{real.image(each)}", f"oci:{tmp_path}/{each}:it")
        podman.umoci("unpack", "--image", f"{tmp_path}/{each}:it", tmp_path / f"{each}-bundle")
        trees.append(tree(tmp_path / f"{each}-bundle" / "rootfs"))
    assert trees[0].keys() - trees[1].keys() == LANDMARKS
    assert {path: trees[0][path] for path in trees[1]} == trees[1]
    assert len(trees[1]) > 1000


def tree(root: Path) -> dict[str, tuple[str, ...]]:
    """Every path: its mode and owner, and what is in it."""
    found: dict[str, tuple[str, ...]] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        content = ""
        if stat.S_ISLNK(status.st_mode):
            content = str(path.readlink())
        elif stat.S_ISREG(status.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(root))] = (
            oct(status.st_mode),
            f"{status.st_uid}:{status.st_gid}",
            content,
        )
    return found


@pytest.mark.parametrize("manner", SETTINGS)
def test_containerd_pulls_and_runs_it(real: Real, containerd: Containerd, manner: str) -> None:
    containerd.pull(real.image(manner))
    program = "import jinja2, markupsafe._speedups, numpy, six; print(numpy.arange(4) @ numpy.arange(4))"
    assert containerd.output(real.image(manner), "python3", "-c", program) == "14\n"


def test_the_docker_engine_runs_estargz(real: Real, docker_engine: DockerEngine) -> None:
    words = smoke.command("python3", NAMES)
    ran = docker_engine.docker("run", "--rm", "--network=none", real.image("both"), *words)
    assert json.loads(ran.stdout.splitlines()[-1]) == {}
