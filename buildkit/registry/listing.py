"""What a repository lists, and what is taken out of it (distribution-spec, "Listing Tags", "Listing Referrers",
"Deleting Manifests").

Lists come in pages. Each next page is on the same host, brings something new, and there is an end to them: a
registry that breaks one of these rules is not believed, since whoever acts on half a list acts wrongly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeVar

from buildkit.errors import CorruptContent, InvalidInput, NotFound
from buildkit.image import canonical
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.reference import check_tag
from buildkit.registry import errors
from buildkit.registry.client import Repository
from buildkit.registry.transport import Answer, Request
from buildkit.registry.url import Url

PAGE = 1000
TAGS_LIMIT = 500_000
REFERRERS_LIMIT = 10_000
# Distribution 2.8 knows no pages: it sends all tags at once, whatever it is asked for.
_PAGE_BYTES = 64 * 1024 * 1024
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,]*?\brel="?next"?', re.IGNORECASE)
_LINK_LIMIT = 8192
# Method not allowed, not implemented: this registry does not do such things at all.
_MUTE = frozenset({405, 501})

Item = TypeVar("Item")
Value = TypeVar("Value")


def tags(repository: Repository, limit: int = TAGS_LIMIT) -> list[str]:
    """All tags, in the registry's order. NotFound where there is no such repository.

    CorruptContent for a list that is malformed, has more than `limit` tags, or goes on at another host.
    """
    what = f"the list of tags of {repository.host}/{repository.name}"
    found: dict[str, None] = {}
    path = f"tags/list?n={PAGE}"
    while path:
        page: list[str] = []
        for number, fields in enumerate(_pages(repository, path, "listing the tags of", what)):
            page = _tags_in(fields, what)
            known = len(found)
            _add(found, dict.fromkeys(page), what, limit)
            if page and len(found) == known:
                if number:
                    raise _broken(f"{what} goes on with what was there before")
                return list(found)  # it knows no `last`, and has sent everything
        # A full page without a Link may not be the last one: registries need not send the Link.
        path = f"tags/list?n={PAGE}&last={page[-1]}" if len(page) == PAGE else ""
    return list(found)


def referrers(repository: Repository, subject: Digest) -> list[Descriptor] | None:
    """The manifests that name SUBJECT as theirs; None where the registry does not know the question.

    Such registries (distribution 2, GHCR) list them in an index under the tag `fallback_tag(subject)`.
    """
    what = f"the list of referrers of {subject} in {repository.host}/{repository.name}"
    found: dict[Digest, Descriptor] = {}
    try:
        for fields in _pages(repository, f"referrers/{subject}", "listing referrers in", what):
            entries = fields.get("manifests")
            if not isinstance(entries, list):
                raise _broken(f"{what} is no index")
            page = [Descriptor.from_json(entry, what) for entry in entries]
            _add(found, {entry.digest: entry for entry in page}, what, REFERRERS_LIMIT)
    except NotFound:
        return None
    return list(found.values())


def fallback_tag(subject: Digest) -> str:
    """Where referrers are listed for those who cannot ask (distribution-spec, "Referrers Tag Schema")."""
    return subject.replace(":", "-")


def delete(repository: Repository, wanted: str | Digest) -> bool:
    """Take out a manifest by its digest, or a tag by its name; False where it was not there.

    Distribution 2.8 takes all the tags of a digest with it, and knows no deletion of one tag alone.
    InvalidInput where deletion is switched off, or not known for this kind of name.
    """
    answer = repository.send(Request("DELETE", repository.url(f"manifests/{wanted}")))
    if answer.status in (200, 202, 204):
        return True
    if answer.status == 404:
        return False
    if _is_mute(answer):
        raise InvalidInput(
            f"{repository.host} does not delete {wanted} of {repository.name}: HTTP {answer.status}",
            "switch deletion on there (distribution: REGISTRY_STORAGE_DELETE_ENABLED=true), or use what the "
            "registry has of its own: lifecycle rules, its package API",
        )
    raise repository.refused(answer, f"deleting {wanted} of")


def _pages(repository: Repository, path: str, doing: str, what: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a list; NotFound where the registry does not have such lists at all."""
    url = repository.url(path)
    seen = {url.target}
    while True:
        answer = repository.send(Request("GET", url, limit=_PAGE_BYTES))
        if _is_mute(answer):
            raise NotFound(f"{doing} {repository.name}: {repository.host} has no such list",
                           "ask its administrator, or do it with the registry's own tools")  # fmt: skip
        if answer.status != 200:
            raise repository.refused(answer, doing)
        yield _object(answer.body, what)
        following = _next(answer, url, what)
        if following is None:
            return
        if following.target in seen:
            raise _broken(f"{what} comes back to a page that was there before")
        seen.add(following.target)
        url = following


def _next(answer: Answer, url: Url, what: str) -> Url | None:
    """Where the list goes on (RFC 8288), None at its end."""
    match = _NEXT.search(answer.headers.get("link", "")[:_LINK_LIMIT])
    if match is None:
        return None
    following = url.join(match[1])
    if following.origin != url.origin:
        raise _broken(f"{what} goes on at another host, {following.host}")
    return following


def _object(body: bytes, what: str) -> dict[str, Any]:
    if len(body) > _PAGE_BYTES:
        raise _broken(f"a page of {what} is larger than {_PAGE_BYTES} bytes")
    if len(body) <= canonical.DOCUMENT_LIMIT:
        return canonical.load_object(body, what)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _broken(f"{what} is not a JSON object")
    return value


def _tags_in(fields: dict[str, Any], what: str) -> list[str]:
    page = fields.get("tags")
    if page is None:  # how some say that there are none
        return []
    if not isinstance(page, list) or not all(isinstance(tag, str) for tag in page):
        raise _broken(f"{what} is malformed")
    try:
        return [check_tag(tag) for tag in page]
    except InvalidInput as error:
        raise _broken(f"{what} has something that is no tag: {error.what}") from None


def _add(found: dict[Item, Value], page: dict[Item, Value], what: str, limit: int) -> None:
    found.update(page)
    if len(found) > limit:
        raise _broken(f"{what} has more than {limit} entries")


def _is_mute(answer: Answer) -> bool:
    return answer.status in _MUTE or (
        answer.status == 400 and "UNSUPPORTED" in errors.parse_errors(answer.body).codes
    )


def _broken(what: str) -> CorruptContent:
    return CorruptContent(what, "the registry or a proxy before it is broken; tell its administrator")
