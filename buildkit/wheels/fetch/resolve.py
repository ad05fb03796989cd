"""Packages that a lock names by hashes alone (requirements.txt) become wheels with file names.

Which wheel it is depends on the index, the folders of the commit and the target: an image may not differ by who builds
it. A wheelhouse of this machine is looked into only where it cannot make a difference (one hash is locked) or where
the lock has nothing else (`--no-index`). What an index offered is remembered, since the hashes do not change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from buildkit.cache import Cache
from buildkit.errors import InvalidInput
from buildkit.files import CHUNK
from buildkit.registry.url import Url
from buildkit.wheels.fetch.house import Wheelhouse
from buildkit.wheels.fetch.indexes import Indexes
from buildkit.wheels.fetch.model import Local, checked, title
from buildkit.wheels.fetch.trust import PYPI, Trust
from buildkit.wheels.fetch.verified import Hashes
from buildkit.wheels.locks import checks, index
from buildkit.wheels.locks.index import Candidate
from buildkit.wheels.locks.model import Lock, LockedWheel
from buildkit.wheels.locks.select import Wanted
from buildkit.wheels.target import Target

_KIND = "wheelchoices"


class Shelves(NamedTuple):
    """Where wheels may be without a network: folders of the commit, and of this machine."""

    local: Local
    houses: Wheelhouse
    hashes: Hashes


class Resolver:
    """Chooses for one lock and target."""

    def __init__(
        self, lock: Lock, target: Target, trust: Trust, indexes: Indexes, shelves: Shelves, cache: Cache
    ) -> None:
        self._lock = lock
        self._target = target
        self._trust = trust
        self._indexes = indexes
        self._shelves = shelves
        self._cache = cache

    def choose(self, wanted: Wanted) -> LockedWheel:
        """The wheel that is meant. Raises NotFound, InvalidInput as `index.choose` does, and what the network does."""
        here = dict(self._committed(wanted))
        offered = [Candidate(filename, "", wanted.hashes) for filename in here]
        if len(wanted.hashes) == 1 or not self._asks:
            offered.extend(self._housed(wanted))
        if len(wanted.hashes) > 1 or not offered:
            return self._with_indexes(wanted, offered, here)
        return self._chosen(wanted, offered, here)

    def _with_indexes(self, wanted: Wanted, offered: list[Candidate], here: Mapping[str, str]) -> LockedWheel:
        what = f"{wanted.name} {wanted.version}"
        pages = self._pages(what)
        name = self._name(wanted, pages, sorted(here))
        if remembered := _decoded(self._cache.get(_KIND, name), wanted):
            return remembered
        for base, flat in pages:
            found = self._indexes.page(base, what) if flat else self._indexes.project(base, wanted.name, what)
            offered.extend(found)
        wheel = self._chosen(wanted, offered, here)
        if wheel.url:
            chosen = next(
                each for each in offered if (each.filename, each.url) == (wheel.filename, wheel.url)
            )
            self._indexes.warn(chosen, title(wheel))
            self._cache.put(_KIND, name, json.dumps(wheel._asdict()).encode())
        return wheel

    def _chosen(self, wanted: Wanted, offered: list[Candidate], here: Mapping[str, str]) -> LockedWheel:
        wheel = checked(index.choose(wanted, offered, self._target))
        return wheel if wheel.url else wheel._replace(path=here.get(wheel.filename, ""))

    @property
    def _asks(self) -> bool:
        """Whether the lock has places that are asked over the network."""
        lock = self._lock
        return (
            lock.index_url is not None
            or bool(lock.extra_indexes)
            or any("://" in each for each in lock.find_links)
        )

    def _pages(self, what: str) -> list[tuple[Url, bool]]:
        """What to ask, and whether it is one page for all projects. Raises Refused for hosts not to be asked."""
        lock = self._lock
        first = () if lock.index_url is None else (lock.index_url or PYPI,)
        flat = tuple(each for each in lock.find_links if "://" in each)
        found = [(url, False) for url in self._trust.pages((*first, *lock.extra_indexes), what)]
        return found + [(url, True) for url in self._trust.links(flat, what)]

    def _committed(self, wanted: Wanted) -> Iterator[tuple[str, str]]:
        """Wheels of this version with a locked hash, in folders of the commit: file name and path."""
        for folder in self._lock.find_links:
            for filename in sorted(self._shelves.local.names(folder)) if "://" not in folder else ():
                if _is_of(filename, wanted):
                    path = filename if folder in ("", ".") else f"{folder}/{filename}"
                    if self._hashes(path, wanted) & set(wanted.hashes):
                        yield filename, path

    def _housed(self, wanted: Wanted) -> Iterator[Candidate]:
        """Wheels of this version on this machine, as far as they have one of the locked hashes."""
        houses = self._shelves.houses
        for filename in houses.of_version(wanted.name, wanted.version):
            named = LockedWheel(wanted.name, wanted.version, filename, hashes=wanted.hashes)
            if houses.find(named, self._shelves.hashes, _quiet):
                yield Candidate(filename, "", wanted.hashes)

    def _hashes(self, path: str, wanted: Wanted) -> set[str]:
        states = [hashlib.new(kind) for kind in sorted({each.partition(":")[0] for each in wanted.hashes})]
        with self._shelves.local.open(path) as stream:
            while data := stream.read(CHUNK):
                for state in states:
                    state.update(data)
        return {f"{state.name}:{state.hexdigest()}" for state in states}

    def _name(self, wanted: Wanted, pages: list[tuple[Url, bool]], here: list[str]) -> str:
        """Of the remembered choice: everything that it depends on, but for what the indexes say now."""
        asked = [str(url) for url, _ in pages]
        said = [wanted.name, wanted.version, wanted.hashes, repr(self._target), asked, here]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _quiet(_text: str) -> None:
    """Wheels of another lock may well be there."""


def _is_of(filename: str, wanted: Wanted) -> bool:
    try:
        return checks.parse_wheel(filename)[:2] == (wanted.name, wanted.version)
    except ValueError:
        return False


def _decoded(said: bytes | None, wanted: Wanted) -> LockedWheel | None:
    """A remembered choice, as far as it is one for what is wanted."""
    try:
        fields = json.loads(said or b"")
        wheel = checked(LockedWheel(**{**fields, "hashes": tuple(fields["hashes"])}))
    except (ValueError, TypeError, LookupError, AttributeError, InvalidInput):
        return None  # of another release
    return wheel if set(wheel.hashes) <= set(wanted.hashes) else None
