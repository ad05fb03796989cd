"""docker-daemon: images of a Docker Engine, through the docker SDK (`DOCKER_HOST` and its friends count).

An engine takes and gives docker-archives. Of an image that it gets, it reads only the layers that it does not
have: moby's tarexport looks each chain of layers up before it opens the file. So the lowest layers that some
image there already has are named, but not sent; should an engine do otherwise, everything is sent.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, BinaryIO, NamedTuple, Protocol

from buildkit import archive, files, tarfiles
from buildkit.endpoints import Action, Publication, Receipt
from buildkit.errors import AccessDenied, InvalidInput, NotFound, TreeshipError, Unavailable
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document
from buildkit.image.reference import ArchiveReference, DaemonReference

# The engine unpacks every layer before it says a word.
_PATIENCE = 1800
# Each costs a request of a millisecond or two; the newest images are the likeliest relatives.
_RELATIVES = 64


class Engine(Protocol):
    """The few things that are asked of a Docker Engine."""

    def layers(self, image: str) -> list[str] | None:
        """The diff ids of an image given by name or id; None where it is unknown."""

    def images(self) -> list[str]:
        """The ids of all images, newest first."""

    def load(self, chunks: Iterable[bytes]) -> str:
        """Send a docker-archive; the engine's complaint, or nothing."""

    def save(self, image: str) -> Iterable[bytes]:
        """Receive a docker-archive of an image."""

    def tag(self, image: str, name: str, tag: str) -> None:
        """One more name for an image."""


class _Known(NamedTuple):
    """What an engine has of an image: all of it, or so many of its lowest layers."""

    whole: bool
    layers: int


class DaemonSink:
    """Loads one image into an engine, under each of its tags."""

    def __init__(
        self, reference: DaemonReference, connect: Callable[[], AbstractContextManager[Engine]] | None = None
    ) -> None:
        self._reference = reference
        self._connect = connect or connected

    def lookup(self, tag: str) -> Document | None:  # noqa: ARG002
        """Nothing: an engine keeps no manifests to compare, and names in it are there to be moved."""
        return None

    def survey(self, work: Publication) -> Receipt:
        """Layers that the engine has are reused; the config goes too, unless the whole image is there."""
        image = archive.contents(work, self._reference.name)
        with self._connect() as engine:
            return _receipt(work, image, _known(engine, image))

    def publish(self, work: Publication) -> Receipt:
        """Load what the engine lacks. It has no name there before it is complete."""
        image = archive.proven(archive.contents(work, self._reference.name))
        with self._connect() as engine:
            known = _known(engine, image)
            if known.whole:
                for tag in work.tags:
                    engine.tag(image.config.descriptor.digest, self._reference.name, tag)
            elif not known.layers or self._load(engine, image, known.layers):
                known = _Known(whole=False, layers=0)
                if complaint := self._load(engine, image, 0):
                    raise InvalidInput(f"the Docker Engine refuses {self._reference}: {complaint}",
                                       "its log says more; is the image for its platform?")  # fmt: skip
            return _receipt(work, image, known)

    def _load(self, engine: Engine, image: archive.Contents, absent: int) -> str:
        """The complaint; a load that was answered kindly is looked at all the same."""
        complaint = engine.load(archive.stream(image.parts(absent)))
        if complaint:
            return complaint
        identities = (image.config.descriptor.digest, *image.names)
        # An engine with containerd's image store knows images by their manifests, not by their configs.
        found = next((layers for name in identities if (layers := engine.layers(name)) is not None), None)
        return "" if found == list(image.config.diff_ids) else "it does not have the image after loading it"


class DaemonSource:
    """Reads an image of an engine, which is saved to an unnamed temporary file first."""

    def __init__(
        self, reference: DaemonReference, connect: Callable[[], AbstractContextManager[Engine]] | None = None
    ) -> None:
        self._reference = reference
        self._connect = connect or connected
        self._saved: archive.ArchiveSource | None = None

    def document(self, wanted: str | Digest = "") -> Document:
        """An OCI manifest of the image as the engine gives it: of layers that are not compressed."""
        reference = self._reference
        image = (
            wanted
            if wanted.startswith("sha256:")
            else f"{reference.name}:{wanted or reference.tag or 'latest'}"
        )
        with self._connect() as engine:
            if engine.layers(image) is None:
                raise NotFound(f"the Docker Engine has no image {image}", "see `docker images`")
            self._saved = _spooled(engine.save(image), str(reference))
        return self._saved.document()

    def blob(self, descriptor: Descriptor) -> BinaryIO:
        """A verifying stream of a part of the image that `document` gave."""
        if self._saved is None:
            self.document()
        assert self._saved is not None
        return self._saved.blob(descriptor)


