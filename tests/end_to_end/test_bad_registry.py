"""Registries that refuse, lie, redirect or do not answer, and what they may say in place of a base."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from buildkit.image import media
from buildkit.image.descriptor import Descriptor
from buildkit.image.manifest import Manifest
from buildkit.testing.registry import InProcessRegistry, Password, faults
from buildkit.testing.registry.exchange import Exchange, Reply
from buildkit.testing.registry.store import Store
from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end.complaints import FILES, complains
from tests.end_to_end.helpers import Treeship, build_words
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.fixtures import Start


@pytest.fixture
def made(repository: ThrowAwayRepository) -> ThrowAwayRepository:
    """A repository with one plain commit."""
    repository.commit(FILES)
    return repository


class Answering(NamedTuple):
    """How a registry misbehaves, and what is said of it."""

    fault: Callable[[], faults.Fault]
    code: int
    says: tuple[str, ...]


class Redirects(faults.Fault):
    """Sends all reading requests elsewhere."""

    def __init__(self, location: str, verb: str = "") -> None:
        super().__init__(verb)
        self._location = location

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        """The redirect."""
        return Reply(307, {"location": self._location}) if self.strikes(exchange) else reply


def _nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


ANSWERS = {
    "401": Answering(lambda: faults.Status(401), 2, ("docker login",)),
    "403": Answering(lambda: faults.Status(403), 2, ("docker login",)),
    "404": Answering(lambda: faults.Status(404), 2, ("check the name",)),
    "418": Answering(lambda: faults.Status(418), 2, ("does not accept",)),
    "429": Answering(lambda: faults.Status(429, retry_after="0"), 4, ("try again later",)),
    "500": Answering(lambda: faults.Status(500), 4, ("try again later",)),
    "503": Answering(lambda: faults.Status(503, retry_after="0"), 4, ("try again later",)),
    "resets": Answering(faults.DropBefore, 4, ("was lost", "try again")),
    "redirects to itself": Answering(lambda: Redirects("/v2/base/manifests/latest"), 2, ("redirects without end",)),
    "redirects to a file": Answering(lambda: Redirects("file:///etc/passwd"), 2, ("hint",)),
    "redirects to metadata": Answering(lambda: Redirects("http://169.254.169.254/latest"), 2, ("metadata",)),
    "redirects to plain HTTP": Answering(lambda: Redirects("http://registry.invalid/x"), 2, ("plain HTTP",)),
    "redirects to a bad port": Answering(lambda: Redirects("http://127.0.0.1:99999/x"), 2, ("hint",)),
    "no JSON": Answering(lambda: faults.ManifestBytes(b"<html>", honest=True), 2, ("not JSON",)),
    "a list": Answering(lambda: faults.ManifestBytes(b"[]", honest=True), 2, ("not a JSON object",)),
    "deep JSON": Answering(lambda: faults.ManifestBytes(_nested(100_000), honest=True), 2, ("not JSON",)),
    "huge": Answering(lambda: faults.ManifestBytes(b" " * (5 << 20), honest=True), 2, ("larger than",)),
    "not UTF-8": Answering(lambda: faults.ManifestBytes(b'{"mediaType": "\xff"}', honest=True), 2, ("not JSON",)),
    "a long number": Answering(
        lambda: faults.ManifestBytes(b'{"layers": ' + b"9" * 10_000 + b"}", honest=True), 2, ("not JSON",)),
    "another digest": Answering(lambda: faults.ManifestBytes(b"{}"), 2, ("digest",)),
    "another digest claimed": Answering(
        lambda: faults.DigestHeader("GET manifest", "sha256:" + "0" * 64), 2, ("digest",)),
    "no image": Answering(
        lambda: faults.ManifestBytes(b'{"mediaType": "text/plain"}', honest=True), 2, ("not an image",)),
    "wrong types": Answering(
        lambda: faults.ManifestBytes(b'{"config": [], "layers": {"a": 1}}', honest=True), 2, ("layers",)),
    "wrong sizes": Answering(
        lambda: faults.ManifestBytes(
            b'{"config": {"digest": "sha256:%s", "size": -1}, "layers": []}' % (b"0" * 64), honest=True),
        2, ("descriptor is malformed",)),
    "corrupt blobs": Answering(lambda: faults.BlobBytes("corrupt"), 2, ("gave other content",)),
    "short blobs": Answering(lambda: faults.BlobBytes("short"), 2, ("hint",)),
    "long blobs": Answering(lambda: faults.BlobBytes("long"), 2, ("hint",)),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_a_base_that_a_registry_does_not_give_is_explained(
    name: str, treeship: Treeship, made: ThrowAwayRepository, tiny_base: Path, registry: InProcessRegistry
) -> None:
    """By status, by lost connections, by answers that are no image."""
    answering = ANSWERS[name]
    base = f"docker://{registry.host}/base:latest"
    treeship("copy", f"oci:{tiny_base}", base)
    registry.faults.append(answering.fault())
    ran = treeship("build", "--repo", made.directory, "--base", base, "--json", code=None)
    complains(ran, answering.code, *answering.says)
    assert not (treeship.home / ".treeship").exists()


TARGETS: dict[str, tuple[Callable[[], faults.Fault], int]] = {
    "401": (lambda: faults.Status(401, "POST uploads"), 2),
    "403": (lambda: faults.Status(403, "POST uploads"), 2),
    "405": (lambda: faults.Status(405, "PUT upload"), 2),
    "413": (lambda: faults.TooLarge(10), 2),
    "429": (lambda: faults.Status(429, "PUT upload", retry_after="0"), 4),
    "500": (lambda: faults.Status(500, "PUT manifest"), 4),
    "507": (lambda: faults.Status(507, "PUT upload"), 4),
    "resets": (lambda: faults.DropBefore("PUT upload"), 4),
    "redirected uploads": (lambda: Redirects("http://169.254.169.254/", "POST uploads"), 4),
    "no location": (lambda: NoLocation("POST uploads"), 2),
    "a strange location": (lambda: NoLocation("POST uploads", "gopher://x"), 2),
    "a location elsewhere": (lambda: NoLocation("POST uploads", "http://169.254.169.254/"), 2),
}  # fmt: skip


class NoLocation(faults.Fault):
    """Uploads go nowhere, or where they should not."""

    def __init__(self, verb: str, location: str = "") -> None:
        super().__init__(verb)
        self._location = location

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        """Another location."""
        return reply.with_headers(Location=self._location or None) if self.strikes(exchange) else reply


@pytest.mark.parametrize("name", TARGETS)
def test_a_push_that_a_registry_refuses_leaves_no_tag(
    name: str, treeship: Treeship, made: ThrowAwayRepository, tiny_base: Path, registry: InProcessRegistry
) -> None:
    """Neither the commit's nor the one that was asked for; and the next push, when all is well, finds its way."""
    make, code = TARGETS[name]
    registry.faults.append(make())
    words = build_words(made, "--json", base=f"oci:{tiny_base}", to=f"{registry.host}/app:main")
    complains(treeship(*words, code=None), code)
    assert registry.store.repository("app").tags == {}
    registry.faults.clear()
    pushed = treeship(*words).json
    assert set(registry.store.repository("app").tags.values()) == {pushed["digest"]}
    assert registry.store.incomplete() == []


