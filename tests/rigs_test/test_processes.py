"""Whatever a rig started ends, and what it made goes, be its owner killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.rigs.cache import cached
from tests.rigs.errors import CommandFailed, RigError
from tests.rigs.fixtures import Start
from tests.rigs.process import Daemon, environment, family, run
from tests.rigs.small_disk import SmallDisk
from tests.rigs.workspace import PREFIX, Workspace, mounts_below

ROOT = Path(__file__).parents[2]
# Starts a rig, prints its workspace, and waits to be killed.
OWNER = """\
import sys, time
from pathlib import Path
from tests.rigs.{module} import {name}
with {name}() as rig:
    {use}
    print(rig.workspace.path, flush=True)
    time.sleep(600)
"""
SLEEPER = ["sh", "-c", "setsid sh -c 'sleep 600 & sleep 600' & trap '' TERM; while :; do sleep 1; done"]


def owner(module: str, name: str, use: str = "pass") -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a rig, and the rig's workspace."""
    script = OWNER.format(module=module, name=name, use=use)
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def kill(process: subprocess.Popen[str]) -> None:
    """End a process as nobody can prepare for."""
    process.kill()
    process.communicate()


def test_a_command_that_fails_says_how() -> None:
    with pytest.raises(CommandFailed, match=r"ended with code 3\n.*why") as caught:
        run(["sh", "-c", "echo why >&2; exit 3"])
    assert caught.value.code == 3
    assert run(["sh", "-c", "exit 3"], check=False).returncode == 3


def test_settings_of_the_caller_do_not_reach_the_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_HTTP_ADDR", "0.0.0.0:80")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert not {"REGISTRY_HTTP_ADDR", "GIT_DIR"} & set(environment())


def test_stopping_ends_children_in_other_sessions() -> None:
    with Workspace() as workspace:
        with Daemon(SLEEPER, log=workspace.path / "log", token=workspace.token) as daemon:
            daemon.wait_until(lambda: len(family(workspace.token)) >= 4 or None)
            daemon.stop(grace=0.1)
            assert family(workspace.token) == []


def test_a_daemon_that_ends_early_shows_its_log() -> None:
    with Workspace() as workspace:
        with Daemon(
            ["sh", "-c", "echo no port; exit 7"], log=workspace.path / "log", token=workspace.token
        ) as daemon:
            with pytest.raises(RigError, match=r"code 7\nno port"):
                daemon.wait_until(lambda: None)


def test_a_daemon_that_is_never_ready_shows_its_log() -> None:
    with Workspace() as workspace:
        with Daemon(
            ["sh", "-c", "echo busy; sleep 60"], log=workspace.path / "log", token=workspace.token
        ) as daemon:
            daemon.wait_until(lambda: daemon.output() or None)
            with pytest.raises(RigError, match=r"not ready after 0.1 s\nbusy"):
                daemon.wait_until(lambda: None, timeout=0.1)


def test_the_next_workspace_clears_away_a_killed_one() -> None:
    process, left = owner("ggcr_registry", "GgcrRegistry")
    kill(process)
    with Workspace() as workspace:
        assert not left.exists()
        assert workspace.path.exists()
    assert not workspace.path.exists()
    assert family(left.name) == []


def test_a_workspace_in_use_is_left_alone() -> None:
    process, kept = owner("ggcr_registry", "GgcrRegistry")
    with Workspace():
        assert kept.exists()
        assert family(kept.name) != []
    kill(process)
    with Workspace():
        pass


@pytest.mark.rig
def test_a_killed_owner_of_an_engine_leaves_no_container_and_no_mount() -> None:
    run_container = (
        "from tests.rigs import base_image; "
        "rig.docker('import', str(base_image.rootfs_tar('arm64')), 'none:1'); "
        "rig.docker('run', '--detach', '--network=none', '--volume=/bin:/bin', '--volume=/lib:/lib',"
        " '--volume=/lib64:/lib64', 'none:1', '/bin/sleep', '600')"
    )
    process, left = owner("docker_engine", "DockerEngine", run_container)
    assert any(b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in family(left.name))
    kill(process)
    with Workspace():
        assert family(left.name) == []
        assert mounts_below(left) == []
        assert not left.exists()
    assert list(Path("/sys/fs/cgroup").glob(f"**/{left.name}")) == []


@pytest.mark.rig
def test_mounts_go_before_files(start: Start) -> None:
    with SmallDisk(1) as disk:
        odd = disk.workspace.folder("with blank")
        run(["mount", "-t", "tmpfs", "tmpfs", odd])
        assert set(mounts_below(disk.workspace.path)) == {odd, disk.path}
    assert not disk.workspace.path.exists()
    assert mounts_below(disk.workspace.path) == []


START_IN_VAIN = """\
from tests.rigs.errors import CommandFailed
from tests.rigs.small_disk import SmallDisk
disk = SmallDisk(-1)
try:
    disk.__enter__()
except CommandFailed:
    print(disk.workspace.path.parent)
"""


def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    said = run([sys.executable, "-c", START_IN_VAIN], cwd=ROOT, env={"TMPDIR": str(tmp_path)}).stdout
    assert said == f"{tmp_path}\n"
    assert list(tmp_path.glob(f"{PREFIX}*")) == []


MAKE_SLOWLY = """\
import sys, time
from pathlib import Path
from tests.rigs.cache import cached
def make(path):
    with open(sys.argv[1], "a") as log:
        log.write("made\\n")
    path.mkdir()
    time.sleep(0.3)
    (path / "part").write_text("whole")
print((cached("slow/thing", make) / "part").read_text())
"""


def test_two_processes_make_a_cached_thing_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE_SLOWLY, str(tmp_path / "log")]
    place = {**os.environ, "RIGS_CACHE": str(tmp_path / "cache")}
    both = [subprocess.Popen(command, cwd=ROOT, env=place, stdout=subprocess.PIPE, text=True) for _ in "12"]
    assert [process.communicate()[0] for process in both] == ["whole\n", "whole\n"]
    assert (tmp_path / "log").read_text() == "made\n"


def test_a_maker_that_is_killed_leaves_no_half_thing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE_SLOWLY, str(tmp_path / "log")]
    place = {**os.environ, "RIGS_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(command, cwd=ROOT, env=place)
    while not (tmp_path / "log").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "cache/slow/thing").exists()
    assert run(command, cwd=ROOT, env={"RIGS_CACHE": place["RIGS_CACHE"]}).stdout == "whole\n"


def test_a_maker_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGS_CACHE", str(tmp_path))

    def fail(path: Path) -> None:
        path.write_text("half")
        raise RigError("no network")

    with pytest.raises(RigError):
        cached("some/file", fail)
    assert list((tmp_path / "some").iterdir()) == []