@contextmanager
def connected() -> Iterator[Engine]:
    """The engine of the environment; errors of the SDK become errors of the tree."""
    with session() as api:
        yield _Docker(api)


@contextmanager
def session() -> Iterator[Any]:
    """The SDK's low-level client for the engine of the environment; its errors become errors of the tree."""
    import docker
    import requests

    try:
        client = docker.from_env(timeout=_PATIENCE)
        try:
            yield client.api
        finally:
            client.close()
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise _translated(error) from error


def inspected(api: Any, image: str) -> dict[str, Any] | None:
    """What the engine says of an image given by name or id; None where it is unknown."""
    import docker

    try:
        found: dict[str, Any] = api.inspect_image(image)
    except docker.errors.NotFound:
        return None
    return found


class _Docker:
    """`Engine` by the low-level client of the docker SDK."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def layers(self, image: str) -> list[str] | None:
        found = inspected(self._api, image)
        return None if found is None else list((found.get("RootFS") or {}).get("Layers") or [])

    def images(self) -> list[str]:
        found = sorted(self._api.images(), key=lambda image: -int(image.get("Created") or 0))
        return list(dict.fromkeys(str(image["Id"]) for image in found))

    def load(self, chunks: Iterable[bytes]) -> str:
        # A refused load may answer 200 and complain in the stream; an answer of 500 is handed out as if it
        # were part of the stream, with a `message`.
        complaints = [
            str(item.get("error") or item.get("message"))
            for item in self._api.load_image(chunks)
            if isinstance(item, dict) and ("error" in item or "message" in item)
        ]
        return "; ".join(complaints)[:2000]

    def save(self, image: str) -> Iterable[bytes]:
        found: Iterable[bytes] = self._api.get_image(image, chunk_size=files.CHUNK)
        return found

    def tag(self, image: str, name: str, tag: str) -> None:
        self._api.tag(image, name, tag, force=True)


def _known(engine: Engine, image: archive.Contents) -> _Known:
    wanted = list(image.config.diff_ids)
    if engine.layers(image.config.descriptor.digest) == wanted:
        return _Known(whole=True, layers=len(wanted))
    best = 0
    for relative in engine.images()[:_RELATIVES]:
        best = max(best, _common(wanted, engine.layers(relative) or []))
        if best == len(wanted):
            break
    return _Known(whole=False, layers=best)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lowest layers are the same: the engine knows a layer only together with those below it."""
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _receipt(work: Publication, image: archive.Contents, known: _Known) -> Receipt:
    actions = dict.fromkeys(
        (blob.digest for blob in work.blobs), Action.REUSE if known.whole else Action.PUSH
    )
    sent = {blob.digest for blob in image.layers[known.layers :]}
    there = {blob.digest for blob in image.layers[: known.layers]} - sent
    return Receipt({**actions, **dict.fromkeys(there, Action.REUSE)})


def _spooled(chunks: Iterable[bytes], what: str) -> archive.ArchiveSource:
    with files.explained(f"save {what} to the folder for temporary files (TMPDIR)"):
        with tempfile.TemporaryFile() as spool:
            for chunk in chunks:
                spool.write(chunk)
            spool.flush()
            file = tarfiles.Shared(os.dup(spool.fileno()))
    return archive.ArchiveSource(ArchiveReference(what), file)


def _translated(error: Exception) -> TreeshipError:
    """Without the address of the engine, which may hold a user's name and password."""
    import docker

    if isinstance(error, docker.errors.APIError):
        status, said = error.status_code or 0, str(error.explanation or "")[:2000]
        what = f"the Docker Engine answered {status}: {said}"
        if status in (401, 403):
            return AccessDenied(what, "this user may not do that there")
        return (Unavailable if status >= 500 else InvalidInput)(what, "the engine's log says more")
    if "Permission denied" in str(error):
        return AccessDenied("the Docker Engine's socket may not be opened by this user",
                            "join the group of the socket (docker), or set DOCKER_HOST")  # fmt: skip
    return Unavailable("no Docker Engine answers", "start it, or set DOCKER_HOST to the one to use")
