"""`treeship build`: turn a commit into an image and send it where it goes."""

from __future__ import annotations

import argparse
import time

from buildkit import build
from buildkit.commands import options, report
from buildkit.commands.workbench import workbench
from buildkit.destinations import destinations
from buildkit.spool import Spool
from buildkit.terminal import Console

EXAMPLE = (
    "treeship build --base docker://registry.example/python:3.11 --to docker://registry.example/team/app:main"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("commit", nargs="?", help="any commit-ish (default: HEAD)")
    options.add_settings(parser, (*options.CONTENT, *options.DELIVERY, *options.NETWORK))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Build, send, remember, report."""
    began = time.monotonic()
    with workbench(arguments, console) as found, Spool() as spool:
        places, holds = found.places, found.holds
        wanted = destinations(places.to, found.commit.oid, holds.selected, commit_tag=places.commit_tag)
        opened = build.open_destinations(found.bench, found.commit, holds, wanted)
        reuse = places.reuse_from if places.reuse_enabled else ()
        plan = build.design(found.bench, found.commit, holds, reuse, wanted)
        product = build.make(found.bench, plan, spool, build.eager(plan, opened))
        delivered = build.deliver(product, opened, places)
        build.remember(found.bench, product)
    report.show(
        console, report.of(product, delivered, found.traffic, time.monotonic() - began), json=places.json
    )
    return 0
