"""The batch client against a server that behaves, and against servers that do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from buildkit.errors import (
    AccessDenied,
    CorruptContent,
    InvalidInput,
    NotFound,
    Refused,
    TreeshipError,
    Unavailable,
)
from buildkit.lfs.batch import BatchClient
from buildkit.lfs.credentials import Credentials
from buildkit.lfs.http import Http, HttpOptions
from buildkit.lfs.store import ObjectStore
from buildkit.registry.secret import Secret, basic
from tests.buildkit.lfs.support import Answer, Call, File, Scripted, file_of
from tests.rigs.fixtures import Start
from tests.rigs.lfs_server import LfsServer

CANARY = "canary-7c1f"


class Naps(list[float]):
    """Sleeps that take no time, and how long they would have been."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def cache(tmp_path: Path) -> ObjectStore:
    """Where content goes."""
    return ObjectStore(str(tmp_path / "cache"))


def nobody(_: str) -> Secret | None:
    """No credentials."""
    return None


def client(
    url: str, naps: Naps | None = None, credentials: Credentials = nobody, **options: Any
) -> BatchClient:
    """A client that does not wait."""
    return BatchClient(url, Http(HttpOptions(**options), Naps() if naps is None else naps), credentials)


def read(cache: ObjectStore, wanted: File) -> bytes:
    """What arrived."""
    with cache.open(wanted) as stream:
        return stream.read()


def fetched(url: str, cache: ObjectStore, content: bytes = b"content", **options: Any) -> bytes:
    """Fetch one object and read it."""
    wanted = file_of(content)
    client(url, **options).fetch([wanted], cache)
    return read(cache, wanted)


def test_content_arrives_verified_in_batches_of_a_hundred(lfs_server: LfsServer, cache: ObjectStore) -> None:
    contents = [b"content %d" % i for i in range(130)]
    for content in contents:
        lfs_server.add(content)
    client(lfs_server.url).fetch([file_of(content) for content in contents], cache)
    assert [read(cache, file_of(content)) for content in contents] == contents
    assert [len(call.oids) for call in lfs_server.requests if call.method == "POST"] == [100, 30]
    assert {call.operation for call in lfs_server.requests if call.method == "POST"} == {"download"}


def test_one_object_at_two_paths_is_downloaded_once(lfs_server: LfsServer, cache: ObjectStore) -> None:
    lfs_server.add(b"content")
    twins = [file_of(b"content", b"a"), file_of(b"content", b"b")]
    client(lfs_server.url).fetch(twins, cache)
    assert [call.method for call in lfs_server.requests] == ["POST", "GET"]


def test_a_missing_object_is_an_error_with_path_oid_and_remedy(
    lfs_server: LfsServer, cache: ObjectStore
) -> None:
    lfs_server.add(b"here")
    absent = file_of(b"absent", b"models/absent.bin")
    with pytest.raises(NotFound) as caught:
        client(lfs_server.url).fetch([file_of(b"here"), absent], cache)
    assert all(word in caught.value.what for word in ("models/absent.bin", absent.oid, "127.0.0.1"))
    assert all(word in caught.value.remedy for word in ("git lfs push --all", "lfs.url", "lfs.include"))


def test_a_refused_object_is_named(lfs_server: LfsServer, cache: ObjectStore) -> None:
    wanted = file_of(b"content")
    lfs_server.faults.refused.add(wanted.oid)
    with pytest.raises(InvalidInput, match=rf"models/a\.bin.*{wanted.oid}.*422"):
        client(lfs_server.url).fetch([wanted], cache)


def test_wrong_content_is_refused_and_not_kept(lfs_server: LfsServer, cache: ObjectStore) -> None:
    wanted = file_of(b"content")
    lfs_server.faults.corrupt.add(lfs_server.add(b"content"))
    with pytest.raises(CorruptContent, match=wanted.oid):
        client(lfs_server.url).fetch([wanted], cache)
    assert not cache.has(wanted)


def test_a_busy_server_is_waited_for_as_long_as_it_says(lfs_server: LfsServer, cache: ObjectStore) -> None:
    naps = Naps()
    wanted = file_of(b"content")
    lfs_server.add(b"content")
    lfs_server.faults.throttle, lfs_server.faults.retry_after = 3, 7
    client(lfs_server.url, naps).fetch([wanted], cache)
    assert naps == [7, 7, 7]


def test_but_not_for_ever(lfs_server: LfsServer, cache: ObjectStore) -> None:
    naps = Naps()
    lfs_server.faults.throttle, lfs_server.faults.retry_after = 1000, 100_000
    with pytest.raises(Unavailable, match="429"):
        client(lfs_server.url, naps, attempts=3).fetch([file_of(b"content")], cache)
    assert naps == [60, 60]


