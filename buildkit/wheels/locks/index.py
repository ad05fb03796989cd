"""What a package index answers (PEP 691 JSON, PEP 503 HTML), and which of its files was meant. No requests are made.

`select.py` leaves `Wanted` for packages whose file names the lock does not say. Whoever speaks to indexes asks them for
`page_path(name)`, hands the bytes in here, and gets the LockedWheel that `select` would have given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import urljoin

from buildkit.errors import CorruptContent, InvalidInput, NotFound
from buildkit.wheels.locks import checks, fit
from buildkit.wheels.locks.model import LockedWheel
from buildkit.wheels.locks.select import Wanted
from buildkit.wheels.target import Target

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
PAGE_LIMIT = 64 * 1024 * 1024
"""Bytes of a page: projects with a wheel a night have tens of MiB."""
_HASH = re.compile(r"(sha256|sha384|sha512)=([0-9a-fA-F]+)")


class Candidate(NamedTuple):
    """A file that an index offers. `hashes` may be empty: old indexes give none.

    `yanked` is None, or why its maintainers took it back (PEP 592), which may be "".
    """

    filename: str
    url: str
    hashes: tuple[str, ...] = ()
    size: int | None = None
    yanked: str | None = None


def page_path(name: str) -> str:
    """Where the page of a project is below an index URL; `name` is normal."""
    return f"{name}/"


def parse_page(data: bytes, content_type: str, url: str) -> tuple[Candidate, ...]:
    """The files on a page that was read from `url`. Raises CorruptContent for what is no such page.

    Files with unusable URLs are left out: an index may hold anything.
    """
    if len(data) > PAGE_LIMIT:
        raise CorruptContent(f"the index's page is larger than {PAGE_LIMIT} bytes", "is it a package index?")
    kind = content_type.partition(";")[0].strip().lower()
    found = _json_files(data) if kind.endswith("json") else _html_files(data)
    made = (_candidate(each, url) for each in found)
    return tuple(candidate for candidate in made if candidate)


def choose(wanted: Wanted, candidates: Iterable[Candidate], target: Target) -> LockedWheel:
    """The wheel among `candidates` that has one of the locked hashes and fits the target best.

    Where an index gives a file no hash, the locked ones are asked of its bytes. Raises NotFound where the index has
    nothing that was locked, InvalidInput where that is no wheel for the target.
    """
    # Indexes list in any order; the choice must not depend on it.
    offered = sorted(candidates, key=lambda each: (each.filename, each.url))
    locked = [each for each in offered if set(each.hashes) & set(wanted.hashes)]
    files = locked or [each for each in offered if not each.hashes]
    wheels = [wheel for wheel in (_wheel(each, wanted) for each in files) if wheel]
    best = fit.best(wheels, fit.ranks(target))
    if best:
        return best
    what = f"{wanted.place or wanted.name} {wanted.version}"
    if wheels:
        reason, remedy = fit.reason([wheel.filename for wheel in wheels], target)
        raise InvalidInput(f"{what} has no wheel for {target}: {reason}", remedy)
    if locked:
        raise InvalidInput(
            f"{what} has only a source distribution, and {target} gets wheels only",
            "build a wheel of it, put it on an index, and lock again",
        )
    raise NotFound(
        f"{what}: the index has no file with a locked hash",
        "name the index it was locked from, or lock again",
    )


def _wheel(candidate: Candidate, wanted: Wanted) -> LockedWheel | None:
    try:
        name, version, _ = checks.parse_wheel(candidate.filename)
    except ValueError:
        return None
    if (name, version) != (wanted.name, wanted.version):
        return None
    hashes = tuple(each for each in candidate.hashes if each in wanted.hashes) or wanted.hashes
    return LockedWheel(name, version, candidate.filename, candidate.url, size=candidate.size, hashes=hashes)


_File = tuple[str, str, tuple[str, ...], int | None, str | None]


def _candidate(file: _File, page: str) -> Candidate | None:
    filename, link, hashes, size, yanked = file
    try:
        url = checks.check_url(urljoin(page, link).partition("#")[0], "the index")
        known = checks.check_hashes(hashes, "the index") if hashes else ()
    except (InvalidInput, ValueError):
        return None
    return Candidate(filename, url, known, size, yanked)


def _json_files(data: bytes) -> list[_File]:
    import json

    try:
        page = json.loads(data)
    except (ValueError, RecursionError):
        page = None
    files = page.get("files") if isinstance(page, dict) else None
    if not isinstance(files, list):
        raise CorruptContent("the index's answer is no PEP 691 page", "is it a package index?")
    return [found for each in files if (found := _json_file(each))]


def _json_file(file: object) -> _File | None:
    if not isinstance(file, Mapping):
        return None
    name, url, hashes, size = (file.get(key) for key in ("filename", "url", "hashes", "size"))
    if not isinstance(name, str) or not isinstance(url, str):
        return None
    yanked = file.get("yanked")
    reason = yanked if isinstance(yanked, str) else ("" if yanked is True else None)
    return name, url, _json_hashes(hashes), size if type(size) is int and size >= 0 else None, reason


def _json_hashes(hashes: Any) -> tuple[str, ...]:
    """The strong ones: a file with md5 alone is like one without a hash."""
    table = hashes if isinstance(hashes, Mapping) else {}
    return tuple(f"{key}:{table[key]}" for key in checks.STRONG if isinstance(table.get(key), str))


def _html_files(data: bytes) -> list[_File]:
    page = _Page()
    try:
        page.feed(data.decode(errors="replace"))
        page.close()
    except (AssertionError, ValueError):
        # html.parser asserts what a page's author should have kept to; urljoin refuses some addresses.
        raise CorruptContent("the index's answer is no PEP 503 page", "is it a package index?") from None
    return page.files


def _joined(base: str, link: str) -> str:
    try:
        return urljoin(base, link)
    except ValueError:
        return ""


class _Page(HTMLParser):
    """PEP 503: an anchor for each file, whose href has the hash behind #, and whose text is the file's name."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[_File] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """As HTMLParser calls it."""
        named = dict(attrs)
        href = named.get("href") or ""
        if tag == "base" and not self.base:
            self.base = href
        if tag == "a" and href:
            link, _, fragment = _joined(self.base, href).partition("#")
            found = _HASH.search(fragment)
            hashes = (f"{found[1]}:{found[2].lower()}",) if found else ()
            yanked = (named["data-yanked"] or "") if "data-yanked" in named else None
            self.files.append((checks.url_filename(link), link, hashes, None, yanked))
