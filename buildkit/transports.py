"""The transports, in one explicit table: what reads from, and what writes to, each kind of reference.

A transport is a module with a `Source` and a `Sink`; it is imported when it is used, since a build that goes
to an OCI layout needs neither a registry client nor the docker SDK.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from buildkit.endpoints import Sink, Source
from buildkit.errors import InvalidInput
from buildkit.image.reference import (
    ArchiveReference,
    DaemonReference,
    LayoutReference,
    Reference,
    RegistryReference,
    Scratch,
)


class Registries(Protocol):
    """The registry clients of a run (`buildkit.registry.Registries`): they share connections and logins."""

    def source(self, reference: RegistryReference) -> Source:
        """To read from."""

    def sink(self, reference: RegistryReference) -> Sink:
        """To write to."""


# Registries come as a function, so that their module is loaded by who has a registry to talk to.
Connect = Callable[[], Registries]


class Transport(NamedTuple):
    """How one kind of reference is opened, and whether an index can be kept there as it is."""

    source: Callable[[Any, Connect], Source]
    sink: Callable[[Any, Connect], Sink]
    holds_indexes: bool


def _layout_source(reference: LayoutReference, _connect: Connect) -> Source:
    from buildkit.layout import LayoutSource

    return LayoutSource(reference)


def _layout_sink(reference: LayoutReference, _connect: Connect) -> Sink:
    from buildkit.layout import LayoutSink

    return LayoutSink(reference)


def _archive_source(reference: ArchiveReference, _connect: Connect) -> Source:
    from buildkit.archive import ArchiveSource

    return ArchiveSource(reference)


def _archive_sink(reference: ArchiveReference, _connect: Connect) -> Sink:
    from buildkit.archive import ArchiveSink

    return ArchiveSink(reference)


def _daemon_source(reference: DaemonReference, _connect: Connect) -> Source:
    from buildkit.daemon import DaemonSource

    return DaemonSource(reference)


def _daemon_sink(reference: DaemonReference, _connect: Connect) -> Sink:
    from buildkit.daemon import DaemonSink

    return DaemonSink(reference)


def _no_image(_reference: Scratch, _connect: Connect) -> Any:
    raise InvalidInput("scratch is no place: it holds no image", "name an image, or where to put one")


TRANSPORTS: dict[type[Reference], Transport] = {
    RegistryReference: Transport(
        source=lambda reference, connect: connect().source(reference),
        sink=lambda reference, connect: connect().sink(reference),
        holds_indexes=True,
    ),
    LayoutReference: Transport(_layout_source, _layout_sink, holds_indexes=True),
    DaemonReference: Transport(_daemon_source, _daemon_sink, holds_indexes=False),
    ArchiveReference: Transport(_archive_source, _archive_sink, holds_indexes=False),
    Scratch: Transport(_no_image, _no_image, holds_indexes=False),
}


def open_source(reference: Reference, registries: Registries | Connect) -> Source:
    """To read from. Raises InvalidInput for scratch, NotFound for files that do not exist."""
    return TRANSPORTS[type(reference)].source(reference, _connector(registries))


def open_sink(reference: Reference, registries: Registries | Connect) -> Sink:
    """To write to. Raises InvalidInput for scratch."""
    return TRANSPORTS[type(reference)].sink(reference, _connector(registries))


def holds_indexes(reference: Reference) -> bool:
    """Whether several platforms fit in there; engines and docker-archives take one."""
    return TRANSPORTS[type(reference)].holds_indexes


def _connector(registries: Registries | Connect) -> Connect:
    return registries if callable(registries) else lambda: registries
