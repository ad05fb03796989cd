"""A canary in every place where a secret may be, and every way a push may fail: it is never seen."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import Iterable
from pathlib import Path

import pytest

from buildkit.errors import TreeshipError
from buildkit.registry import Registries
from buildkit.testing.registry import InProcessRegistry, Password, Tokens, faults
from buildkit.testing.registry.faults import Fault
from tests.buildkit.registry.support import IMAGE, Client, Serve, at

CANARY = "canary-8c2e"


def logged_in(folder: Path, host: str, **entry: str) -> dict[str, str]:
    auth = base64.b64encode(f"sam:{CANARY}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: entry or {"auth": auth}}}))
    return {"DOCKER_CONFIG": str(folder)}


def spellings() -> Iterable[str]:
    """The canary itself, and as Basic authentication carries it."""
    yield CANARY
    yield base64.b64encode(f"sam:{CANARY}".encode()).decode()


def told(error: BaseException) -> str:
    """Everything that a log or a terminal could show of an error, its causes too."""
    parts = ["".join(traceback.format_exception(error))]
    link: BaseException | None = error
    while link is not None:
        parts += [str(link), repr(link), repr(vars(link))]
        link = link.__cause__ or link.__context__
    return "\n".join(parts)


def failing(registries: Registries, registry: InProcessRegistry) -> str:
    with pytest.raises(TreeshipError) as caught:
        registries.sink(at(registry.host)).publish(IMAGE)
    return told(caught.value)


FAILURES = [
    [faults.Status(403, "POST uploads")],
    [faults.Status(500)],
    [faults.DropBefore()],
    [faults.DropInBody(10, times=faults.ALWAYS)],
    [faults.Status(401, "PUT upload")],
    [faults.RedirectBlobs("storage.example", query=f"signature={CANARY}")],
    [faults.Status(400, "POST uploads", body=b'{"errors":[{"code":"X","message":"http://u:%s@h/?%s"}]}'
                   % (CANARY.encode(), CANARY.encode()))],
]  # fmt: skip


@pytest.mark.parametrize("misbehaviour", FAILURES)
@pytest.mark.parametrize("access", [Password("sam", CANARY), Tokens("sam", CANARY)])
def test_no_failure_shows_the_password(
    client: Client,
    serve: Serve,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    access: Password | Tokens,
    misbehaviour: list[Fault],
) -> None:
    caplog.set_level(logging.DEBUG)
    registry = serve(access=access, faults=misbehaviour)
    if any(isinstance(fault, faults.RedirectBlobs) for fault in misbehaviour):
        for part in IMAGE.blobs:
            registry.store.add_blob("team/app", part.open().read())

    shown = failing(client(environ=logged_in(tmp_path, registry.host), retries=1), registry)

    assert not [text for text in spellings() if text in shown + caplog.text]


def test_no_failure_shows_a_token(client: Client, serve: Serve, tmp_path: Path) -> None:
    registry = serve(access=Tokens(identity="other"))
    environ = logged_in(tmp_path, registry.host, identitytoken=CANARY)

    assert CANARY not in failing(client(environ=environ), registry)


def test_no_failure_shows_a_ready_token(client: Client, serve: Serve, tmp_path: Path) -> None:
    registry = serve(access=Tokens())
    environ = logged_in(tmp_path, registry.host, registrytoken=CANARY)

    assert CANARY not in failing(client(environ=environ), registry)


def test_a_token_answer_is_not_quoted(client: Client, serve: Serve) -> None:
    body = json.dumps({"token": f"{CANARY}\n"}).encode()
    registry = serve(access=Tokens(), faults=[faults.Status(200, "GET token", body=body)])

    assert CANARY not in failing(client(), registry)


def test_nothing_that_a_client_holds_shows_it(client: Client, serve: Serve, tmp_path: Path) -> None:
    registry = serve(access=Tokens("sam", CANARY))
    registries = client(environ=logged_in(tmp_path, registry.host))
    registries.sink(at(registry.host)).publish(IMAGE)

    seen, waiting = set(), [registries]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or not type(item).__module__.startswith(("buildkit", "builtins")):
            continue
        seen.add(id(item))
        assert CANARY not in repr(item)
        waiting += [*vars(item).values()] if hasattr(item, "__dict__") else []
        waiting += [*item.values()] if isinstance(item, dict) else []


def test_the_password_goes_to_the_realm_and_the_token_to_the_registry(
    client: Client, serve: Serve, tmp_path: Path
) -> None:
    registry = serve(access=Tokens("sam", CANARY))

    client(environ=logged_in(tmp_path, registry.host)).sink(at(registry.host)).publish(IMAGE)

    for entry in registry.log:
        sent = entry.headers.get("authorization", "")
        assert sent.startswith("Basic ") is (entry.verb == "GET token")
        assert CANARY not in entry.path
