"""Fixtures of the tests of dependencies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.buildkit.dependencies.support import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Without wheels yet."""
    return Shelf(tmp_path / "wheels")
