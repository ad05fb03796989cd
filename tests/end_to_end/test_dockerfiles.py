"""Every Dockerfile of dockerfiles/ is built by a real engine on a local Debian, and does inside what it promises.

Debian stands in for the parents, which belong to registries out there, and `torch` is a wheel of a few bytes from an
index in this process.
"""

from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.buildkit.wheels.support import wheel_bytes
from tests.end_to_end.helpers import Json, Treeship
from tests.rigs.docker_engine import DockerEngine
from tests.rigs.install import debian_packages
from tests.rigs.process import run
from tests.rigs.web import QuietHandler, serving
from tests.sources import ROOT

pytestmark = [pytest.mark.rig, pytest.mark.slow]
WITH_TORCH = ("pytorch", "pytorch-cuda", "training")
RUNTIME = ("python-slim", *WITH_TORCH, "ngc-pytorch")
ALL = (*RUNTIME, "devbox", "ci")
STANDIN = "torch-0.0.1-py3-none-any.whl"
# What AWS's installer is to `install-efa`: a tar with a script in this place.
EFA = b'#!/bin/bash\nmkdir -p /opt/amazon/efa && echo "$@" > /opt/amazon/efa/options\n'
BUDGET_SECONDS = 1.0

WITNESS = """
import concurrent.futures, json, os, pwd, shutil, sqlite3, ssl
me = pwd.getpwuid(os.getuid())
open("witness", "w").close()
print(json.dumps({
    "user": [me.pw_name, os.getuid(), os.getgid(), me.pw_dir, os.getcwd()],
    "programs": [name for name in ("bash", "tar", "python") if not shutil.which(name)],
    "managers": [name for name in ("apt", "apt-get", "dpkg", "pip", "pip3") if shutil.which(name)],
    "metaflow": os.environ.get("METAFLOW_SKIP_INSTALL_DEPENDENCIES"),
    "known": os.path.getsize("/var/lib/dpkg/status") > 0,
}))
"""
LEFT_BEHIND = """
find / -xdev -perm /6000
find /var/lib/apt/lists /var/cache/apt /root/.cache /home/app/.cache /tmp /var/log -type f 2>/dev/null
ls /etc/ssh/ssh_host_* 2>/dev/null
true
"""


class Shelf(QuietHandler):
    """Files by path, and a page for each folder of a simple index."""

    def __init__(self, files: dict[str, bytes], *args: object) -> None:
        self.files = files
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """A file, or the links to the files below."""
        if self.path in self.files:
            return self.answer(200, self.files[self.path], "application/octet-stream")
        links = [name for name in self.files if name.startswith(self.path)]
        page = "".join(f'<a href="{name}">{name.rpartition("/")[2]}</a>' for name in links)
        return self.answer(200 if links else 404, page.encode(), "text/html")


class Built(NamedTuple):
    """The bases in the engine, and what built them."""

    treeship: Treeship
    engine: DockerEngine
    words: tuple[str, ...]
    first: Json

    def inside(self, name: str, *words: str, options: tuple[str, ...] = ()) -> str:
        """What a program in the image prints."""
        return self.engine.docker(
            "run", "--rm", "--network=none", *options, f"treeship-base/{name}", *words
        ).stdout


@pytest.fixture(scope="module")
def built(
    docker_engine: DockerEngine, base_layout: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Built]:
    """All bases, built in one go by the command."""
    folder = tmp_path_factory.mktemp("bases")
    shutil.copytree(ROOT / "dockerfiles", folder / "repository" / "dockerfiles")
    run(["git", "init", "--quiet", folder / "repository"])
    treeship = Treeship(folder / "home", docker_engine.env)
    efa = tarred({"aws-efa-installer/efa_installer.sh": EFA})
    wheel = wheel_bytes({"torch.py": b"stand_in = True\n"}, name="torch", version="0.0.1")
    with serving(partial(Shelf, {f"/simple/torch/{STANDIN}": wheel, "/efa.tar.gz": efa})) as host:
        words = (
            "base", "build", *ALL, "--repo", str(folder / "repository"), "--parent", f"oci:{base_layout}",
            "--network=host", "--build-arg=TORCH=0.0.1", f"--build-arg=INDEX=http://{host}/simple/", "--json",
            f"--build-arg=EFA_INSTALLER=http://{host}/efa.tar.gz", f"--build-arg=EFA_SHA256={sha256(efa).hexdigest()}",
        )  # fmt: skip
        first = treeship(*words).json
        yield Built(treeship, docker_engine, words, first)


