"""`treeship config show`: every setting, its value and where it came from."""

from __future__ import annotations

import argparse

from buildkit.commands import options
from buildkit.commands.workbench import workbench
from buildkit.config.show import show
from buildkit.config.table import SETTINGS
from buildkit.terminal import Console

EXAMPLE = "treeship config show HEAD"


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb: every flag that has a setting, so that one can see what it would do."""
    parser.add_argument("commit", nargs="?", help="any commit-ish (default: HEAD)")
    options.add_settings(parser, (name for name, setting in SETTINGS.items() if setting.flag))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Secrets in URLs are blotted out."""
    with workbench(arguments, console, writes=False, protected=True) as found:
        rows = show(found.holds, found.resolved)
    if found.places.json:
        console.json({row.name: {"value": row.value, "origin": row.origin} for row in rows})
    else:
        console.table(
            [("setting", "value", "from"), *((row.name, _text(row.value), row.origin) for row in rows)]
        )
    return 0


def _text(value: object) -> str:
    match value:
        case list():
            return " ".join(map(str, value))
        case dict():
            return " ".join(f"{key}={item}" for key, item in value.items())
        case bool():
            return str(value).lower()
        case None:
            return ""
        case _:
            return str(value)
