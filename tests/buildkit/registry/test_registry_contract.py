"""One contract for our client and every registry: the double, Debian's, go-containerregistry's."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from buildkit.endpoints import Action, Publication, Traffic
from buildkit.errors import AccessDenied, NotFound
from buildkit.image.manifest import Index
from tests.buildkit.registry.raw import Raw, everywhere, like_debian, rig
from tests.buildkit.registry.support import IMAGE, ONE, TWO, Client, at, blob, config, log_in, pulled, work
from tests.rigs.docker_registry import DockerRegistry, Login
from tests.rigs.fixtures import Start
from tests.rigs.token_server import TokenServer


@everywhere
def test_push_and_pull(client: Client, raw: Raw) -> None:
    reference = at(raw.host, raw.repository)

    client().sink(reference).publish(IMAGE)

    assert pulled(client(), reference)[1:] == [ONE, TWO]
    assert client().sink(reference).lookup("absent") is None


@everywhere
def test_pushing_again_sends_nothing(client: Client, raw: Raw) -> None:
    reference = at(raw.host, raw.repository)
    client().sink(reference).publish(IMAGE)

    receipt = client().sink(reference).publish(IMAGE)

    assert set(receipt.actions.values()) == {Action.REUSE}


@everywhere
def test_one_changed_layer_costs_seven_requests(client: Client, raw: Raw) -> None:
    sink, traffic = client().sink(at(raw.host, raw.repository)), Traffic()
    sink.publish(IMAGE)
    changed = work(blob(ONE), blob(raw.repository.encode()), text=raw.repository)

    sink = client(traffic=traffic).sink(at(raw.host, raw.repository))
    sink.publish(changed._replace(present=frozenset({IMAGE.blobs[0].digest})))

    assert traffic.requests == 7


@everywhere
def test_mounts_from_another_repository(client: Client, raw: Raw) -> None:
    layer = blob(raw.repository.encode(), origin=(raw.host, f"{raw.repository}/base"))
    client().sink(at(raw.host, f"{raw.repository}/base")).publish(work(layer._replace(origin=None)))

    receipt = client().sink(at(raw.host, raw.repository)).publish(work(layer))

    # go-containerregistry's registry keeps all blobs in one heap: there it is simply found.
    assert receipt.actions[layer.digest] in (Action.MOUNT, Action.REUSE)


@everywhere
def test_an_index(client: Client, raw: Raw) -> None:
    images = [work(blob(ONE), text="amd64"), work(blob(TWO), text="arm64")]
    index = Index.build([image.target.descriptor for image in images], {})
    blobs = tuple(part for image in images for part in image.blobs)
    publication = Publication((*(image.target for image in images), index), blobs, ("v1", "v2"))

    client().sink(at(raw.host, raw.repository)).publish(publication)

    source = client().source(at(raw.host, raw.repository, "v2"))
    assert source.document().digest == index.digest
    assert source.document(images[1].target.digest).raw == images[1].target.raw


@like_debian
def test_a_wrong_present_is_mended(client: Client, raw: Raw) -> None:
    """go-containerregistry's registry takes any manifest: there `present` must be right."""
    plan = work(blob(raw.repository.encode()), blob(raw.repository.encode() * 2), text=raw.repository)
    everything = frozenset(part.digest for part in plan.blobs)

    client().sink(at(raw.host, raw.repository)).publish(plan._replace(present=everything))

    assert len(pulled(client(), at(raw.host, raw.repository))) == 3


@everywhere
def test_a_missing_blob_is_not_found(client: Client, raw: Raw) -> None:
    with pytest.raises(NotFound):
        client().source(at(raw.host, raw.repository)).blob(config("nowhere").descriptor)


# Real logins


@rig
def test_debian_with_a_password(client: Client, start: Start, tmp_path: Path) -> None:
    login = Login("sam", "correct horse")
    registry = start(DockerRegistry(login=login))

    client(environ=log_in(tmp_path, registry.host, login)).sink(at(registry.host)).publish(IMAGE)

    with pytest.raises(AccessDenied, match="no credentials"):
        client().sink(at(registry.host)).lookup("v1")


@rig
def test_debian_with_tokens(client: Client, start: Start, tmp_path: Path) -> None:
    login = Login("sam", "correct horse")
    tokens = start(TokenServer(users={login.user: login.password}))
    registry = start(DockerRegistry(tokens=tokens))
    registries = client(environ=log_in(tmp_path, registry.host, login))
    registries.sink(at(registry.host, "bases/python")).publish(work(blob(ONE)))
    layer = blob(ONE, origin=(registry.host, "bases/python"))

    receipt = registries.sink(at(registry.host)).publish(work(layer))

    assert receipt.actions[layer.digest] is Action.MOUNT
    assert ("repository:team/app:pull,push", "repository:bases/python:pull") in [
        r.scopes for r in tokens.requests
    ]


# A real connection that breaks


class Cutter:
    """Passes connections on, and closes the first one that sends more than so many bytes."""

    def __init__(self, target: str, limit: int) -> None:
        self._target = target
        self._limit = limit
        self._cut = False
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.host = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Cutter:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        for sock in (self._server, *self._open):
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self._server.accept()
            except OSError:
                return
            name, _, port = self._target.partition(":")
            theirs = socket.create_connection((name, int(port)))
            self._open += [ours, theirs]
            for ends in ((ours, theirs, True), (theirs, ours, False)):
                threading.Thread(target=self._copy, args=ends, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        count = 0
        try:
            while data := source.recv(65536):
                target.sendall(data)
                count += len(data)
                if up and count > self._limit and not self._cut:
                    self._cut = True
                    target.shutdown(socket.SHUT_RDWR)
                    source.shutdown(socket.SHUT_RDWR)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@everywhere
@pytest.mark.parametrize("resume_above", [1_000_000, 100_000_000])
def test_a_connection_that_breaks_in_a_large_upload(client: Client, raw: Raw, resume_above: int) -> None:
    large = blob((raw.repository.encode() * 100_000)[:3_000_000])

    with Cutter(raw.host, 2_000_000) as cutter:
        sink = client(resume_above=resume_above, parallel=1).sink(at(cutter.host, raw.repository))
        sink.publish(work(large))

    assert pulled(client(), at(raw.host, raw.repository))[1] == large.open().read()
