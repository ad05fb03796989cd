"""The few things that building a base asks of a Docker Engine, by the docker SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any, NamedTuple, Protocol

from buildkit import daemon
from buildkit.image.platform import Platform


class Image(NamedTuple):
    """An image that the engine has: its id, and its labels."""

    id: str
    labels: Mapping[str, str]


class Recipe(NamedTuple):
    """One build: a context (a tar), what PARENT and the other arguments are, and what the image is called.

    `target` is a stage of the Dockerfile; `network` as in `docker build --network`; "" is the engine's own choice.
    """

    context: bytes
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    target: str
    platform: Platform | None
    network: str
    name: str


class Builder(Protocol):
    """An engine that builds."""

    def image(self, name: str) -> Image | None:
        """The image of this name or id."""

    def build(self, recipe: Recipe) -> Iterator[dict[str, Any]]:
        """Build, and say what happens as the engine says it; with an `error` where it fails."""


@contextmanager
def connected() -> Iterator[Builder]:
    """The engine of the environment. Unavailable where none answers."""
    with daemon.session() as api:
        yield _Docker(api)


class _Docker:
    """`Builder` by the low-level client of the docker SDK.

    It has the classic builder's API, which every engine has; so Dockerfiles can do without a frontend from a registry.
    """

    def __init__(self, api: Any) -> None:
        self._api = api

    def image(self, name: str) -> Image | None:
        found = daemon.inspected(self._api, name)
        if found is None:
            return None
        return Image(str(found["Id"]), dict((found.get("Config") or {}).get("Labels") or {}))

    def build(self, recipe: Recipe) -> Iterator[dict[str, Any]]:
        said: Iterator[dict[str, Any]] = self._api.build(
            fileobj=BytesIO(recipe.context),
            custom_context=True,
            tag=recipe.name,
            buildargs=dict(recipe.arguments),
            labels=dict(recipe.labels),
            target=recipe.target,
            platform=str(recipe.platform) if recipe.platform else None,
            network_mode=recipe.network or None,
            decode=True,
            rm=True,
            forcerm=True,
        )
        return said