def test_credentials_are_shown_when_the_server_asks(start: Start, cache: ObjectStore) -> None:
    server = start(LfsServer(login=("me", CANARY)))
    server.add(b"content")
    assert fetched(server.url, cache, credentials=lambda _: basic("me", CANARY)) == b"content"
    assert [call.status for call in server.requests if call.method == "POST"] == [401, 200]


def test_credentials_of_the_url_are_shown_at_once(start: Start, cache: ObjectStore) -> None:
    server = start(LfsServer(login=("me", CANARY + "/:@")))
    server.add(b"content")
    url = server.url.replace("://", f"://me:{CANARY}%2F%3A%40@")
    assert fetched(url, cache) == b"content"
    assert {call.status for call in server.requests} == {200}


@pytest.mark.parametrize(
    ("known", "hint"), [(None, "netrc"), (basic("me", CANARY + "x"), "check these credentials")]
)
def test_without_the_right_ones_it_is_denied(
    start: Start, cache: ObjectStore, known: Secret | None, hint: str
) -> None:
    server = start(LfsServer(login=("me", CANARY)))
    with pytest.raises(AccessDenied) as caught:
        fetched(server.url, cache, credentials=lambda _: known)
    assert hint in caught.value.remedy
    assert CANARY not in str(caught.value)


# From here on: servers that do not behave.

Reply = Callable[[Call], Answer]


def granting(href: str, **more: Any) -> Answer:
    """A batch answer that sends the client to `href`."""
    wanted = file_of(b"content")
    action = {"href": href, **more}
    return batch({"oid": wanted.oid, "size": wanted.size, "actions": {"download": action}})


def batch(*objects: dict[str, Any], status: int = 200) -> Answer:
    """A batch answer."""
    return Answer(status, json.dumps({"objects": objects, "transfer": "basic"}).encode())


