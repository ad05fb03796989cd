"""In which order bases are built: what one stands on comes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from buildkit.bases.dockerfiles.definitions import Definition
from buildkit.errors import InvalidInput, NotFound


class Node(NamedTuple):
    """A base as a whole, or one stage of its Dockerfile."""

    name: str
    stage: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.stage}" if self.stage else self.name


def below(definition: Definition) -> Node | None:
    """What a base stands on among its neighbours."""
    return Node(definition.on, definition.stage) if definition.on else None


def ordered(definitions: Mapping[str, Definition], names: Iterable[str]) -> list[Node]:
    """The named bases and all that they stand on, each once. NotFound for a name, InvalidInput for a circle."""
    order: dict[Node, None] = {}
    for name in names:
        chain = _chain(definitions, Node(known(definitions, name).name))
        order |= dict.fromkeys(reversed(chain))
    return list(order)


def known(definitions: Mapping[str, Definition], name: str) -> Definition:
    """The base of this name; NotFound with the nearest that there is."""
    if name not in definitions:
        near = get_close_matches(name[:100], definitions, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(definitions) or 'none'}"
        raise NotFound(f"there is no base {name[:100]!r}", hint)
    return definitions[name]


def _chain(definitions: Mapping[str, Definition], node: Node) -> list[Node]:
    chain = [node]
    while (under := below(definitions[chain[-1].name])) is not None:
        if under.name in [each.name for each in chain]:
            circle = " on ".join(str(each) for each in [*chain, under])
            raise InvalidInput(f"bases stand on each other: {circle}", "give one of them a parent")
        chain.append(under)
    return chain
