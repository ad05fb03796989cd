"""What all tests share: the rigs as fixtures, a scrubbed environment, and how tests are spread over workers."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.rigs.cache import cache_folder

pytest_plugins = ("tests.rigs.fixtures",)

ROOT = Path(__file__).parent.parent
# Fixtures of tests/rigs/fixtures.py. A test that takes one is a rig test, whether it says so or not.
RIGS = frozenset({
    "base_layout", "binfmt", "buildkit", "crane", "docker_engine", "docker_registry", "foreign_layout",
    "ggcr_registry", "lfs_server", "multi_layout", "podman", "small_disk", "start",
})  # fmt: skip
# These take seconds to start: one worker starts them, and runs all tests that use them.
SHARED = ("docker_engine", "buildkit", "podman")
# What a developer has set for git or treeship must not decide whether a test passes.
FOREIGN = ("GIT_", "TREESHIP_", "DOCKER_", "XDG_CONFIG_", "REGISTRY_AUTH_")
GITCONFIG = "[user]\n\tname = A Tester\n\temail = tester@example.org\n[init]\n\tdefaultBranch = main\n"


def pytest_configure(config: pytest.Config) -> None:
    """A home folder of our own, and none of the developer's settings, for this process and all that it starts."""
    rigs = str(cache_folder())
    # These live in the home folder, and are slow to make or not there at all without it.
    for name, default in (("GOPATH", "go"), ("GOCACHE", ".cache/go-build"), ("PYENV_ROOT", ".pyenv")):
        os.environ.setdefault(name, str(Path.home() / default))
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]
    home = tempfile.TemporaryDirectory(prefix="treeship-tests-")
    config.add_cleanup(home.cleanup)
    (Path(home.name) / ".gitconfig").write_text(GITCONFIG)
    os.environ |= {"HOME": home.name, "GIT_CONFIG_NOSYSTEM": "1", "RIGS_CACHE": rigs}


@pytest.hookimpl(tryfirst=True)  # Before xdist reads the groups and `-m` the markers.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark rig tests, and keep those that share a slow rig on one worker."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & RIGS:
            item.add_marker("rig")
        if names & set(SHARED):
            item.add_marker(pytest.mark.xdist_group("engines"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test begins without anything remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of this repository."""
    return ROOT
