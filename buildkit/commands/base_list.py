"""`treeship base list`: the bases of dockerfiles/, their parents, and which of them the engine has."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from buildkit.bases.dockerfiles.engine import Image, connected
from buildkit.bases.dockerfiles.folder import Dockerfiles
from buildkit.bases.dockerfiles.inventory import Entry, inventory
from buildkit.commands import options
from buildkit.commands.workbench import places_of
from buildkit.errors import TreeshipError
from buildkit.terminal import Console

EXAMPLE = "treeship base list"


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    options.add_settings(parser, ("repo", "json"))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """No registry is asked; without an engine, nobody knows what is built."""
    places = places_of(arguments, console)
    entries = inventory(Dockerfiles.of(places.repo))
    images = _images(entries, console)
    if places.json:
        console.json({"bases": [_described(entry, images) for entry in entries]})
    else:
        console.table(
            [("base", "parent", "digest", "key", "built", "description"), *(_row(e, images) for e in entries)]
        )
    return 0


def _images(entries: list[Entry], console: Console) -> Mapping[str, Image | None] | None:
    try:
        with connected() as engine:
            return {entry.engine_name: engine.image(entry.engine_name) for entry in entries}
    except TreeshipError as error:
        console.note(f"{error.what}; so what is built is not known")
        return None


def _row(entry: Entry, images: Mapping[str, Image | None] | None) -> tuple[str, ...]:
    built = entry.built(images)
    return (
        entry.definition.name,
        entry.stands_on,
        entry.digest.removeprefix("sha256:")[:12] if entry.digest else "unpinned",
        entry.key.hex[:12] if entry.key else "",
        "?" if built is None else "yes" if built else "no",
        entry.definition.description,
    )


def _described(entry: Entry, images: Mapping[str, Image | None] | None) -> dict[str, Any]:
    definition = entry.definition
    return {
        "name": definition.name,
        "description": definition.description,
        "parent": str(definition.parent) if definition.parent else None,
        "on": definition.on or None,
        "stage": definition.stage or None,
        "digest": entry.digest,
        "key": entry.key,
        "built": entry.built(images),
        "platforms": [str(platform) for platform in definition.platforms],
        "arguments": dict(definition.arguments),
    }
