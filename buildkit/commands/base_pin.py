"""`treeship base pin`: write the digests that the parents of dockerfiles/ have today into bases.lock."""

from __future__ import annotations

import argparse
from typing import Any

from buildkit.bases.dockerfiles import pin
from buildkit.bases.dockerfiles.folder import Dockerfiles
from buildkit.bases.dockerfiles.pin import Asked
from buildkit.commands import options
from buildkit.commands.workbench import network, places_of
from buildkit.endpoints import Traffic
from buildkit.terminal import Console

EXAMPLE = "treeship base pin python-slim"


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="bases to pin (default: all that have a parent)"
    )
    options.add_settings(parser, ("repo", *options.NETWORK))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """The lock is written with what was answered, whether or not all were; the exit code says if any was not."""
    places = places_of(arguments, console)
    folder = Dockerfiles.of(places.repo)
    definitions, pins = folder.definitions(), folder.pins()
    chosen = pin.with_parents(definitions, arguments.names)
    with network(places, console, Traffic()) as connect:
        asked = pin.ask(chosen, pins, connect)
    changed = folder.write_pins(pin.new_lock(definitions, pins, asked))
    for one in asked:
        if one.error is not None:
            kept = f"its digest stays {one.pin.digest}" if one.pin.digest else "it stays unpinned"
            console.note(f"{one.name}: {one.error.what}; {kept}")
    if places.json:
        console.json({"changed": changed, "bases": [_described(one) for one in asked]})
    else:
        console.table([("base", "parent", "digest", ""), *(_row(one) for one in asked)])
    return pin.exit_code(asked)


def _row(one: Asked) -> tuple[str, str, str, str]:
    return (one.name, one.pin.parent, one.pin.digest or "unpinned", _action(one))


def _action(one: Asked) -> str:
    if one.error is not None:
        return "not reached"
    return "unchanged" if one.pin.digest == one.before else "moved" if one.before else "pinned"


def _described(one: Asked) -> dict[str, Any]:
    return {
        "name": one.name,
        "parent": one.pin.parent,
        "digest": one.pin.digest,
        "before": one.before,
        "action": _action(one),
        "reason": one.error.what if one.error else None,
    }
