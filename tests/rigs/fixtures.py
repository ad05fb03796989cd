"""The rigs as pytest fixtures, and their logs beside a failure. Load it with `-p tests.rigs.fixtures`.

Session fixtures are shared by all tests of a process: use a repository name of your own in a registry. For a
rig with options (`DockerRegistry(tls=True)`) take the fixture `start`.
"""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from tests.rigs import base_image
from tests.rigs import ggcr_registry as ggcr
from tests.rigs.binfmt import Binfmt
from tests.rigs.buildkit import BuildKit
from tests.rigs.containerd import Containerd
from tests.rigs.docker_engine import DockerEngine
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.errors import RigUnavailable
from tests.rigs.ggcr_registry import GgcrRegistry
from tests.rigs.install import is_debian, is_root
from tests.rigs.lfs_server import LfsServer
from tests.rigs.podman import Podman
from tests.rigs.process import TAIL, Daemon, running
from tests.rigs.rig import Rig
from tests.rigs.small_disk import SmallDisk

R = TypeVar("R", bound=Rig)

_before: dict[Daemon, int] = {}


class Start(Protocol):
    """The type of the fixture `start`."""

    def __call__(self, rig: R, /) -> R:
        """RIG, up until the end of the test."""


@contextmanager
def skipping() -> Iterator[None]:
    """Turn RigUnavailable into a skip; on Debian as root, where every rig must work, it stays an error."""
    try:
        yield
    except RigUnavailable as reason:
        if is_debian() and is_root():
            raise
        pytest.skip(str(reason))


def started(rig: R) -> Iterator[R]:
    """RIG, up for as long as the iterator is suspended: the body of a fixture."""
    with ExitStack() as ending:
        with skipping():
            ending.enter_context(rig)
        yield rig


def pytest_runtest_logstart() -> None:
    """Remember how long the logs are before a test."""
    _before.clear()
    _before.update({daemon: daemon.written() for daemon in running()})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the daemons have written during a test that failed."""
    report = yield
    if report.failed:
        logs = [(daemon.name, daemon.output(since=_before.get(daemon, 0))) for daemon in running()]
        report.sections.extend((f"log of {name}", log[-TAIL:]) for name, log in logs if log)
    return report


@pytest.fixture
def start() -> Iterator[Start]:
    """Start any rig until the end of the test: `registry = start(DockerRegistry(tls=True))`."""
    with ExitStack() as ending:

        def enter(rig: R) -> R:
            with skipping():
                ending.enter_context(rig)
            return rig

        yield enter


@pytest.fixture(scope="session")
def docker_registry() -> Iterator[DockerRegistry]:
    """docker-registry, open to all."""
    yield from started(DockerRegistry())


@pytest.fixture(scope="session")
def ggcr_registry() -> Iterator[GgcrRegistry]:
    """go-containerregistry's registry."""
    yield from started(GgcrRegistry())


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    """A Docker Engine; shared, so give images and containers names of your own."""
    yield from started(DockerEngine())


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """podman, buildah, skopeo and umoci."""
    yield from started(Podman())


@pytest.fixture(scope="session")
def buildkit() -> Iterator[BuildKit]:
    """buildkitd and buildctl."""
    yield from started(BuildKit())


@pytest.fixture(scope="session")
def containerd() -> Iterator[Containerd]:
    """containerd, and ctr."""
    yield from started(Containerd())


@pytest.fixture(scope="session")
def binfmt() -> Iterator[Binfmt]:
    """arm64 programs run, in containers too."""
    yield from started(Binfmt("aarch64"))


@pytest.fixture
def lfs_server() -> Iterator[LfsServer]:
    """A Git LFS server without objects."""
    yield from started(LfsServer())


@pytest.fixture
def small_disk() -> Iterator[SmallDisk]:
    """A disk of 8 MiB."""
    yield from started(SmallDisk(8))


@pytest.fixture(scope="session")
def crane() -> Path:
    """The program crane."""
    with skipping():
        return ggcr.crane()


@pytest.fixture(scope="session")
def base_layout() -> Path:
    """An OCI layout with Debian and Python as `latest`; read only."""
    with skipping():
        return base_image.layout()


@pytest.fixture(scope="session")
def foreign_layout() -> Path:
    """The same for arm64."""
    with skipping():
        return base_image.foreign_layout()


@pytest.fixture(scope="session")
def multi_layout() -> Path:
    """The same with an index of both as `latest`."""
    with skipping():
        return base_image.multi_layout()
