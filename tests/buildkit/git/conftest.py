"""Fixtures of the tests of git."""

from __future__ import annotations

import pytest

from buildkit.testing.repositories import ThrowAwayRepository


@pytest.fixture
def origin(origin: ThrowAwayRepository) -> ThrowAwayRepository:
    """It also gives away single blobs, as those who host repositories do."""
    origin.git("config", "uploadpack.allowFilter", "true")
    origin.git("config", "uploadpack.allowAnySHA1InWant", "true")
    return origin
