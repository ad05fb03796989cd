"""Wheels become files on this machine, each with one of the hashes that its lock names.

`fetch` brings them, by the first of: the store (what was fetched before), a wheelhouse (in place), the commit itself,
and the network as `trust.py` allows it. `resolve` comes before it, where a lock names packages by their hashes alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from buildkit.cache import Cache
from buildkit.endpoints import Progress, Silent, Traffic
from buildkit.errors import CorruptContent
from buildkit.files import CHUNK
from buildkit.registry.options import Clock
from buildkit.wheels.fetch.download import Source, download
from buildkit.wheels.fetch.house import Wheelhouse
from buildkit.wheels.fetch.indexes import Indexes
from buildkit.wheels.fetch.model import (
    LARGEST,
    FetchedWheel,
    Local,
    Network,
    NoFiles,
    Place,
    checked,
    title,
)
from buildkit.wheels.fetch.ordered import Proceed, in_order
from buildkit.wheels.fetch.resolve import Resolver, Shelves
from buildkit.wheels.fetch.store import WheelStore
from buildkit.wheels.fetch.trust import Trust
from buildkit.wheels.fetch.web import Web
from buildkit.wheels.locks.model import LockedWheel
from buildkit.wheels.locks.select import Selection
from buildkit.wheels.target import Target


def _quiet(_text: str) -> None:
    pass


class Fetcher:
    """Of one run, for any number of calls. Close it, or use it in a `with`.

    `say` is for what a person should know and nothing fails by; `environ` has proxies, netrc and PATH; `clock` is for
    tests.
    """

    def __init__(
        self,
        store: WheelStore,
        houses: Wheelhouse | None = None,
        network: Network | None = None,
        *,
        local: Local | None = None,
        progress: Progress | None = None,
        say: Callable[[str], object] = _quiet,
        traffic: Traffic | None = None,
        environ: Mapping[str, str] = os.environ,
        clock: Clock | None = None,
    ) -> None:
        network = network or Network()
        self._store = store
        self._houses = houses or Wheelhouse()
        self._trust = Trust.of(network.hosts, network.index_url, network.insecure)
        self._local = local or NoFiles()
        self._progress = progress or Silent()
        self._say = say
        self._jobs = network.jobs
        self._web = Web(self._trust, network, environ=environ, clock=clock, traffic=traffic)
        self._indexes = Indexes(self._web, say)

    def resolve(self, selection: Selection, target: Target, cache: Cache) -> tuple[LockedWheel, ...]:
        """All wheels of a selection, sorted by name; `cache` remembers what was chosen.

        Raises what `index.choose` does, Refused for an index that is not to be asked, and the errors of the network.
        """
        resolver = Resolver(selection.lock, target, self._trust, self._indexes, self._shelves(), cache)
        chosen = in_order(selection.wanted, lambda wanted, _: resolver.choose(wanted), self._jobs)
        return tuple(sorted((*selection.wheels, *chosen), key=lambda wheel: wheel.name))

    def fetch(self, wheels: Sequence[LockedWheel]) -> list[FetchedWheel]:
        """The files, in the same order, each hashed or known to be unchanged since it was.

        Raises the error of the first wheel, in this order, that has one: Refused, AccessDenied, NotFound,
        CorruptContent, Unavailable, each of which names the wheel.
        """
        self._houses.say_missing(self._say)
        self._store.sweep()
        return in_order([checked(wheel) for wheel in wheels], self._one, self._jobs)

    def close(self) -> None:
        """All connections."""
        self._web.close()

    def _one(self, wheel: LockedWheel, proceed: Proceed) -> FetchedWheel:
        found = self._store.find(wheel) or self._houses.find(wheel, self._store.hashes, self._say)
        if found is not None:
            return found
        if wheel.path:
            return self._from_commit(wheel, proceed)
        return self._from_network(wheel, proceed)

    def _from_commit(self, wheel: LockedWheel, proceed: Proceed) -> FetchedWheel:
        with self._store.landing(wheel) as landing, self._local.open(wheel.path) as stream:
            while data := stream.read(CHUNK):
                proceed()
                landing.write(data)
                if landing.count > (LARGEST if wheel.size is None else wheel.size):
                    raise CorruptContent(
                        f"{title(wheel)}: {wheel.path} in the commit has more than {wheel.size or LARGEST} bytes",
                        "commit the wheel that was locked, or lock again",
                    )
            return self._store.keep(landing, f"{wheel.path} in the commit", Place.COMMIT)

    def _from_network(self, wheel: LockedWheel, proceed: Proceed) -> FetchedWheel:
        url = self._trust.route(wheel)
        place = Place.URL if url else Place.INDEX
        source = Source(url, wheel.size) if url else self._located(wheel)
        with self._store.landing(wheel) as landing:
            download(self._web, source, landing, self._progress, proceed)
            return self._store.keep(landing, source.url.host, place)

    def _shelves(self) -> Shelves:
        return Shelves(self._local, self._houses, self._store.hashes)

    def _located(self, wheel: LockedWheel) -> Source:
        assert self._trust.index_url is not None, "the route leads to it"
        return self._indexes.locate(self._trust.index_url, wheel)

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
