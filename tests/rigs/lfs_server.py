"""A Git LFS server (batch API, basic transfers) that misbehaves on request."""

import base64
import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from tests.rigs.install import debian_packages
from tests.rigs.rig import Rig
from tests.rigs.web import QuietHandler, serving

KIND = "application/vnd.git-lfs+json"
MESSAGES = {401: "Credentials needed", 404: "Not found", 422: "Size mismatch", 429: "Slow down"}


def install() -> None:
    """Put git-lfs on the machine, the client to test with; the server needs nothing."""
    debian_packages("git-lfs")


class LfsRequest(NamedTuple):
    """One request: `operation` is what a batch asked for, upload or download; `oids` those that it named."""

    method: str
    path: str
    status: int
    operation: str = ""
    oids: tuple[str, ...] = ()


@dataclass
class Faults:
    """What to do wrong; may be changed at any time."""

    missing: set[str] = field(default_factory=set)  # A batch says 404 for these objects.
    refused: set[str] = field(default_factory=set)  # A batch says 422 for these.
    corrupt: set[str] = field(default_factory=set)  # Of these the content is wrong, at the right length.
    throttle: int = 0  # So many requests to come are answered 429,
    retry_after: int = 1  # with so many seconds in Retry-After.


class LfsServer(Rig):
    """A store at `url`, the endpoint for lfs.url: `objects` by oid, `requests` so far, `faults` to come.

    With LOGIN, a user and a password, it answers 401 to all others.
    """

    url: str

    def __init__(self, *, login: tuple[str, str] | None = None) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests: list[LfsRequest] = []
        self.faults = Faults()
        self._login = login

    @classmethod
    def install(cls) -> None:
        """Needs Python alone."""

    def _start(self, ending: ExitStack) -> None:
        self.url = f"http://{ending.enter_context(serving(partial(_Handler, self)))}/lfs"

    def add(self, content: bytes) -> str:
        """Store CONTENT; its oid."""
        oid = hashlib.sha256(content).hexdigest()
        self.objects[oid] = content
        return oid

    def admits(self, header: str) -> bool:
        """Whether an Authorization HEADER is that of the login."""
        return self._login is None or header == self._credentials()

    def _credentials(self) -> str:
        return "Basic " + base64.b64encode(":".join(self._login or ()).encode()).decode()

    def describe(self, operation: str, oid: str, size: int) -> dict[str, Any]:
        """What a batch says about one object: an action, an error, or nothing to do."""
        known = self.objects.get(oid)
        entry: dict[str, Any] = {"oid": oid, "size": size}
        if oid in self.faults.refused or (known is not None and len(known) != size):
            return entry | _error(422)
        if operation == "download" and (known is None or oid in self.faults.missing):
            return entry | _error(404)
        if operation == "upload" and known is not None:
            return entry
        action: dict[str, Any] = {"href": f"{self.url}/objects/{oid}"}
        if self._login is not None:
            action["header"] = {"Authorization": self._credentials()}
        return entry | {"actions": {operation: action}, "authenticated": True}

    def content(self, oid: str) -> bytes:
        """What a download of OID gives."""
        content = self.objects[oid]
        return bytes(byte ^ 1 for byte in content) if oid in self.faults.corrupt else content


class _Handler(QuietHandler):
    def __init__(self, rig: LfsServer, *connection: Any) -> None:
        self.rig = rig
        super().__init__(*connection)

    def do_POST(self) -> None:
        body = self.body()
        if self._turned_away():
            return None
        if not self.path.endswith("/objects/batch"):  # Locks, for one: git-lfs takes 404 for "not supported".
            return self._reply(404, _message(404))
        asked = json.loads(body)
        operation = asked["operation"]
        entries = [self.rig.describe(operation, entry["oid"], entry["size"]) for entry in asked["objects"]]
        oids = tuple(entry["oid"] for entry in entries)
        reply = {"transfer": "basic", "objects": entries, "hash_algo": "sha256"}
        record = LfsRequest("POST", self.path, 200, operation, oids)
        return self._reply(200, json.dumps(reply).encode(), record)

    def do_GET(self) -> None:
        if self._turned_away():
            return None
        oid = self.path.rpartition("/")[2]
        if oid not in self.rig.objects:
            return self._reply(404, _message(404))
        return self._reply(200, self.rig.content(oid), kind="application/octet-stream")

    def do_PUT(self) -> None:
        body = self.body()
        if self._turned_away():
            return None
        if hashlib.sha256(body).hexdigest() != self.path.rpartition("/")[2]:
            return self._reply(422, _message(422))
        self.rig.add(body)
        return self._reply(200, b"")

    def _turned_away(self) -> bool:
        """Whether the request has been answered already, by 401 or 429."""
        if not self.rig.admits(self.headers.get("Authorization", "")):
            self._reply(401, _message(401), LFS_Authenticate='Basic realm="rig"')
            return True
        if self.rig.faults.throttle > 0:
            self.rig.faults.throttle -= 1
            self._reply(429, _message(429), Retry_After=str(self.rig.faults.retry_after))
            return True
        return False

    def _reply(
        self, status: int, content: bytes, record: LfsRequest | None = None, kind: str = KIND, **headers: str
    ) -> None:
        self.rig.requests.append(record or LfsRequest(self.command, self.path, status))
        self.answer(status, content, kind, **headers)


def _error(status: int) -> dict[str, Any]:
    return {"error": {"code": status, "message": MESSAGES[status]}}


def _message(status: int) -> bytes:
    return json.dumps({"message": MESSAGES[status]}).encode()
