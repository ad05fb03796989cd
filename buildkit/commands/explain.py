"""`treeship explain`: say what a build would do, layer by layer, and write nothing."""

from __future__ import annotations

import argparse
import time

from buildkit import build
from buildkit.commands import options, report
from buildkit.commands.workbench import workbench
from buildkit.destinations import destinations
from buildkit.spool import Void
from buildkit.terminal import Console

EXAMPLE = "treeship explain HEAD --to docker://registry.example/team/app:main"


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `build`."""
    parser.add_argument("commit", nargs="?", help="any commit-ish (default: HEAD)")
    options.add_settings(parser, (*options.CONTENT, *options.DELIVERY, *options.NETWORK))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Layers that are not known are made to learn their size, and thrown away."""
    began = time.monotonic()
    with workbench(arguments, console, writes=False) as found, Void() as spool:
        places, holds = found.places, found.holds
        wanted = destinations(places.to, found.commit.oid, holds.selected, commit_tag=places.commit_tag)
        opened = build.open_destinations(found.bench, found.commit, holds, wanted)
        reuse = places.reuse_from if places.reuse_enabled else ()
        plan = build.design(found.bench, found.commit, holds, reuse, wanted)
        product = build.make(found.bench, plan, spool)
        surveyed = build.survey(product, opened, places)
    result = report.of(product, surveyed, found.traffic, time.monotonic() - began)
    report.show(console, result, json=places.json, explain=True)
    return 0
