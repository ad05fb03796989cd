"""Downloads by the batch API (git-lfs: docs/api/batch.md and docs/api/basic-transfers.md)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple

import requests

from buildkit.errors import AccessDenied, CorruptContent, InvalidInput, NotFound, TreeshipError
from buildkit.lfs.credentials import Credentials, split_userinfo
from buildkit.lfs.http import Http, Request, Transient, denied, joined, same_origin, shown
from buildkit.lfs.store import ObjectStore, Wanted, name_of

_TYPE = "application/vnd.git-lfs+json"
_PER_REQUEST = 100  # as git-lfs asks (tq/transfer_queue.go)
_ANSWER_LIMIT = 4 << 20
_MISSING = "`git lfs push --all` from a clone that has it, set lfs.url to another server, or drop it from lfs.include"


class Action(NamedTuple):
    """How to download one object; not after `expires` (seconds of the client's clock)."""

    href: str
    headers: Mapping[str, str]
    expires: float


class BatchClient:
    """One endpoint. `credentials` are asked when it wants some, and shown to its own origin only."""

    def __init__(
        self, url: str, http: Http, credentials: Credentials, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url, self._secret = split_userinfo(joined(url, ""))
        self._http = http
        self._credentials = credentials
        self._clock = clock

    def fetch(self, wanted: Sequence[Wanted], into: ObjectStore) -> None:
        """Download all of these, verified. Raises NotFound naming the files whose content is not there."""
        with ThreadPoolExecutor(self._http.options.jobs, "lfs") as pool:
            each = list({item.oid: item for item in wanted}.values())
            for start in range(0, len(each), _PER_REQUEST):
                batch = each[start : start + _PER_REQUEST]
                actions = self._ask(batch)
                jobs = [pool.submit(self._download, item, actions[item.oid], into) for item in batch]
                _finish(jobs)

    def _download(self, wanted: Wanted, action: Action, into: ObjectStore) -> None:
        current = action

        def attempt() -> None:
            nonlocal current
            if self._clock() >= current.expires:
                current = self._ask([wanted])[wanted.oid]
            try:
                self._transfer(wanted, current, into)
            except AccessDenied:
                # Signed addresses are refused once they are too old, whatever was said of their life.
                current = self._ask([wanted])[wanted.oid]
                self._transfer(wanted, current, into)

        self._http.persistently(attempt)

    def _transfer(self, wanted: Wanted, action: Action, into: ObjectStore) -> None:
        named = {name.lower() for name in action.headers}
        own = same_origin(action.href, self._url) and "authorization" not in named
        secret = self._secret if own else None
        with self._http.send(Request("GET", action.href, action.headers, secret=secret)) as response:
            if response.status_code in (401, 403):
                raise denied(response.status_code, action.href, asked=bool(secret))
            if response.status_code in (404, 410):
                raise _missing([wanted], shown(action.href))
            if response.status_code != 200:
                fault = f"{name_of(wanted)}: {shown(action.href)} answered {response.status_code}"
                raise InvalidInput(fault, "tell the administrator of the LFS server")
            into.receive(wanted, self._whole(wanted, response, action.href))

    def _whole(self, wanted: Wanted, response: requests.Response, url: str) -> Iterable[bytes]:
        """The body; an end that comes too early is a lost connection, not another content."""
        count = 0
        for chunk in self._http.chunks(response, url):
            count += len(chunk)
            yield chunk
        if count < wanted.size:
            raise Transient(f"{shown(url)} broke off after {count} of {wanted.size} bytes")

    def _ask(self, batch: Sequence[Wanted]) -> dict[str, Action]:
        """The download action of each object."""
        objects = [{"oid": item.oid, "size": item.size} for item in batch]
        question = {
            "operation": "download",
            "transfers": ["basic"],
            "objects": objects,
            "hash_algo": "sha256",
        }
        found = {entry["oid"]: entry for entry in self._post(json.dumps(question).encode())}
        actions: dict[str, Action] = {}
        absent: list[Wanted] = []
        for item in batch:
            action = self._action(item, found.get(item.oid, {}))
            if action:
                actions[item.oid] = action
            else:
                absent.append(item)
        if absent:
            raise _missing(absent, shown(self._url))
        return actions

    def _action(self, item: Wanted, entry: Mapping[str, Any]) -> Action | None:
        """None where the server does not have the object; InvalidInput for any other complaint about it."""
        error = entry.get("error")
        if isinstance(error, dict) and error.get("code") not in (404, 410):
            code = error.get("code")
            fault = (
                f"{name_of(item)}: {shown(self._url)} answers {code if isinstance(code, int) else 'an error'}"
            )
            raise InvalidInput(
                fault, "the pointer or the server's record is wrong: `git lfs fsck` tells more"
            )
        actions = entry.get("actions")
        action = actions.get("download") if isinstance(actions, dict) and not error else None
        if not isinstance(action, dict) or not isinstance(action.get("href"), str):
            return None
        headers = action.get("header")
        given = headers.items() if isinstance(headers, dict) else ()
        kept = {str(name): str(value) for name, value in given}
        return Action(joined(self._url, action["href"]), kept, self._expiry(action))

    def _expiry(self, action: Mapping[str, Any]) -> float:
        seconds, instant = action.get("expires_in"), action.get("expires_at")
        if isinstance(seconds, int) and seconds > 0:
            return self._clock() + seconds
        try:
            at = datetime.fromisoformat(instant) if isinstance(instant, str) else None
        except ValueError:
            at = None
        # A year before 2000 is how some servers say "never".
        if at is None or at.year < 2000:
            return float("inf")
        return self._clock() + (at.astimezone(UTC) - datetime.now(UTC)).total_seconds()

    def _post(self, question: bytes) -> list[dict[str, Any]]:
        """The `objects` of the answer."""
        status, body = self._http.persistently(lambda: self._exchange(question))
        if status == 401 and not self._secret:
            self._secret = self._credentials(self._url)
            if self._secret:
                status, body = self._http.persistently(lambda: self._exchange(question))
        if status in (401, 403):
            raise denied(status, self._url, asked=bool(self._secret))
        objects = _objects(body)
        # Some servers answer 404 or 422 to the whole where they have to say it of every object.
        if objects is None or (status != 200 and not objects):
            raise self._useless(status)
        return objects

    def _exchange(self, question: bytes) -> tuple[int, bytes]:
        url = f"{self._url}/objects/batch"
        headers = {"Accept": _TYPE, "Content-Type": _TYPE}
        with self._http.send(Request("POST", url, headers, question, self._secret)) as response:
            body = b""
            for chunk in self._http.chunks(response, url):
                body += chunk
                if len(body) > _ANSWER_LIMIT:
                    raise CorruptContent(f"{shown(url)} answers without end", "check the setting lfs.url")
            return response.status_code, body

    def _useless(self, status: int) -> TreeshipError:
        where = shown(self._url)
        if status == 404:
            return NotFound(
                f"no LFS server at {where}", "name the right one with --lfs-url or the setting lfs.url"
            )
        return InvalidInput(
            f"{where} answered {status}, not as an LFS server does", "check the setting lfs.url"
        )


def _objects(body: bytes) -> list[dict[str, Any]] | None:
    """None for what is no answer of the batch API."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    objects = answer.get("objects") if isinstance(answer, dict) else None
    if not isinstance(objects, list) or answer.get("transfer", "basic") != "basic":
        return None
    return [entry for entry in objects if isinstance(entry, dict) and isinstance(entry.get("oid"), str)]


def _missing(items: Sequence[Wanted], where: str) -> NotFound:
    names = ", ".join(name_of(item) for item in items[:3])
    more = f" and {len(items) - 3} more" if len(items) > 3 else ""
    return NotFound(f"{where} does not have the content of {names}{more}", _MISSING)


def _finish(jobs: Sequence[Any]) -> None:
    """Wait for all; the first error is raised, and what has not begun is dropped."""
    try:
        for job in jobs:
            job.result()
    finally:
        for job in jobs:
            job.cancel()
