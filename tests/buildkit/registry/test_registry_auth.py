"""Logging in: what a registry asks for, what it is sent, and what nobody is ever sent."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from buildkit.endpoints import Action
from buildkit.errors import AccessDenied, CorruptContent, InvalidInput, Unavailable
from buildkit.testing.registry import Password, Tokens, faults
from tests.buildkit.registry.support import (
    IMAGE,
    ONE,
    TWO,
    Client,
    FastClock,
    Serve,
    at,
    blob,
    holds,
    pulled,
    work,
)

USER, PASSWORD = "sam", "correct horse"


def log_in(
    folder: Path, host: str, username: str = USER, password: str = PASSWORD, **more: Any
) -> dict[str, str]:
    """A Docker config for one host; the environment that points to it."""
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth, **more}}}))
    return {"DOCKER_CONFIG": str(folder)}


# Basic


def test_a_password_is_sent_when_asked_for(client: Client, serve: Serve, tmp_path: Path) -> None:
    registry = serve(access=Password(USER, PASSWORD))

    client(environ=log_in(tmp_path, registry.host)).sink(at(registry.host)).publish(IMAGE)

    assert holds(registry)
    assert not registry.log[0].authorized


def test_a_wrong_password_is_sent_once(client: Client, serve: Serve, tmp_path: Path) -> None:
    registry = serve(access=Password(USER, PASSWORD))
    environ = log_in(tmp_path, registry.host, password="wrong")

    with pytest.raises(AccessDenied, match="team/app:pull,push") as caught:
        client(environ=environ).sink(at(registry.host)).lookup("v1")

    assert f"docker login {registry.host}" in caught.value.remedy
    assert len(registry.log) == 2


def test_without_credentials_the_error_says_so(client: Client, serve: Serve) -> None:
    registry = serve(access=Password(USER, PASSWORD))

    with pytest.raises(AccessDenied, match="no credentials are known"):
        client().source(at(registry.host)).document()


# Tokens


def test_one_token_serves_a_whole_push(client: Client, serve: Serve, tmp_path: Path) -> None:
    registry = serve(access=Tokens(USER, PASSWORD))

    client(environ=log_in(tmp_path, registry.host)).sink(at(registry.host)).publish(IMAGE)

    assert holds(registry)
    assert registry.count("GET token") == 1


def test_anonymous_tokens_are_taken(client: Client, serve: Serve) -> None:
    registry = serve(access=Tokens())

    client().sink(at(registry.host)).publish(IMAGE)

    assert pulled(client(), at(registry.host))[1:] == [ONE, TWO]


@pytest.mark.parametrize(
    ("field", "says"), [("token", False), ("access_token", True), ("access_token", False)]
)
def test_tokens_come_in_several_words(client: Client, serve: Serve, field: str, says: bool) -> None:
    registry = serve(access=Tokens(field=field, says_seconds=says))

    client().sink(at(registry.host)).publish(IMAGE)

    assert holds(registry)


def test_a_token_without_a_life_lasts_less_than_a_minute(
    client: Client, serve: Serve, clock: FastClock
) -> None:
    registry = serve(access=Tokens(says_seconds=False))
    source = client().source(at(registry.host))
    for _ in range(2):
        assert source_misses(source)
    assert registry.count("GET token") == 1

    clock.sleep(55)

    assert source_misses(source)
    assert registry.count("GET token") == 2
    # The new one was fetched before the old one could be refused.
    assert [entry.status for entry in registry.log].count(401) == 1


def source_misses(source: Any) -> bool:
    from buildkit.errors import NotFound

    with pytest.raises(NotFound):
        source.document()
    return True


@pytest.mark.parametrize("parallel", [1, 6])
def test_tokens_for_one_request_are_enough(client: Client, serve: Serve, parallel: int) -> None:
    registry = serve(access=Tokens(uses=1))
    layers = [blob(bytes([n]) * 500_000) for n in range(8)]

    client(parallel=parallel).sink(at(registry.host)).publish(work(*layers))

    assert registry.store.repository("team/app").tags.keys() == {"v1"}


def test_a_token_that_ends_in_the_middle_of_an_upload_is_renewed(client: Client, serve: Serve) -> None:
    registry = serve(access=Tokens(uses=2))  # HEAD, POST; and then the bytes

    client(parallel=1).sink(at(registry.host)).publish(work(blob(b"z" * 2_000_000)))

    refused = [entry.verb for entry in registry.log if entry.status == 401]
    assert "PUT upload" in refused


def test_a_mount_asks_for_both_repositories_in_one_token(client: Client, serve: Serve) -> None:
    registry = serve(access=Tokens())
    registry.store.add_blob("bases/python", ONE)
    layer = blob(ONE, origin=(registry.host, "bases/python"))

    receipt = client(parallel=1).sink(at(registry.host)).publish(work(layer))

    assert receipt.actions[layer.digest] is Action.MOUNT
    asked = [entry.path for entry in registry.log if entry.verb == "GET token"]
    assert asked[-1].count("scope=") == 2


def test_where_only_the_first_scope_counts_the_blob_is_sent(client: Client, serve: Serve) -> None:
    registry = serve(access=Tokens(first_scope_only=True))
    registry.store.add_blob("bases/python", ONE)
    layer = blob(ONE, origin=(registry.host, "bases/python"))

    receipt = client().sink(at(registry.host)).publish(work(layer))

    assert receipt.actions[layer.digest] is Action.PUSH


def test_an_identity_token_is_exchanged(client: Client, serve: Serve, tmp_path: Path) -> None:
    registry = serve(access=Tokens(identity="identity-of-sam"))
    environ = log_in(tmp_path, registry.host, "<token>", "", identitytoken="identity-of-sam")

    client(environ=environ).sink(at(registry.host)).publish(IMAGE)

    assert holds(registry)
    assert registry.count("POST token") == 1
    assert not any("identity" in entry.path for entry in registry.log)


def test_wrong_credentials_for_a_token_are_access_denied(
    client: Client, serve: Serve, tmp_path: Path
) -> None:
    registry = serve(access=Tokens(USER, PASSWORD))

    with pytest.raises(AccessDenied, match="incorrect username or password"):
        client(environ=log_in(tmp_path, registry.host, password="wrong")).sink(at(registry.host)).publish(
            IMAGE
        )


def test_a_repository_that_is_not_granted_is_access_denied(client: Client, serve: Serve) -> None:
    registry = serve(access=Tokens(private=frozenset({"team/app"})))

    with pytest.raises(AccessDenied, match="team/app:pull,push"):
        client().sink(at(registry.host)).publish(IMAGE)

    assert len(registry.log) < 40


def test_a_realm_in_trouble_is_unavailable(client: Client, serve: Serve) -> None:
    registry = serve(access=Tokens(), faults=[faults.Status(503, "GET token")])

    with pytest.raises(Unavailable, match="logs in to"):
        client().sink(at(registry.host)).publish(IMAGE)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"token": 3}', b'{"token": "a\\nb"}', b'{"token": ""}', b"[" * 9999]
)
def test_a_token_that_is_none_is_corrupt(client: Client, serve: Serve, body: bytes) -> None:
    registry = serve(access=Tokens(), faults=[faults.Status(200, "GET token", body=body)])

    with pytest.raises(CorruptContent, match="no usable token"):
        client().sink(at(registry.host)).publish(IMAGE)


# Where credentials do not go


@pytest.mark.parametrize(
    "realm",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/",
        "https://[fe80::1]/token",
        "https://[fd00:ec2::254]/token",
        "https://[::ffff:169.254.169.254]/token",
        "https://0xa9fea9fe/token",
        "https://metadata.google.internal/token",
    ],
)
def test_a_link_local_realm_is_refused(client: Client, serve: Serve, tmp_path: Path, realm: str) -> None:
    registry = serve(access=Tokens(USER, PASSWORD, realm=realm))

    with pytest.raises(InvalidInput, match="link-local or metadata"):
        client(environ=log_in(tmp_path, registry.host)).sink(at(registry.host)).publish(IMAGE)


def test_a_plain_http_realm_elsewhere_is_refused(client: Client, serve: Serve, tmp_path: Path) -> None:
    registry = serve(access=Tokens(USER, PASSWORD, realm="http://login.example/token"))

    with pytest.raises(InvalidInput, match="plain HTTP"):
        client(environ=log_in(tmp_path, registry.host)).sink(at(registry.host)).publish(IMAGE)


@pytest.mark.parametrize("realm", ["ftp://login.example/", "//login.example", "nonsense", "https://a b/"])
def test_a_realm_that_is_no_url_is_refused(client: Client, serve: Serve, realm: str) -> None:
    registry = serve(access=Tokens(realm=realm))

    with pytest.raises(InvalidInput, match="no http"):
        client().sink(at(registry.host)).publish(IMAGE)


def test_storage_elsewhere_gets_no_authorization(client: Client, serve: Serve, tmp_path: Path) -> None:
    storage = serve()
    registry = serve(access=Password(USER, PASSWORD), faults=[faults.RedirectBlobs(storage.host)])
    storage.store.blobs = registry.store.blobs
    storage.store.repositories = registry.store.repositories
    registries = client(environ=log_in(tmp_path, registry.host))
    registries.sink(at(registry.host)).publish(IMAGE)

    assert pulled(registries, at(registry.host))[1:] == [ONE, TWO]
    assert storage.log
    assert not any(entry.authorized for entry in storage.log)


def test_credentials_of_one_host_are_not_for_another(client: Client, serve: Serve, tmp_path: Path) -> None:
    mine, other = serve(access=Password(USER, PASSWORD)), serve(access=Password(USER, PASSWORD))
    registries = client(environ=log_in(tmp_path, mine.host))
    registries.sink(at(mine.host)).publish(IMAGE)

    with pytest.raises(AccessDenied):
        registries.sink(at(other.host)).publish(IMAGE)

    assert not any(entry.authorized for entry in other.log)


def test_the_process_environment_is_the_default(
    monkeypatch: pytest.MonkeyPatch, serve: Serve, tmp_path: Path
) -> None:
    from buildkit.registry import Registries

    registry = serve(access=Password(USER, PASSWORD))
    monkeypatch.setitem(os.environ, "DOCKER_CONFIG", log_in(tmp_path, registry.host)["DOCKER_CONFIG"])

    with Registries() as registries:
        registries.sink(at(registry.host)).publish(IMAGE)

    assert holds(registry)
