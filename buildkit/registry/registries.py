"""All registries of one run: what is shared between them, and the two ends made from it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType

from buildkit.endpoints import Progress, Silent, Traffic
from buildkit.image.reference import RegistryReference
from buildkit.registry.auth import Authorizer
from buildkit.registry.client import Repository
from buildkit.registry.options import Clock, RegistryOptions
from buildkit.registry.pool import Dial, dial
from buildkit.registry.pull import RegistrySource
from buildkit.registry.push import RegistrySink
from buildkit.registry.session import Session
from buildkit.registry.transport import Transport


class Registries:
    """Connections, tokens and credentials of a run. Close it, or use it in a `with`.

    `environ` has the proxies and where credentials are; `connect` opens TCP connections: both are for tests
    to replace, as `clock` is.
    """

    def __init__(
        self,
        options: RegistryOptions | None = None,
        traffic: Traffic | None = None,
        progress: Progress | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Clock | None = None,
        connect: Dial = dial,
    ) -> None:
        self.options = options or RegistryOptions()
        self.traffic = traffic or Traffic()
        self._progress = progress or Silent()
        self._transport = Transport(self.options, self.traffic, environ, clock or Clock(), connect)
        self._session = Session(self._transport, Authorizer(self._transport, environ))

    def source(self, reference: RegistryReference) -> RegistrySource:
        """To read from."""
        return RegistrySource(self.repository(reference), reference)

    def repository(self, reference: RegistryReference, actions: str = "pull") -> Repository:
        """To list what there is (`listing.py`); with the actions "pull,push,delete" to take something out as well."""
        return Repository(self._session, reference.host, reference.repository, actions)

    def sink(self, reference: RegistryReference) -> RegistrySink:
        """To write to."""
        return RegistrySink(self.repository(reference, "pull,push"), self.options, self._progress)

    def close(self) -> None:
        """All connections, also those in use."""
        self._transport.pool.close()

    def __enter__(self) -> Registries:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