@pytest.fixture
def scripted() -> Iterator[Callable[[Reply], Scripted]]:
    """Starts servers that answer as they are told."""
    running: list[Scripted] = []

    def start(reply: Reply) -> Scripted:
        running.append(Scripted(reply).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


Script = Callable[[Reply], Scripted]


def test_an_action_s_own_headers_are_sent_and_our_credentials_only_to_our_server(
    scripted: Script, cache: ObjectStore
) -> None:
    storage = scripted(lambda call: Answer(content=b"content"))
    api = scripted(lambda call: granting(f"{storage.url}/o?signature={CANARY}", header={"X-Token": "t"}))
    assert fetched(api.url.replace("://", "://me:secret@"), cache) == b"content"
    assert "Authorization" in api.calls[0].headers
    assert storage.calls[0].headers["X-Token"] == "t"
    assert "Authorization" not in storage.calls[0].headers


def test_an_action_s_own_authorization_wins(scripted: Script, cache: ObjectStore) -> None:
    def reply(call: Call) -> Answer:
        own = {"Authorization": "Bearer token"}
        return (
            granting(f"{server.url}/o", header=own) if call.method == "POST" else Answer(content=b"content")
        )

    server = scripted(reply)
    assert fetched(server.url.replace("://", "://me:secret@"), cache) == b"content"
    assert server.calls[1].headers["Authorization"] == "Bearer token"


def test_a_redirect_to_another_server_takes_neither_credentials_nor_headers_along(
    scripted: Script, cache: ObjectStore
) -> None:
    elsewhere = scripted(lambda call: Answer(content=b"content"))

    def reply(call: Call) -> Answer:
        if call.method == "POST":
            return granting(f"{server.url}/o", header={"X-Token": "t"})
        return Answer(302, headers={"Location": f"{elsewhere.url}/o"})

    server = scripted(reply)
    assert fetched(server.url.replace("://", "://me:secret@"), cache) == b"content"
    assert {"Authorization", "X-Token"} <= server.calls[1].headers.keys()
    assert not {"Authorization", "X-Token"} & elsewhere.calls[0].headers.keys()


def test_a_batch_request_follows_redirects_with_its_body(scripted: Script, cache: ObjectStore) -> None:
    def reply(call: Call) -> Answer:
        if call.path == "/objects/batch":
            return Answer(307, headers={"Location": "/new/objects/batch"})
        return granting(f"{server.url}/o") if call.method == "POST" else Answer(content=b"content")

    server = scripted(reply)
    assert fetched(server.url, cache) == b"content"
    assert server.calls[1].body == server.calls[0].body != b""


def test_redirects_end(scripted: Script, cache: ObjectStore) -> None:
    server = scripted(lambda call: Answer(302, headers={"Location": "/again"}))
    with pytest.raises(InvalidInput, match="redirects without end"):
        fetched(server.url, cache)
    assert len(server.calls) == 6


@pytest.mark.parametrize("stale", [{"expires_in": 1}, {"expires_at": "2020-01-01T00:00:00Z"}])
def test_an_action_that_has_expired_is_asked_for_again(
    scripted: Script, cache: ObjectStore, stale: dict[str, Any]
) -> None:
    answers = iter([stale, {"expires_in": 3600}])
    server = scripted(
        lambda call: (
            granting(f"{server.url}/o", **next(answers))
            if call.method == "POST"
            else Answer(content=b"content")
        )
    )
    seconds = iter(range(0, 10_000, 100))
    wanted = file_of(b"content")
    BatchClient(server.url, Http(HttpOptions(), Naps()), nobody, clock=lambda: float(next(seconds))).fetch(
        [wanted], cache
    )
    assert [call.method for call in server.calls] == ["POST", "POST", "GET"]


def test_so_is_one_that_the_storage_takes_for_expired(scripted: Script, cache: ObjectStore) -> None:
    answers = iter([Answer(403), Answer(content=b"content")])
    server = scripted(lambda call: granting(f"{server.url}/o") if call.method == "POST" else next(answers))
    assert fetched(server.url, cache) == b"content"
    assert [call.method for call in server.calls] == ["POST", "GET", "POST", "GET"]


def test_a_year_that_means_never_is_no_expiry(scripted: Script, cache: ObjectStore) -> None:
    never = {"expires_at": "0001-01-01T00:00:00Z", "expires_in": 0}
    server = scripted(
        lambda call: (
            granting(f"{server.url}/o", **never) if call.method == "POST" else Answer(content=b"content")
        )
    )
    assert fetched(server.url, cache) == b"content"
    assert len(server.calls) == 2


def test_a_download_that_breaks_off_is_tried_again(scripted: Script, cache: ObjectStore) -> None:
    answers = iter(
        [Answer(content=b"content", cut=3), Answer(503), Answer(content=b"cont"), Answer(content=b"content")]
    )
    server = scripted(lambda call: granting(f"{server.url}/o") if call.method == "POST" else next(answers))
    assert fetched(server.url, cache) == b"content"


def test_a_download_without_end_is_cut_off(scripted: Script, cache: ObjectStore) -> None:
    server = scripted(
        lambda call: (
            granting(f"{server.url}/o") if call.method == "POST" else Answer(content=b"content" * 1000)
        )
    )
    with pytest.raises(CorruptContent, match="more than 7 bytes"):
        fetched(server.url, cache)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer(404), NotFound, "no LFS server at"),
        (Answer(200, b"<html>"), InvalidInput, "not as an LFS server does"),
        (Answer(200, b"[" * 100_000), InvalidInput, "not as an LFS server does"),
        (Answer(200, b'{"objects": {}}'), InvalidInput, "not as an LFS server does"),
        (Answer(200, b'{"objects": [], "transfer": "tus"}'), InvalidInput, "not as an LFS server does"),
        (Answer(200, b" " * (5 << 20)), CorruptContent, "answers without end"),
        (Answer(403), AccessDenied, "403"),
        (Answer(500), Unavailable, "500"),
        (batch(), NotFound, "does not have the content of"),
        (batch({"oid": 7}), NotFound, "does not have the content of"),
        (batch({"oid": file_of(b"content").oid}), NotFound, "does not have the content of"),
        (
            batch({"oid": file_of(b"content").oid, "error": {"code": 404}}, status=404),
            NotFound,
            "does not have",
        ),
        (batch({"oid": file_of(b"content").oid, "error": {"code": 410}}), NotFound, "does not have"),
        (batch({"oid": file_of(b"content").oid, "error": {"code": 422}}, status=422), InvalidInput, "422"),
        (granting("ftp://127.0.0.1/x"), Refused, "not https"),
        (granting("http://storage.example/x"), Refused, "not https"),
        (granting("http://127.0.0.1:1/x", header={"X": "a\r\nY: b"}), InvalidInput, "malformed"),
        (granting("http://[::1/x"), InvalidInput, "malformed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_answers_that_are_no_help(
    scripted: Script, cache: ObjectStore, answer: Answer, kind: type[TreeshipError], words: str
) -> None:
    server = scripted(lambda call: answer)
    with pytest.raises(kind, match=words):
        fetched(server.url, cache)


def test_nobody_there(cache: ObjectStore) -> None:
    with pytest.raises(Unavailable, match=r"the connection to http://127\.0\.0\.1:1/objects/batch failed"):
        fetched(f"http://me:{CANARY}@127.0.0.1:1", cache, attempts=2)


def test_plain_http_only_where_it_is_allowed(cache: ObjectStore) -> None:
    with pytest.raises(Refused, match="not https"):
        fetched("http://lfs.invalid/x", cache)
    with pytest.raises(Unavailable):
        fetched("http://lfs.invalid/x", cache, insecure=frozenset({"lfs.invalid"}), attempts=1)


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_no_error_shows_a_signature(scripted: Script, cache: ObjectStore, status: int) -> None:
    href = f"/o?signature={CANARY}"
    server = scripted(lambda call: granting(server.url + href) if call.method == "POST" else Answer(status))
    with pytest.raises(TreeshipError) as caught:
        fetched(server.url, cache, attempts=2)
    assert CANARY not in str(caught.value)
