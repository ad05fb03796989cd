"""What bases.toml says: for each base its parent, or the base that it stands on, its platforms and build arguments.

The file is part of a work tree that anybody may have written: all names, sizes and references are checked here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from buildkit.bases.dockerfiles.arguments import check_argument
from buildkit.config import toml
from buildkit.errors import InvalidInput
from buildkit.image.platform import Platform
from buildkit.image.reference import RegistryReference, parse_reference

BASES_TOML = "bases.toml"
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_STAGE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_LONGEST_NAME, _LONGEST_DESCRIPTION, _MOST_BASES = 64, 200, 200
_KEYS = {"description": str, "parent": str, "on": str, "stage": str, "platforms": list, "arguments": dict}


class Definition(NamedTuple):
    """One base. Either there is a `parent`, by tag, or `on` names another base, and `stage` a stage of it."""

    name: str
    description: str
    parent: RegistryReference | None
    on: str
    stage: str
    platforms: tuple[Platform, ...]
    arguments: Mapping[str, str]


def parse_definitions(data: bytes, place: toml.Place) -> dict[str, Definition]:
    """The bases of a bases.toml, by name, sorted. Raises InvalidInput that names the file and the table."""
    tables = toml.load(data, place)
    if len(tables) > _MOST_BASES:
        raise InvalidInput(f"{place} has more than {_MOST_BASES} bases", "divide them over several folders")
    found = {name: _definition(name, table, place) for name, table in sorted(tables.items())}
    for definition in found.values():
        _check_relation(definition, found, place)
    return found


def check_name(name: str) -> str:
    """The name itself; InvalidInput for what cannot be a folder and a part of an image's name."""
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise InvalidInput(
            f"not a name for a base: {name[:100]!r}", "lower-case letters, digits and single '-', at most 64"
        )
    return name


def _definition(name: str, table: object, place: toml.Place) -> Definition:
    where = f"{place}: [{name[:100]}]"
    if not isinstance(table, dict):
        raise InvalidInput(f"{where}: expected a table", f"write [{name}]")
    for key, value in table.items():
        if key not in _KEYS:
            raise InvalidInput(f"{where}: unknown key {key[:100]!r}", f"known are {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[key]):
            raise InvalidInput(f"{where}: {key}: a value of the wrong type", "see dockerfiles/ of treeship")
    try:
        return Definition(
            check_name(name),
            _description(table.get("description", "")),
            _parent(table["parent"]) if "parent" in table else None,
            check_name(table["on"]) if "on" in table else "",
            _stage(table.get("stage", "")),
            _platforms(table.get("platforms", [])),
            _arguments(table.get("arguments", {})),
        )
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error.what}", error.remedy) from None


def _description(text: str) -> str:
    if not text.isprintable() or len(text) > _LONGEST_DESCRIPTION:
        raise InvalidInput("description: expected one line of at most 200 characters", "shorten it")
    return text


def _parent(text: str) -> RegistryReference:
    reference = parse_reference(text)
    if not isinstance(reference, RegistryReference) or not reference.tag:
        raise InvalidInput(
            "parent: expected an image of a registry, by tag",
            "other kinds can be given with --parent, to this machine alone",
        )
    if reference.digest:
        raise InvalidInput("parent: the digest is the business of bases.lock", "run `treeship base pin`")
    return reference


def _stage(text: str) -> str:
    if text and not _STAGE.fullmatch(text):
        raise InvalidInput(f"stage: not a name of a stage: {text[:100]!r}", "write it like in `FROM … AS`")
    return text


def _platforms(values: list[Any]) -> tuple[Platform, ...]:
    if not values or len(values) > 16 or not all(isinstance(value, str) for value in values):
        raise InvalidInput("platforms: expected a list like ['linux/amd64']", "name at least one")
    return tuple(dict.fromkeys(Platform.parse(value) for value in values))


def _arguments(table: Mapping[str, object]) -> dict[str, str]:
    if len(table) > 64:
        raise InvalidInput("more than 64 build arguments", "put them into a file of the folder")
    found = {}
    for name, value in sorted(table.items()):
        if not isinstance(value, str):
            raise InvalidInput(f"build argument {name[:100]!r}: expected text", 'write it like NAME = "1"')
        found[name] = check_argument(name, value)
    return found


def _check_relation(definition: Definition, all_of: Mapping[str, Definition], place: toml.Place) -> None:
    where = f"{place}: [{definition.name}]"
    if (definition.parent is None) == (not definition.on):
        raise InvalidInput(f"{where}: expected either a parent, or the base that it is on", "give one")
    if definition.stage and not definition.on:
        raise InvalidInput(f"{where}: a stage of what?", "name the base with `on`, or leave it out")
    if not definition.on:
        return
    below = all_of.get(definition.on)
    if below is None:
        raise InvalidInput(f"{where}: there is no base {definition.on!r}", f"there are {', '.join(all_of)}")
    if lacking := [str(platform) for platform in definition.platforms if platform not in below.platforms]:
        raise InvalidInput(
            f"{where}: {definition.on} is not built for {', '.join(lacking)}", "correct one of the two"
        )
