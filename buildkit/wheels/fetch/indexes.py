"""Pages of package indexes, asked for once a run; and which file of a page is the locked wheel."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from buildkit.errors import CorruptContent, NotFound, Unavailable
from buildkit.files import CHUNK
from buildkit.registry.errors import clean
from buildkit.registry.url import Url
from buildkit.wheels.fetch.download import Source
from buildkit.wheels.fetch.model import title
from buildkit.wheels.fetch.trust import parse_url
from buildkit.wheels.fetch.web import Web, address, lost
from buildkit.wheels.locks import index
from buildkit.wheels.locks.index import Candidate
from buildkit.wheels.locks.model import LockedWheel

_ATTEMPTS = 4
# Files of pages that are kept to be asked for again, of some 600 bytes each: 300 packages with 300 files.
_MOST_KEPT = 100_000


class Indexes:
    """The indexes of one run. Of their pages those that were used last are kept, with `most` files altogether."""

    def __init__(self, web: Web, say: Callable[[str], object], most: int = _MOST_KEPT) -> None:
        self._web = web
        self._say = say
        self._most = most
        self._count = 0
        self._lock = threading.Lock()
        self._pages: dict[str, tuple[Candidate, ...]] = {}

    def locate(self, base: Url, wheel: LockedWheel) -> Source:
        """Where an index has this wheel: the file with its hash, else the one with its name and no hash at all.

        Raises NotFound where it has none, CorruptContent where it has another file of this name.
        """
        what = title(wheel)
        offered = self.project(base, wheel.name, what)
        locked = set(wheel.hashes)
        same = [each for each in offered if locked & set(each.hashes)]
        named = [each for each in offered if each.filename == wheel.filename]
        found = next((each for each in same if each in named), None) or next(iter(same), None)
        found = found or next((each for each in named if not _comparable(each, wheel)), None)
        if found is None and named:
            theirs, ours = ", ".join(named[0].hashes), " or ".join(wheel.hashes[:3])
            raise CorruptContent(
                f"{what}: {base.host} has it with {theirs}, and {ours} is locked",
                "the index has another file of this name: lock again against it, or find out why",
            )
        if found is None:
            raise NotFound(
                f"{what}: the index at {base.host} has no such file",
                "lock against that index; or put the host of the lock's URL into wheels.hosts",
            )
        self.warn(found, what)
        size = wheel.size if wheel.size is not None else found.size
        return Source(parse_url(found.url, what), size)

    def project(self, base: Url, name: str, what: str) -> tuple[Candidate, ...]:
        """The files of a project; none where the index does not know it."""
        below = base._replace(target=f"{base.target.rstrip('/')}/{index.page_path(name)}")
        try:
            return self.page(below, what)
        except NotFound:
            return ()

    def page(self, url: Url, what: str) -> tuple[Candidate, ...]:
        """The files that a page lists. Raises what `Web.get` does, and CorruptContent for what is no such page."""
        key = address(url)
        with self._lock:
            if key in self._pages:
                self._pages[key] = found = self._pages.pop(key)
                return found
        data, kind, final = self._read(url, what)
        try:
            found = index.parse_page(data, kind, address(final))
        except CorruptContent as error:
            raise CorruptContent(f"{what}: {final.host}: {error.what}", error.remedy) from None
        self._keep(key, found)
        return found

    def warn(self, found: Candidate, what: str) -> None:
        """PEP 592: a yanked file is for those who have pinned it, and a lock has."""
        if found.yanked is not None:
            reason = f": {clean(found.yanked)}" if found.yanked else ""
            self._say(f"{what} was yanked from its index{reason}; it is used, since the lock names it")

    def _keep(self, key: str, found: tuple[Candidate, ...]) -> None:
        with self._lock:
            self._count += len(found) - len(self._pages.pop(key, ()))
            self._pages[key] = found
            while self._count > self._most:
                self._count -= len(self._pages.pop(next(iter(self._pages))))

    def _read(self, url: Url, what: str) -> tuple[bytes, str, Url]:
        for attempt in range(_ATTEMPTS):
            answer = self._web.get(url, what, (("Accept", index.ACCEPT),))
            try:
                if answer.status != 200:
                    raise Unavailable(
                        f"{what}: {answer.url.host} answered {answer.status}", "is it an index?"
                    )
                parts, size = [], 0
                while size <= index.PAGE_LIMIT and (data := answer.read(CHUNK)):
                    parts.append(data)
                    size += len(data)
                return b"".join(parts), answer.headers.get("content-type", ""), answer.url
            except OSError as error:
                if attempt + 1 == _ATTEMPTS:
                    raise lost(error, url, what) from None
                self._web.pause(attempt)
            finally:
                answer.close()
        raise AssertionError("the last attempt returns or raises")


def _comparable(candidate: Candidate, wheel: LockedWheel) -> Sequence[str]:
    """Hashes of the candidate by an algorithm that the lock has too."""
    kinds = {each.partition(":")[0] for each in wheel.hashes}
    return [each for each in candidate.hashes if each.partition(":")[0] in kinds]
