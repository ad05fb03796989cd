"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.testing.index import InProcessIndex
from buildkit.testing.registry import InProcessRegistry
from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end import helpers, locked
from tests.end_to_end.helpers import Treeship
from tests.end_to_end.house import FILES, House
from tests.end_to_end.locked import Yard


@pytest.fixture
def treeship(tmp_path: Path) -> Treeship:
    """The command, with a home folder of its own."""
    return Treeship(tmp_path / "home")


@pytest.fixture
def repository(tmp_path: Path) -> ThrowAwayRepository:
    """A repository without commits."""
    return ThrowAwayRepository(tmp_path / "repository")


@pytest.fixture
def registry() -> Iterator[InProcessRegistry]:
    """A registry in this process, with a log of all requests."""
    with InProcessRegistry() as started:
        yield started


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OCI layout with a base of a few bytes as `latest`; read only. For tests in which nothing runs."""
    return helpers.tiny_base(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture(scope="session")
def tiny_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for two platforms, amd64 and arm64: `latest` is an index."""
    return helpers.tiny_base(tmp_path_factory.mktemp("tiny") / "base", "amd64", "arm64")


@pytest.fixture
def house(
    registry: InProcessRegistry, repository: ThrowAwayRepository, treeship: Treeship, tiny_base: Path
) -> House:
    """A registry with a base, a repository with a commit, and the command."""
    repository.commit(FILES)
    base = f"docker://{registry.host}/bases/tiny:1"
    treeship("copy", f"oci:{tiny_base}", base)
    registry.log.clear()
    return House(registry, repository, treeship, base)


@pytest.fixture(scope="session")
def python_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OCI layout that looks like a base with Python 3.12, in a few kB; read only. Nothing of it runs."""
    return locked.python_base(tmp_path_factory.mktemp("python") / "base")


@pytest.fixture
def yard(
    registry: InProcessRegistry, repository: ThrowAwayRepository, treeship: Treeship, python_base: Path
) -> Iterator[Yard]:
    """An index, a registry with a base that has Python, a repository without commits, and the command."""
    base = f"docker://{registry.host}/bases/python:1"
    treeship("copy", f"oci:{python_base}", base)
    registry.log.clear()
    with InProcessIndex() as index:
        yield Yard(index, registry, repository, treeship, base)
