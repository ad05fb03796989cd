"""The key of a base: a hash of everything that its build depends on, known before anything is built."""

from __future__ import annotations

from collections.abc import Mapping

from buildkit.bases.dockerfiles.order import Node
from buildkit.image import annotations as names
from buildkit.image import canonical
from buildkit.image.digest import Digest
from buildkit.image.platform import Platform

# Changes whenever the same inputs would give another image.
FORMAT = "treeship.base/1"
# Labels of the image. Whatever stands on it inherits them, and a base on a base has its own in their place.
KEY = names.TREESHIP + "base.key"
NAME = names.TREESHIP + "base.name"


def key_of(
    node: Node, *, context: Digest, parent: str, arguments: Mapping[str, str], platform: Platform
) -> Digest:
    """`context` is the digest of the folder with the Dockerfile, `parent` what identifies what it stands on."""
    parts = {
        "format": FORMAT,
        "base": str(node),
        "context": context,
        "parent": parent,
        "arguments": dict(arguments),
        "platform": str(platform),
    }
    return Digest.of(canonical.dump(parts))


def labels(
    node: Node, key: Digest, *, description: str, parent_name: str, parent_digest: str
) -> dict[str, str]:
    """What the image says about itself; empty ones take the place of what the parent says about itself."""
    return {
        KEY: key,
        NAME: str(node),
        names.OCI + "title": node.name,
        names.OCI + "description": description,
        names.BASE_NAME: parent_name,
        names.BASE_DIGEST: parent_digest,
    }
