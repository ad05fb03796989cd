"""Manifests as retention sees them: of any kind, by what they point to. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from buildkit.errors import CorruptContent
from buildkit.image import canonical, media
from buildkit.image.annotations import CREATED, REVISION, VARIANT
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.retention.names import is_commit, is_variant
from buildkit.retention.stock import Node

BROKEN = "nothing is removed from a repository with such a manifest; repair it, or delete it by hand"

_CONFIGS = frozenset({media.OCI_CONFIG, media.DOCKER_CONFIG})


class Read(NamedTuple):
    """A manifest that was read. `below` are children that are no plain images, so that more may be behind them.

    `config` and `images` are where a date may be found if the manifest itself has none.
    """

    node: Node
    below: tuple[Digest, ...]
    images: tuple[Digest, ...]
    config: Descriptor | None
    parts: tuple[Descriptor, ...]


def read(raw: bytes, digest: Digest) -> Read:
    """Raises CorruptContent where it is no JSON object, or points to something in a way that nobody could follow."""
    what = f"manifest {digest}"
    try:
        fields = canonical.load_object(raw, what)
        children = _descriptors(fields.get("manifests"), what)
        layers = _descriptors(fields.get("layers"), what) + _descriptors(fields.get("blobs"), what)
        subject = fields.get("subject")
        belongs = Descriptor.from_json(subject, what).digest if subject is not None else None
        config = fields.get("config")
        top = Descriptor.from_json(config, what) if config is not None else None
    except CorruptContent as error:
        raise CorruptContent(error.what, BROKEN) from None
    created, revision, variant = _said(fields.get("annotations"), (CREATED, REVISION, VARIANT))
    node = Node(digest, tuple(dict.fromkeys(child.digest for child in children)), belongs, created,
                revision if is_commit(revision) else "", variant if is_variant(variant) else "")  # fmt: skip
    below = tuple(child.digest for child in children if child.media_type not in media.MANIFESTS)
    images = tuple(child.digest for child in children if child.media_type in media.MANIFESTS and _runs(child))
    return Read(node, below, images, top, (*((top,) if top else ()), *layers))


def made(found: Read, fetch: Callable[[Digest], Read | None], config: Callable[[Descriptor], bytes]) -> str:
    """When an image was made, as RFC 3339: by its annotation, else by its config; an index by its newest image.

    "" where it (or one of its images) does not say it. `fetch` gives manifests, `config` the bytes of a config.
    """
    if found.node.created:
        return found.node.created
    if found.images:
        parts = [fetch(digest) for digest in found.images]
        dates = [made(part, fetch, config) if part and not part.images else "" for part in parts]
        return max(dates) if all(dates) else ""
    top = found.config
    if top is None or top.media_type not in _CONFIGS or top.size > canonical.DOCUMENT_LIMIT:
        return ""
    created = canonical.load_object(config(top), "image config").get("created")
    return created if isinstance(created, str) else ""


def _said(annotations: object, names: tuple[str, ...]) -> list[str]:
    """Anybody may have written these: what is no text says nothing."""
    known = annotations if isinstance(annotations, dict) else {}
    return [value if isinstance(value := known.get(name), str) else "" for name in names]


def _descriptors(value: object, what: str) -> list[Descriptor]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise CorruptContent(f"{what} is malformed")
    return [Descriptor.from_json(entry, what) for entry in value]


def _runs(child: Descriptor) -> bool:
    """Not an attestation, as BuildKit puts them beside the images."""
    return not child.platform or child.platform.get("os") != "unknown"
