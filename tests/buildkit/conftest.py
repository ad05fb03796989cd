"""Fixtures of all tests of the library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.git.repository import Repository
from buildkit.testing.repositories import ThrowAwayRepository


@pytest.fixture
def origin(tmp_path: Path) -> ThrowAwayRepository:
    """A repository without commits, to write to."""
    return ThrowAwayRepository(tmp_path / "repository")


@pytest.fixture
def repository(origin: ThrowAwayRepository) -> Iterator[Repository]:
    """The same, to read."""
    with Repository(origin.directory) as opened:
        yield opened
