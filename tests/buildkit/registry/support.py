"""What tests of the registry client share: a clock that does not wait, and small images to push."""

from __future__ import annotations

import base64
import io
import json
import time
from pathlib import Path
from typing import Protocol

from buildkit.endpoints import Blob, Publication
from buildkit.image import media
from buildkit.image.descriptor import Descriptor
from buildkit.image.manifest import Manifest
from buildkit.image.reference import RegistryReference
from buildkit.registry import Clock, Registries
from buildkit.testing.registry import InProcessRegistry, Store
from buildkit.testing.registry.faults import Fault
from tests.rigs.docker_registry import Login

QUICK = {"timeout_seconds": 5.0, "retries": 3}


class FastClock(Clock):
    """Sleeping takes no time, but time has passed afterwards."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return time.monotonic() + sum(self.slept)

    def wall(self) -> float:
        return time.time() + sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Client(Protocol):
    """The type of the fixture `client`: a Registries that is closed after the test."""

    def __call__(self, **settings: object) -> Registries: ...


class Serve(Protocol):
    """The type of the fixture `serve`: a registry that must hold nothing incomplete after the test."""

    def __call__(self, **settings: object) -> InProcessRegistry: ...


class Counting:
    """A blob's `open` that counts how often it was called."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.calls = 0

    def __call__(self) -> io.BytesIO:
        self.calls += 1
        return io.BytesIO(self.data)


def blob(data: bytes, media_type: str = media.OCI_LAYER_GZIP, origin: tuple[str, str] | None = None) -> Blob:
    """These bytes on their way."""
    return Blob(Descriptor.of(data, media_type), lambda: io.BytesIO(data), origin)


def config(text: str = "") -> Blob:
    """A config that says no more than it must."""
    raw = (
        b'{"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[],"type":"layers"},"x":"%s"}'
        % text.encode()
    )
    return blob(raw, media.OCI_CONFIG)


def work(*layers: Blob, tags: tuple[str, ...] = ("v1",), text: str = "") -> Publication:
    """An image of these layers."""
    top = config(text)
    manifest = Manifest.build(top.descriptor, [layer.descriptor for layer in layers], {})
    return Publication((manifest,), (*layers, top), tags)


def at(host: str, repository: str = "team/app", tag: str = "v1") -> RegistryReference:
    """A reference to push to or pull from."""
    return RegistryReference(host, repository, tag)


ONE = b"one layer " * 400
TWO = b"two layer " * 300
IMAGE = work(blob(ONE), blob(TWO))
LARGE = blob(bytes(range(256)) * 8000)  # 2 MB: more than the sockets' buffers hold
LARGE_IMAGE = work(LARGE)


def log_in(folder: Path, host: str, login: Login) -> dict[str, str]:
    """The environment of a client with this login."""
    auth = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return {"DOCKER_CONFIG": str(folder)}


def pulled(registries: Registries, reference: RegistryReference) -> list[bytes]:
    """Everything behind a reference, checked by the client: config and layers."""
    source = registries.source(reference)
    document = source.document()
    assert isinstance(document, Manifest)
    parts = []
    for descriptor in (document.config, *document.layers):
        with source.blob(descriptor) as stream:
            parts.append(stream.read())
    return parts


def holds(registry: InProcessRegistry) -> bool:
    """Whether its one tag leads to the image."""
    return registry.store.repository("team/app").tags == {"v1": IMAGE.target.digest}


def untagged(registry: InProcessRegistry) -> bool:
    """Whether nothing is visible."""
    return registry.store.repository("team/app").tags == {}


def filled(serve: Serve, *misbehaviour: Fault) -> InProcessRegistry:
    """A registry that has the image already, then misbehaves."""
    store = Store()
    for part in IMAGE.blobs:
        with part.open() as stream:
            store.add_blob("team/app", stream.read())
    store.add_manifest("team/app", IMAGE.target.raw, IMAGE.target.media_type, "v1")
    return serve(store=store, faults=misbehaviour)
