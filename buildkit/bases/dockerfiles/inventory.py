"""The bases of a folder as a list, without asking anybody: a key is known where the parent is pinned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from buildkit.bases.dockerfiles.definitions import Definition
from buildkit.bases.dockerfiles.engine import Image
from buildkit.bases.dockerfiles.folder import Dockerfiles
from buildkit.bases.dockerfiles.key import KEY, key_of
from buildkit.bases.dockerfiles.lock import pin_of
from buildkit.bases.dockerfiles.order import Node, ordered
from buildkit.bases.dockerfiles.plan import engine_name
from buildkit.image.digest import Digest
from buildkit.image.platform import Platform


class Entry(NamedTuple):
    """A base, the digest of the parent at the bottom of it, and its key on this machine's platform (else its first)."""

    definition: Definition
    stands_on: str
    digest: Digest | None
    key: Digest | None
    engine_name: str

    def built(self, images: Mapping[str, Image | None] | None) -> bool | None:
        """Whether the engine has it; of any key where the key is not known. None without an engine."""
        if images is None:
            return None
        image = images.get(self.engine_name)
        label = image.labels.get(KEY) if image is not None else None
        return label is not None and self.key in (None, label)


def inventory(folder: Dockerfiles) -> list[Entry]:
    """All bases, by name."""
    definitions, pins = folder.definitions(), folder.pins()
    found = []
    for definition in definitions.values():
        chain = ordered(definitions, [definition.name])
        bottom = definitions[chain[0].name]
        digest, platform = pin_of(bottom, pins), _platform(definition)
        key: Digest | None = None
        for node in chain if digest else ():
            key = _key(folder, definitions[node.name], node, key or digest or "", platform)
        stands_on = str(definition.parent) if definition.parent else str(chain[-2])
        found.append(Entry(definition, stands_on, digest, key, engine_name(chain[-1], platform)))
    return found


def _key(folder: Dockerfiles, definition: Definition, node: Node, parent: str, platform: Platform) -> Digest:
    context = folder.context(definition.name).digest
    return key_of(node, context=context, parent=parent, arguments=definition.arguments, platform=platform)


def _platform(definition: Definition) -> Platform:
    host = Platform.of_host()
    return host if host in definition.platforms else definition.platforms[0]
