"""Where images come from and go to, by the transport names of the field.

`docker://host/repository:tag@digest` (also without prefix), `oci:DIR:tag`, `docker-daemon:name:tag`,
`docker-archive:FILE:name:tag`, and `scratch` for no image at all.
Grammar of names: distribution-spec, "Pulling manifests", and distribution/reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from buildkit.errors import InvalidInput
from buildkit.image.digest import Digest

DOCKER_HUB = "docker.io"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?")
# A layout's reference name (image-spec, annotations.md, ref.name); `/` is left out: it cannot be told from a path.
_LAYOUT_TAG = re.compile(r"[A-Za-z0-9]+(?:[-._+@]+[A-Za-z0-9]+)*")


class RegistryReference(NamedTuple):
    """`host/repository[:tag][@digest]`, with Docker Hub's short names written out."""

    host: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @property
    def name(self) -> str:
        """Host and repository."""
        return f"{self.host}/{self.repository}"

    def __str__(self) -> str:
        return f"{self.name}{self.tag and ':' + self.tag}{'@' + self.digest if self.digest else ''}"


class LayoutReference(NamedTuple):
    """An image in an OCI layout directory; without tag and digest the only one there."""

    directory: str
    tag: str = ""
    digest: Digest | None = None

    def __str__(self) -> str:
        return f"oci:{self.directory}{self.tag and ':' + self.tag}{'@' + self.digest if self.digest else ''}"


class DaemonReference(NamedTuple):
    """An image in a Docker Engine, `name` and `tag` as `docker images` shows them."""

    name: str
    tag: str = ""

    def __str__(self) -> str:
        return f"docker-daemon:{self.name}{self.tag and ':' + self.tag}"


class ArchiveReference(NamedTuple):
    """An image in a file as `docker save` writes it."""

    file: str
    name: str = ""
    tag: str = ""

    def __str__(self) -> str:
        return f"docker-archive:{self.file}{self.name and ':' + self.name}{self.tag and ':' + self.tag}"


class Scratch(NamedTuple):
    """No image: an empty base."""

    def __str__(self) -> str:
        return "scratch"


Reference = RegistryReference | LayoutReference | DaemonReference | ArchiveReference | Scratch


def parse_reference(text: str) -> Reference:
    """Raises InvalidInput with the text's own fault."""
    _, scheme, rest = ("", "", text) if "://" not in text else text.partition("://")
    head, slash, _ = rest.partition("/")
    if "@" in head and (slash or scheme) and not head.partition("@")[2].startswith("sha256:"):
        # Not echoed: what stands before an @ there is somebody's password.
        raise InvalidInput("an image reference holds no credentials", "use `docker login` for them")
    if not text or text != text.strip() or any(ord(c) < 32 for c in text):
        raise InvalidInput(
            f"not an image reference: {text!r}", "write it like registry.example/team/name:tag"
        )
    if text == "scratch":
        return Scratch()
    for prefix, parse in _TRANSPORTS.items():
        if text.startswith(prefix):
            return parse(text.removeprefix(prefix))
    if "://" in text:
        raise InvalidInput(f"unknown transport in {text!r}", f"known are {', '.join(_TRANSPORTS)}")
    return _registry(text)


def check_tag(tag: str) -> str:
    """The tag itself; InvalidInput where a registry would refuse it."""
    if not _TAG.fullmatch(tag):
        raise InvalidInput(
            f"not a tag: {tag[:150]!r}",
            "letters, digits, '_', '.' and '-', at most 128, no leading '.' or '-'",
        )
    return tag


def _registry(text: str) -> RegistryReference:
    rest, _, digest = text.removeprefix("docker://").partition("@")
    head, slash, tail = rest.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        host, path = head, tail
    else:
        host, path = DOCKER_HUB, rest
    repository, _, tag = path.partition(":")
    if host in (DOCKER_HUB, "index.docker.io"):
        host = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    if not _HOST.fullmatch(host) or not _REPOSITORY.fullmatch(repository) or len(repository) > 255:
        raise InvalidInput(
            f"not an image reference: {text[:300]!r}",
            "write it like registry.example/team/name:tag; repositories are lower case",
        )
    _no_dangling(text, path, tag, "@" in text and not digest)
    return RegistryReference(
        host, repository, check_tag(tag) if tag else "", Digest(digest) if digest else None
    )


def _layout(text: str) -> LayoutReference:
    path, _, digest = text.partition("@sha256:")
    directory, colon, tag = path.rpartition(":")
    if not colon or "/" in tag:
        directory, tag = path, ""
    elif not _LAYOUT_TAG.fullmatch(tag):
        raise InvalidInput(f"not a tag of an OCI layout: {tag!r}", "write it like oci:DIRECTORY:tag")
    if not directory:
        raise InvalidInput("an OCI layout needs a directory", "write it like oci:DIRECTORY:tag")
    return LayoutReference(directory, tag, Digest("sha256:" + digest) if digest else None)


def _daemon(text: str) -> DaemonReference:
    name, tag = _name_and_tag(text)
    return DaemonReference(name, tag)


def _archive(text: str) -> ArchiveReference:
    file, colon, reference = text.partition(":")
    if not file:
        raise InvalidInput("a docker-archive needs a file", "write it like docker-archive:FILE:name:tag")
    return ArchiveReference(file, *_name_and_tag(reference)) if colon else ArchiveReference(file)


def _name_and_tag(text: str) -> tuple[str, str]:
    head, slash, tail = text.rpartition("/")
    last, _, tag = tail.partition(":")
    name = f"{head}{slash}{last}"
    _no_dangling(text, tail, tag, "@" in text)
    bare = name.partition("/")[2] if _HOST.fullmatch(name.partition("/")[0]) and "/" in name else name
    if not _REPOSITORY.fullmatch(bare):
        raise InvalidInput(
            f"not an image name: {text[:300]!r}", "write it like name:tag; names are lower case"
        )
    return name, check_tag(tag) if tag else ""


def _no_dangling(text: str, path: str, tag: str, dangling: bool) -> None:
    if dangling or (":" in path and not tag):
        raise InvalidInput(f"not an image reference: {text[:300]!r}", "a ':' or '@' has nothing behind it")


_TRANSPORTS: dict[str, Callable[[str], Reference]] = {
    "docker://": _registry,
    "oci:": _layout,
    "docker-daemon:": _daemon,
    "docker-archive:": _archive,
}