def test_a_registry_that_is_down_or_silent_is_named(treeship: Treeship, made: ThrowAwayRepository) -> None:
    """Exit code 4: trying again may help. The time-outs are those that were asked for."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
        words = build_words(made, "--json", "--read-timeout", "0.3", base=f"docker://{host}/base")
        began = time.monotonic()
        complains(treeship(*words, code=None), 4, f"{host} did not answer in time")
        assert time.monotonic() - began < 10
    complains(treeship(*words, code=None), 4, f"{host} refuses connections", "running")
    unknown = (*words[:4], "docker://registry.invalid/base", "--json")
    complains(treeship(*unknown, code=None), 4, "registry.invalid", "not known")


def test_a_registry_that_nobody_answers_for_is_given_up_in_time(
    treeship: Treeship, made: ThrowAwayRepository
) -> None:
    """--connect-timeout is kept: a full backlog on loopback drops what comes, as firewalls do."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, _full(server):
        host = f"127.0.0.1:{server.getsockname()[1]}"
        began = time.monotonic()
        words = build_words(made, "--connect-timeout", "0.3", base=f"docker://{host}/base")
        ran = treeship(*words, code=None)
        complains(ran, 4, f"{host} did not answer in time")
        assert time.monotonic() - began < 10


@contextmanager
def _full(server: socket.socket) -> Iterator[None]:
    waiting = []
    for _ in range(8):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(server.getsockname())
        waiting.append(client)
    try:
        yield
    finally:
        for client in waiting:
            client.close()


