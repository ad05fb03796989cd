"""docker-archive: one file as `docker save` writes it, for `docker load`, `podman load` and skopeo.

The format (moby, image/tarexport): `manifest.json` names a config and layers, members of the same tar.
The image id is the digest of the config's bytes, so these go in as they are; layers stay compressed.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from io import BytesIO, RawIOBase
from typing import Any, BinaryIO, NamedTuple, cast

from buildkit import files, tarfiles
from buildkit.endpoints import Action, Blob, Publication, Receipt
from buildkit.errors import CorruptContent, InvalidInput, NotFound, TreeshipError
from buildkit.image import canonical, media
from buildkit.image.config import ImageConfig
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document, Manifest
from buildkit.image.reference import ArchiveReference, check_tag, parse_reference
from buildkit.verify import Verified, check, verified

MANIFEST = "manifest.json"
_SUFFIXES = {media.OCI_LAYER_GZIP: ".tar.gz", media.OCI_LAYER_ZSTD: ".tar.zst", media.OCI_LAYER: ".tar"}
_MAGIC = {b"\x1f\x8b": media.OCI_LAYER_GZIP, b"\x28\xb5": media.OCI_LAYER_ZSTD}


class Part(NamedTuple):
    """One member of the archive."""

    name: str
    size: int
    open: Callable[[], BinaryIO]


class Contents(NamedTuple):
    """One image in the terms of an archive."""

    config: ImageConfig
    layers: tuple[Blob, ...]
    names: tuple[str, ...]

    def parts(self, absent: int = 0) -> list[Part]:
        """What is in the tar: the description first; the lowest `absent` layers are named, but left out."""
        config = f"{self.config.descriptor.digest.hex}.json"
        layers = {f"{b.digest.hex}{_suffix(b.descriptor)}": b for b in self.layers[absent:]}
        named = [f"{b.digest.hex}{_suffix(b.descriptor)}" for b in self.layers]
        described = [{"Config": config, "RepoTags": list(self.names) or None, "Layers": named}]
        parts = [_small(MANIFEST, canonical.dump(described)), _small(config, self.config.raw)]
        return parts + [Part(name, b.descriptor.size, b.open) for name, b in layers.items()]


def contents(work: Publication, name: str) -> Contents:
    """The one image of a publication, named `name` with each of its tags. Reads the config only."""
    if len(work.images) != 1:
        raise InvalidInput(f"an archive and an engine hold one platform, here are {len(work.images)}",
                           "choose one with --platform, or write to a registry or an OCI layout")  # fmt: skip
    image = work.images[0]
    blobs = {blob.digest: blob for blob in work.blobs}
    missing = [part.digest for part in (image.config, *image.layers) if part.digest not in blobs]
    if missing:
        raise NotFound(f"no bytes for {missing[0]}, which an archive has to hold", "copy the whole image")
    with blobs[image.config.digest].open() as stream:
        raw = stream.read(min(image.config.size, canonical.DOCUMENT_LIMIT) + 1)
    config = ImageConfig(check(raw, image.config, "image config"))
    if len(config.diff_ids) != len(image.layers):
        raise CorruptContent(f"{len(image.layers)} layers, but {len(config.diff_ids)} diff ids",
                             "the image is broken at its source")  # fmt: skip
    names = tuple(f"{name}:{check_tag(tag)}" for tag in work.tags) if name else ()
    # By descriptor of the manifest: a blob may have been offered under another media type.
    layers = tuple(blobs[d.digest]._replace(descriptor=d) for d in image.layers)
    return Contents(config, layers, names)


def stream(parts: list[Part]) -> Iterator[bytes]:
    """The bytes of the tar; equal images give equal archives. Never more than a chunk in memory."""
    for part in parts:
        yield tarfiles.header(part.name, part.size)
        with part.open() as source:
            while chunk := source.read(files.CHUNK):
                yield chunk
        yield tarfiles.padding(part.size)
    yield tarfiles.END


class ArchiveSink:
    """Writes one image to a file, which is replaced as a whole."""

    def __init__(self, reference: ArchiveReference) -> None:
        self._reference = reference

    def lookup(self, tag: str) -> Document | None:  # noqa: ARG002
        """Nothing: an archive keeps no manifest to compare, and replacing the file is what is asked for."""
        return None

    def survey(self, work: Publication) -> Receipt:
        """Everything is written, each time."""
        _require_writable(self._reference.file)
        contents(work, self._reference.name)
        return Receipt({blob.digest: Action.PUSH for blob in work.blobs})

    def publish(self, work: Publication) -> Receipt:
        """Under a temporary name beside the file, then renamed."""
        receipt = self.survey(work)
        path = os.path.realpath(self._reference.file)
        folder = os.path.dirname(path)
        image = contents(work, self._reference.name)
        with files.explained(f"write {self._reference.file}"):
            files.sweep(folder)
            with files.Temporary(folder) as temporary:
                for chunk in stream(proven(image).parts()):
                    temporary.write(chunk)
                temporary.keep(path, 0o644)
            files.sync_directory(folder)
        return receipt


class ArchiveSource:
    """Reads images of an archive in place; nothing is unpacked."""

    def __init__(self, reference: ArchiveReference, file: tarfiles.Shared | None = None) -> None:
        """`file` is the archive where it has no name of its own."""
        self._reference = reference
        self._what = str(reference)
        self._file = file or _open(reference.file)
        self._members = tarfiles.index(self._file, self._what)
        self._places: dict[Digest, tarfiles.Member] = {}

    def document(self, wanted: str | Digest = "") -> Document:
        """An OCI manifest of the image as it is stored here; `wanted` is a tag, or the image's own digest."""
        described = self._choose(wanted)
        place, raw = self._read(described.get("Config"))
        config = ImageConfig(raw)
        names = described.get("Layers") or []
        if not isinstance(names, list) or len(names) != len(config.diff_ids):
            raise CorruptContent(f"{self._what}: layers and diff ids do not match", "the archive is broken")
        self._places[config.descriptor.digest] = place
        layers = [self._layer(name, diff_id) for name, diff_id in zip(names, config.diff_ids, strict=True)]
        return Manifest.build(config.descriptor, layers, {})

    def blob(self, descriptor: Descriptor) -> BinaryIO:
        """A verifying stream of a part of an image that `document` gave."""
        if descriptor.digest not in self._places:
            raise NotFound(f"{self._what} has no {descriptor.digest}", "ask for its document first")
        place = self._places[descriptor.digest]
        return Verified(_slice(self._file, place), descriptor, f"{self._what} {descriptor.digest}")

    def _layer(self, name: object, diff_id: Digest) -> Descriptor:
        """An uncompressed layer is known by its diff id; a compressed one has to be read to be known."""
        place = self._resolve(name)
        kind = _MAGIC.get(self._file.read(place.offset, min(2, place.size)), media.OCI_LAYER)
        digest = diff_id
        if kind != media.OCI_LAYER:
            with _slice(self._file, place) as source:
                digest = Digest.of_chunks(iter(lambda: source.read(files.CHUNK), b""))
        self._places[digest] = place
        return Descriptor(kind, digest, place.size)

    def _resolve(self, name: object) -> tarfiles.Member:
        if not isinstance(name, str):
            raise CorruptContent(f"{self._what}: {MANIFEST} is malformed", "the archive is broken")
        return tarfiles.resolve(self._members, name, self._what)

    def _read(self, name: object) -> tuple[tarfiles.Member, bytes]:
        place = self._resolve(name)
        if place.size > canonical.DOCUMENT_LIMIT:
            raise CorruptContent(f"{self._what}: {name} has {place.size} bytes", "it is no image document")
        return place, self._file.read(place.offset, place.size)

    def _described(self) -> list[dict[str, Any]]:
        try:
            found = json.loads(self._read(MANIFEST)[1])
        except (ValueError, RecursionError) as error:
            raise CorruptContent(
                f"{self._what}: {MANIFEST} is not JSON: {error}", "the archive is broken"
            ) from None
        if not isinstance(found, list) or not all(isinstance(image, dict) for image in found):
            raise CorruptContent(f"{self._what}: {MANIFEST} is malformed", "the archive is broken")
        return found

    def _choose(self, wanted: str | Digest) -> dict[str, Any]:
        """The image meant by a tag or an image id, else by the reference, else the only one."""
        images = self._described()
        if wanted.startswith("sha256:"):
            found = [image for image in images if Digest.of(self._read(image.get("Config"))[1]) == wanted]
        else:
            name, tag = self._reference.name, wanted or self._reference.tag
            found = [image for image in images if _means(_names(image), name, tag)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(sorted({name for image in images for name in _names(image)})) or "none"
        if found:
            raise InvalidInput(
                f"{self._what} has {len(found)} images", f"name one of them; its names: {names}"
            )
        raise NotFound(f"no such image in {self._what}", f"its names: {names}")


def proven(image: Contents) -> Contents:
    """The same, with every layer's bytes checked while they are read."""
    return image._replace(layers=tuple(b._replace(open=_checked(b)) for b in image.layers))


def _checked(blob: Blob) -> Callable[[], BinaryIO]:
    return lambda: verified(blob.open(), blob.descriptor, f"blob {blob.digest}")


def _names(image: dict[str, Any]) -> list[str]:
    names = image.get("RepoTags") or []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _means(names: list[str], name: str, tag: str) -> bool:
    """Whether one of an image's names is the wanted one; where a half is not given, any will do."""
    if not name and not tag:
        return True
    split = [found.rpartition(":") for found in names]
    return any((not name or _full(n) == _full(name)) and (not tag or t == tag) for n, _, t in split)


def _full(name: str) -> str:
    """`app`, as Docker saves it, is `docker.io/library/app`, as podman does."""
    try:
        return str(parse_reference(f"docker://{name}"))
    except TreeshipError:
        return name


def _suffix(descriptor: Descriptor) -> str:
    return _SUFFIXES.get(media.to_oci(descriptor.media_type), ".tar")


def _small(name: str, data: bytes) -> Part:
    return Part(name, len(data), lambda: BytesIO(data))


def _require_writable(path: str) -> None:
    """Renaming over a device or a pipe would replace it."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise files.explain(error, f"write {path}") from error
    if not stat.S_ISREG(mode):
        raise InvalidInput(f"{path} is not a regular file", "an archive replaces its file; name another one")


def _open(path: str) -> tarfiles.Shared:
    stream = files.open_plain(os.path.realpath(path))
    with stream:
        file = tarfiles.Shared(os.dup(stream.fileno()))
    if file.read(0, 2) in _MAGIC:
        raise InvalidInput(f"{path} is compressed", "decompress it first, with gunzip for example")
    return file


class _Slice(RawIOBase):
    """The bytes of one member. Several at once do not disturb each other."""

    def __init__(self, file: tarfiles.Shared, place: tarfiles.Member) -> None:
        self._file, self._at, self._end = file, place.offset, place.offset + place.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(self._at, min(len(buffer), self._end - self._at))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def read(self, size: int | None = -1, /) -> bytes:
        left = self._end - self._at
        data = self._file.read(self._at, left if size is None or size < 0 else min(size, left))
        self._at += len(data)
        return data


def _slice(file: tarfiles.Shared, place: tarfiles.Member) -> BinaryIO:
    return cast(BinaryIO, _Slice(file, place))
