"""Pin parents: ask each registry what a tag is, and write down its answer and nothing else.

A parent whose registry gives no answer keeps the digest that it had for the same tag, or stays unpinned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from buildkit.bases import base as bases
from buildkit.bases.dockerfiles.definitions import Definition
from buildkit.bases.dockerfiles.lock import Pin, pin_of
from buildkit.bases.dockerfiles.order import known, ordered
from buildkit.cache import NoCache
from buildkit.errors import InvalidInput, TreeshipError, Unavailable
from buildkit.image.digest import Digest
from buildkit.image.platform import Platform
from buildkit.image.reference import RegistryReference
from buildkit.transports import Connect, open_source


class Asked(NamedTuple):
    """One base: the pin it had and has, and why the registry's answer is not in it."""

    name: str
    before: Digest | None
    pin: Pin
    error: TreeshipError | None = None


def with_parents(definitions: Mapping[str, Definition], names: Iterable[str]) -> list[Definition]:
    """The named bases (default: all that have a parent). InvalidInput for one that stands on a neighbour.

    And for bases that stand on each other, whichever are named: the lock is written for the whole file.
    """
    ordered(definitions, definitions)
    chosen = [known(definitions, name) for name in dict.fromkeys(names)]
    for definition in chosen:
        if definition.parent is None:
            raise InvalidInput(f"{definition.name} stands on {definition.on}, and has no parent of its own",
                               f"pin {definition.on}")  # fmt: skip
    return chosen or [each for each in definitions.values() if each.parent is not None]


def ask(chosen: Iterable[Definition], pins: Mapping[str, Pin], connect: Connect) -> list[Asked]:
    """What the registries say; equal parents are asked for once. Never raises for a registry's answer."""
    answers: dict[tuple[RegistryReference, tuple[Platform, ...]], Digest | TreeshipError] = {}
    asked = []
    for definition in chosen:
        assert definition.parent is not None
        question = (definition.parent, definition.platforms)
        if question not in answers:
            answers[question] = _answer(*question, connect)
        before, answer = pin_of(definition, pins), answers[question]
        error = answer if isinstance(answer, TreeshipError) else None
        digest = before if isinstance(answer, TreeshipError) else answer
        asked.append(Asked(definition.name, before, Pin(str(definition.parent), digest), error))
    return asked


def new_lock(
    definitions: Mapping[str, Definition], pins: Mapping[str, Pin], asked: Iterable[Asked]
) -> dict[str, Pin]:
    """The lock with these answers; every base with a parent has an entry, and no other."""
    kept = {
        name: Pin(str(definition.parent), pin_of(definition, pins))
        for name, definition in definitions.items()
        if definition.parent is not None
    }
    return kept | {one.name: one.pin for one in asked}


def exit_code(asked: Iterable[Asked]) -> int:
    """0 when all were answered; else 4 where trying again may help with any, else 2."""
    codes = {one.error.exit_code for one in asked if one.error is not None}
    return (
        0
        if not codes
        else Unavailable.exit_code
        if Unavailable.exit_code in codes
        else InvalidInput.exit_code
    )


def _answer(
    parent: RegistryReference, platforms: tuple[Platform, ...], connect: Connect
) -> Digest | TreeshipError:
    """All platforms must be there, or the digest would fail somebody later."""
    try:
        found = bases.resolve(parent, open_source(parent, connect), platforms, NoCache())
    except TreeshipError as error:
        return error
    assert found[0].digest is not None
    return found[0].digest