def tarred(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_all_are_built_once_each_and_those_below_first(built: Built) -> None:
    order = [(base["name"], base["stage"]) for base in built.first["bases"]]
    assert len(order) == len(set(order))
    assert {name for name, stage in order if not stage} == set(ALL)
    assert order.index(("python-slim", "packages")) < order.index(("devbox", ""))
    assert order.index(("pytorch-cuda", "packages")) < order.index(("training", ""))
    assert {base["action"] for base in built.first["bases"]} == {"built"}


def test_nothing_is_built_again_while_nothing_changed_and_that_takes_under_a_second(built: Built) -> None:
    """The whole process, against the engine."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        again = built.treeship(*built.words).json
        seconds.append(time.perf_counter() - start)
        assert {base["action"] for base in again["bases"]} == {"unchanged"}
        assert [base["image"] for base in again["bases"]] == [base["image"] for base in built.first["bases"]]
    assert min(seconds) < BUDGET_SECONDS, seconds


@pytest.mark.parametrize("name", ALL)
def test_it_runs_as_the_same_user_everywhere_with_a_whole_python(built: Built, name: str) -> None:
    seen = json.loads(built.inside(name, "python", "-c", WITNESS))
    assert seen["user"] == ["app", 10001, 10001, "/home/app", "/home/app"]
    assert seen["programs"] == []
    assert seen["metaflow"] == "1"
    assert seen["known"], "scanners read what is installed"
    if name in RUNTIME:
        assert seen["managers"] == []
    else:
        assert "pip" in seen["managers"]


@pytest.mark.parametrize("name", ALL)
def test_it_has_no_setuid_programs_no_caches_and_no_keys(built: Built, name: str) -> None:
    assert built.inside(name, "bash", "-c", LEFT_BEHIND, options=("--user=0",)) == ""


@pytest.mark.parametrize("name", ALL)
def test_the_user_is_a_number_and_only_the_devbox_has_a_health_check(built: Built, name: str) -> None:
    config = json.loads(built.engine.docker("inspect", f"treeship-base/{name}").stdout)[0]["Config"]
    assert config["User"] == "10001:10001", "Kubernetes refuses to believe a name"
    assert ("Healthcheck" in config) == (name == "devbox")
    assert config["Labels"]["dev.treeship.base.name"] == name


@pytest.mark.parametrize("name", ["python-slim", "training"])
def test_what_metaflow_lacks_is_what_a_lock_brings(built: Built, name: str) -> None:
    facts = built.treeship("base", "facts", f"docker-daemon:treeship-base/{name}:latest", "--json").json
    assert [text.split()[-1] for text in facts["missing_for_metaflow"]] == ["boto3", "requests"]
    assert {"name": "app", "uid": 10001, "gid": 10001, "home": "/home/app"} in facts["users"]


@pytest.mark.parametrize("name", WITH_TORCH)
def test_torch_comes_from_the_index_that_was_named(built: Built, name: str) -> None:
    said = built.inside(
        name,
        "python",
        "-c",
        "import torch, importlib.metadata as m; print(torch.stand_in, m.version('torch'))",
    )
    assert said == "True 0.0.1\n"


def test_training_has_mpi_settings_for_nccl_and_hooks_that_every_bash_reads(built: Built) -> None:
    script = "mpirun --version | head -1; echo $HOOKED; grep -c = /etc/nccl.conf; cat /opt/amazon/efa/options"
    hook = built.treeship.home / "hooks" / "mine.sh"
    hook.parent.mkdir()
    hook.write_text("export HOOKED=yes\n")
    said = built.inside(
        "training", "bash", "-c", script, options=("-v", f"{hook.parent}:/etc/training/hooks.d:ro")
    )
    mpi, hooked, nccl, efa = said.splitlines()
    assert mpi.startswith("mpirun (Open MPI)")
    assert (hooked, nccl) == ("yes", "3")
    assert efa == "--yes --skip-kmod --skip-limit-conf --no-verify"


def test_an_efa_installer_that_is_not_what_it_should_be_is_not_run(built: Built) -> None:
    words = [word for word in built.words if "EFA_SHA256" not in word]
    ran = built.treeship(
        *words[:2], "training", *words[2 + len(ALL) :], "--build-arg=EFA_SHA256=" + "0" * 64, code=2
    )
    assert "efa.tar.gz: FAILED" in ran.err
    ran = built.treeship(*words[:2], "training", *words[2 + len(ALL) :], code=2)
    assert "EFA_INSTALLER needs EFA_SHA256" in ran.err


def test_the_tools_of_people_and_jobs_are_there(built: Built) -> None:
    for name, tools in (
        ("devbox", "git gdb strace vim nano tmux rsync sshd"),
        ("ci", "git git-lfs make jq curl ssh"),
    ):
        built.inside(name, "bash", "-c", f"PATH=$PATH:/usr/sbin; type {tools} >/dev/null && git lfs version")


@contextmanager
def devbox(built: Built, keys: Path, port: int) -> Iterator[str]:
    name = f"devbox-{port}"
    options = ("--detach", "--network=host", "--name", name, "--env", f"DEVBOX_PORT={port}")
    built.engine.docker(
        "run", *options, "-v", f"{keys}.pub:/etc/devbox/authorized_keys:ro", "treeship-base/devbox"
    )
    try:
        yield name
    finally:
        built.engine.docker("rm", "--force", name)


def test_one_can_log_into_the_devbox_with_a_key_and_with_nothing_else(built: Built, tmp_path: Path) -> None:
    debian_packages("openssh-client")
    mine, other = tmp_path / "mine", tmp_path / "other"
    for key in (mine, other):
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with devbox(built, mine, port) as name:
        deadline = time.monotonic() + 20
        while built.engine.docker("exec", name, "devbox", "health", check=False).returncode:
            assert time.monotonic() < deadline, built.engine.docker("logs", name, check=False)
            time.sleep(0.1)
        said = ssh(mine, port, "id -un; echo $METAFLOW_SKIP_INSTALL_DEPENDENCIES; git --version")
        assert said.returncode == 0, said.stderr
        assert said.stdout.splitlines()[:2] == ["app", "1"]
        assert ssh(other, port, "true").returncode == 255
        assert ssh(mine, port, "true", user="root").returncode == 255


def ssh(key: Path, port: int, command: str, user: str = "app") -> subprocess.CompletedProcess[str]:
    options = (
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=no",
        f"UserKnownHostsFile={key}.known",
    )
    flags = [word for option in options for word in ("-o", option)]
    return run(
        ["ssh", "-F", "/dev/null", *flags, "-i", key, "-p", str(port), f"{user}@127.0.0.1", command],
        check=False,
    )
