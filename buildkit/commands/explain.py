"""`treeship explain`: say what a build would do, layer by layer, and write nothing."""

from __future__ import annotations

import argparse
import time

from buildkit import build
from buildkit.commands import options, report
from buildkit.commands.batch import Done, jobs
from buildkit.commands.workbench import workbench
from buildkit.production import outline
from buildkit.spool import Void
from buildkit.terminal import Console

EXAMPLE = "treeship explain HEAD --to docker://registry.example/team/app:main"


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `build`."""
    parser.add_argument("commit", nargs="?", help="any commit-ish (default: HEAD)")
    options.add_settings(parser, (*options.CONTENT, *options.DELIVERY, *options.NETWORK))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Layers of the tree that are not known are made to learn their size, and thrown away; those of wheels are not."""
    began = time.monotonic()
    with workbench(arguments, console, writes=False) as found, Void() as spool:
        done = [
            Done(product, build.survey(product, opened, found.places))
            for plan, opened in jobs(found)
            for product in [outline(found.bench, plan, spool)]
        ]
    result = report.of_all(done, found, time.monotonic() - began)
    report.show_all(console, result, json=found.places.json, explain=True)
    return 0
