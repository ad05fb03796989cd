"""The real git-lfs takes the LFS server for one, and its faults for faults."""

from pathlib import Path

import pytest

from tests.rigs import lfs_server as rig
from tests.rigs.fixtures import Start
from tests.rigs.lfs_server import LfsServer
from tests.rigs.process import run

pytestmark = pytest.mark.rig

CONTENT = b"weights\0" * 4000
IDENTITY = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_TERMINAL_PROMPT": "0",
}


class Clone:
    """A repository with one LFS object in a commit, whose remote keeps objects on a server."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder / "clone"
        self.git("init", "--quiet", "--bare", folder / "origin", cwd=folder)
        self.git("init", "--quiet", "--initial-branch=main", self.folder, cwd=folder)
        self.git("lfs", "install", "--local")
        self.git("lfs", "track", "*.bin")
        (self.folder / "model.bin").write_bytes(CONTENT)
        self.git("config", "lfs.url", url)
        self.git("config", "lfs.transfer.maxretries", "2")
        self.git("remote", "add", "origin", folder / "origin")
        self.git("add", ".")
        self.git("commit", "--quiet", "--message=model")

    def git(self, *words: str | Path, cwd: Path | None = None, check: bool = True) -> tuple[int, str]:
        """Run git; its code and all that it printed."""
        done = run(["git", *words], cwd=cwd or self.folder, env=IDENTITY, check=check, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def fetch(self) -> tuple[int, str]:
        """Lose the object, and fetch it again."""
        run(["rm", "-rf", self.folder / ".git/lfs/objects"])
        return self.git("lfs", "fetch", "origin", "main", check=False)


@pytest.fixture
def clone(tmp_path: Path, lfs_server: LfsServer) -> Clone:
    """A clone that has pushed."""
    rig.install()
    made = Clone(tmp_path, lfs_server.url)
    made.git("push", "--quiet", "origin", "main")
    return made


def test_objects_go_up_and_come_back(clone: Clone, lfs_server: LfsServer) -> None:
    assert list(lfs_server.objects.values()) == [CONTENT]
    code, shown = clone.fetch()
    assert code == 0, shown
    (oid,) = lfs_server.objects
    batches = [(request.operation, request.oids) for request in lfs_server.requests if request.operation]
    assert batches == [("upload", (oid,)), ("download", (oid,))]
    assert (clone.folder / ".git/lfs/objects" / oid[:2] / oid[2:4] / oid).read_bytes() == CONTENT


def test_a_second_push_sends_nothing(clone: Clone, lfs_server: LfsServer) -> None:
    before = len(lfs_server.requests)
    clone.git("lfs", "push", "--all", "origin")
    assert {request.method for request in lfs_server.requests[before:]} == {"POST"}


@pytest.mark.parametrize("fault", ["missing", "refused", "corrupt"])
def test_an_object_can_be_bad(clone: Clone, lfs_server: LfsServer, fault: str) -> None:
    getattr(lfs_server.faults, fault).update(lfs_server.objects)
    code, shown = clone.fetch()
    assert code != 0
    assert {"missing": "404", "refused": "422", "corrupt": "expected OID"}[fault] in shown


def test_it_asks_for_patience(clone: Clone, lfs_server: LfsServer) -> None:
    lfs_server.faults.throttle = 1
    code, shown = clone.fetch()
    assert code == 0, shown
    assert [request.status for request in lfs_server.requests][-3:] == [429, 200, 200]


def test_it_asks_for_a_login(start: Start, tmp_path: Path) -> None:
    server = start(LfsServer(login=("ada", "secret")))
    clone = Clone(tmp_path, server.url)
    assert clone.git("push", "origin", "main", check=False)[0] != 0
    clone.git("config", "lfs.url", server.url.replace("//", "//ada:secret@"))
    clone.git("push", "origin", "main")
    assert list(server.objects.values()) == [CONTENT]
    assert {401, 200} <= {request.status for request in server.requests}
