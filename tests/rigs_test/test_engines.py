"""The engines pull the base from the registries and run it, native and foreign; tools agree."""

import json
import tarfile
from pathlib import Path

import pytest

from tests.rigs import base_image
from tests.rigs.binfmt import Binfmt
from tests.rigs.buildkit import BuildKit
from tests.rigs.containerd import Containerd
from tests.rigs.docker_engine import DockerEngine
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.ggcr_registry import GgcrRegistry
from tests.rigs.oci_layout import RootFilesystem, write_layout
from tests.rigs.podman import Podman
from tests.rigs.process import run

pytestmark = pytest.mark.rig

PROGRAM = "import concurrent.futures, hashlib, os, platform, ssl; print(platform.machine(), os.getuid())"
PYTHON = ("python", "-c", PROGRAM)


@pytest.fixture(scope="module")
def hosts(
    podman: Podman, docker_registry: DockerRegistry, ggcr_registry: GgcrRegistry, multi_layout: Path
) -> tuple[str, str]:
    """Two registries that hold the base, for two machines, as engines/base:1."""
    for host in (docker_registry.host, ggcr_registry.host):
        podman.skopeo("copy", "--all", f"oci:{multi_layout}:latest", f"docker://{host}/engines/base:1")
    return docker_registry.host, ggcr_registry.host


@pytest.mark.parametrize("network", ["none", "host"])
def test_docker_pulls_and_runs(docker_engine: DockerEngine, hosts: tuple[str, str], network: str) -> None:
    for host in hosts:
        image = f"{host}/engines/base:1"
        shown = docker_engine.docker("run", "--rm", f"--network={network}", image, *PYTHON)
        assert shown.stdout == "x86_64 0\n"


@pytest.mark.parametrize("network", ["none", "host"])
def test_podman_pulls_and_runs(podman: Podman, hosts: tuple[str, str], network: str) -> None:
    for host in hosts:
        image = f"{host}/engines/base:1"
        assert podman.podman("run", "--rm", f"--network={network}", image, *PYTHON).stdout == "x86_64 0\n"


def test_containerd_pulls_and_runs(containerd: Containerd, hosts: tuple[str, str]) -> None:
    for host in hosts:
        containerd.pull(f"{host}/engines/base:1")
        assert containerd.output(f"{host}/engines/base:1", *PYTHON) == "x86_64 0\n"


def test_foreign_programs_run_in_both_engines(
    binfmt: Binfmt, docker_engine: DockerEngine, podman: Podman, hosts: tuple[str, str]
) -> None:
    words = ["run", "--rm", "--platform=linux/arm64", "--network=none", f"{hosts[0]}/engines/base:1", *PYTHON]
    assert docker_engine.docker(*words).stdout == "aarch64 0\n"
    assert podman.podman(*words).stdout == "aarch64 0\n"


def test_docker_builds_on_the_base_without_a_bridge(
    docker_engine: DockerEngine, hosts: tuple[str, str], tmp_path: Path
) -> None:
    lines = [f"FROM {hosts[0]}/engines/base:1", "COPY Dockerfile /app/", "RUN python -c 'print(6 * 7)'"]
    (tmp_path / "Dockerfile").write_text("\n".join(lines))
    built = docker_engine.docker("build", "--network=host", "--tag=engines/built", tmp_path)
    assert "\n42\n" in built.stdout
    docker_engine.docker("tag", "engines/built", f"{hosts[1]}/engines/built:docker")
    docker_engine.docker("push", f"{hosts[1]}/engines/built:docker")


def test_buildah_builds_and_pushes(podman: Podman, hosts: tuple[str, str], tmp_path: Path) -> None:
    lines = [f"FROM {hosts[1]}/engines/base:1", "COPY Dockerfile /app/", "RUN python -c 'print(6 * 7)'"]
    (tmp_path / "Dockerfile").write_text("\n".join(lines))
    built = podman.buildah("build", "--network=host", f"--tag={hosts[0]}/engines/built:b", tmp_path)
    assert "\n42\n" in built.stdout
    podman.buildah("push", f"{hosts[0]}/engines/built:b")


def test_buildkit_links_a_layer_to_the_base(
    buildkit: BuildKit, podman: Podman, hosts: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {hosts[0]}/engines/base:1\nCOPY --link Dockerfile /app/\n")
    target = f"{hosts[0]}/engines/built:buildkit"
    buildkit.build(tmp_path, to=target)
    assert podman.podman("run", "--rm", target, "cat", "/app/Dockerfile").stdout.startswith("FROM ")


def test_buildkit_runs_steps(buildkit: BuildKit, hosts: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {hosts[0]}/engines/base:1\nRUN python -c 'print(6 * 7)'\n")
    assert " 42\n" in buildkit.build(tmp_path, to=f"{hosts[0]}/engines/built:steps").stderr


def test_skopeo_and_umoci_read_the_layout(podman: Podman, foreign_layout: Path, tmp_path: Path) -> None:
    config = json.loads(podman.skopeo("inspect", "--config", f"oci:{foreign_layout}:latest").stdout)
    assert (config["architecture"], config["variant"], config["os"]) == ("arm64", "v8", "linux")
    podman.umoci("unpack", f"--image={foreign_layout}:latest", tmp_path / "bundle")
    assert (tmp_path / "bundle/rootfs/usr/bin/python").readlink() == Path("python3")


def test_the_layout_is_what_debian_made(base_layout: Path) -> None:
    with tarfile.open(base_image.rootfs_tar()) as tar:
        names = tar.getnames()
    assert len(names) == len(set(names))
    assert not {"./etc/hostname", "./etc/resolv.conf", "./dev/null"} & set(names)
    assert sorted(path.name for path in base_layout.iterdir()) == ["blobs", "index.json", "oci-layout"]


def test_a_layout_depends_on_its_content_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    run(["tar", "cf", tmp_path / "a.tar", "file"], cwd=tmp_path)
    system = RootFilesystem(tmp_path / "a.tar", "amd64")
    for name in ("one", "two"):
        write_layout(tmp_path / name, [system], created=base_image.CREATED)
    assert run(["diff", "-r", tmp_path / "one", tmp_path / "two"]).stdout == ""
