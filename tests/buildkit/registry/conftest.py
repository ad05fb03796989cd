"""Registries that answer in this process, clients that are closed, and the rule that every test ends with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from buildkit.registry import Registries, RegistryOptions
from buildkit.testing.registry import InProcessRegistry
from tests.buildkit.registry.raw import DOUBLE, Raw
from tests.buildkit.registry.support import QUICK, Client, FastClock, Serve


@pytest.fixture
def clock() -> FastClock:
    """The clock of the test's clients."""
    return FastClock()


@pytest.fixture
def client(tmp_path: Path, clock: FastClock) -> Iterator[Client]:
    """Makes clients without credentials and proxies; options of RegistryOptions, `environ` and `connect`."""
    with ExitStack() as ending:

        def make(**settings: Any) -> Registries:
            others = {
                name: settings.pop(name) for name in ("traffic", "progress", "connect") if name in settings
            }
            environ = {"HOME": str(tmp_path), **settings.pop("environ", {})}
            options = RegistryOptions(**{**QUICK, **settings})
            return ending.enter_context(Registries(options, environ=environ, clock=clock, **others))

        yield make


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts registries; whatever a test did to them, no tag may lead to something that is not all there."""
    with ExitStack() as ending:
        started: list[InProcessRegistry] = []

        def start(**settings: Any) -> InProcessRegistry:
            started.append(ending.enter_context(InProcessRegistry(**settings)))
            return started[-1]

        yield start
        for registry in started:
            assert registry.store.incomplete() == []


@pytest.fixture
def registry(serve: Serve) -> InProcessRegistry:
    """A well-behaved one."""
    return serve()


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param != DOUBLE:
        yield request.getfixturevalue(request.param).host
        return
    with InProcessRegistry() as registry:
        yield registry.host
        assert registry.store.incomplete() == []


@pytest.fixture
def raw(host: str) -> Raw:
    return Raw(host)