def test_an_unknown_authority_is_explained(
    treeship: Treeship, made: ThrowAwayRepository, start: Start
) -> None:
    """And --ca-file is the way out of it, which a file that is no certificate is not."""
    registry = start(DockerRegistry(tls=True))
    words = build_words(made, "--json", to=f"{registry.host}/app:x")
    complains(treeship(*words, code=None), 2, "certificate", "ca_file")
    complains(treeship(*words, "--ca-file", made.directory / "train.py", code=None), 2, "CA file")
    assert treeship(*words, "--ca-file", str(registry.ca_file)).json["digest"]


def test_a_login_that_does_not_fit_is_explained(treeship: Treeship, made: ThrowAwayRepository) -> None:
    """None, a wrong one, a malformed file: the host is named, what was tried is not."""
    with InProcessRegistry(access=Password("me", "right")) as registry:
        words = build_words(made, "--json", to=f"{registry.host}/app:x")
        complains(treeship(*words, code=None), 2, f"docker login {registry.host}", "no credentials")
        for text, says in (
            ('{"auths": {"HOST": {"auth": "bWU6d3Jvbmc="}}}', "docker login"),
            ('{"auths": {"HOST": {"auth": "!"}}}', "docker login"),
            ('{"auths": [', "malformed"),
            ('{"auths": [1]}', "malformed"),
            ('{"credsStore": "nowhere"}', "docker-credential-nowhere"),
            ('{"credsStore": "../../bin/sh"}', "plain word"),
            ('{"credHelpers": {"HOST": ["x"]}}', "config.json"),
        ):
            (treeship.docker_config / "config.json").write_text(text.replace("HOST", registry.host))
            complains(treeship(*words, code=None), 2, says)
        assert registry.store.repositories == {}


# Configs of hostile bases


def _config(**fields: object) -> bytes:
    """A config that would do but for these fields."""
    return json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": []}, **fields}).encode()


CONFIGS: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "no platform": (b'{"rootfs": {"diff_ids": []}}', ("operating system or architecture",)),
    "no rootfs": (b'{"os": "linux", "architecture": "amd64"}', ("diff_ids",)),
    "too many layers": (_config(rootfs={"diff_ids": ["sha256:" + "0" * 64]}), ("0 layers, but 1 diff ids",)),
    "Env of numbers": (_config(config={"Env": [1]}), ("not text",)),
    "Env of text": (_config(config={"Env": "A=B"}), ("Env",)),
    "Labels of numbers": (_config(config={"Labels": {"a": 1}}), ("not text",)),
    "a config of text": (_config(config="x"), ("not an object",)),
    "history of text": (_config(history="x"), ("history",)),
    "half a surrogate": (_config(author="\ud800"), ("canonical",)),
    "NaN": (_config(x=float("nan")), ("canonical",)),
    "deep": (b'{"os": "linux", "architecture": "amd64", "x": ' + _nested(50_000) + b"}", ("JSON",)),
    "a platform of two lines": (_config(os="linux\n"), ("not a platform",)),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_config_of_a_hostile_base_is_refused(
    name: str, treeship: Treeship, made: ThrowAwayRepository, registry: InProcessRegistry
) -> None:
    """Values of the wrong type, or that no runtime could take."""
    raw, says = CONFIGS[name]
    registry.store.add_blob("base", raw)
    manifest = Manifest.build(Descriptor.of(raw, media.OCI_CONFIG), (), {})
    registry.store.add_manifest("base", manifest.raw, manifest.media_type, "latest")
    ran = treeship("build", "--repo", made.directory, "--base", f"{registry.host}/base", "--json", code=None)
    complains(ran, 2, *says)
    assert not (treeship.home / ".treeship").exists()
