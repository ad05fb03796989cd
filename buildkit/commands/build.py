"""`treeship build`: turn a commit into an image and send it where it goes."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from buildkit import build
from buildkit.build import Opened, Sent
from buildkit.commands import options, report
from buildkit.commands.batch import Done, Job, jobs
from buildkit.commands.workbench import Workbench, workbench
from buildkit.design import Design
from buildkit.production import Offer, Product, Shelf, make
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
        asked = jobs(found)
        shelf: Shelf = {}
        products = [
            make(found.bench, plan, spool, _offer(asked, plan, opened), shelf) for plan, opened in asked
        ]
        done = _sent(found, asked, products)
        for (product, delivered), (plan, opened) in zip(done, asked, strict=True):
            build.remember(found.bench, product, delivered)
            build.share_facts(found.bench, plan, opened, found.places)
    result = report.of_all(done, found, time.monotonic() - began)
    report.show_all(console, result, json=found.places.json)
    return 0


def _offer(asked: Sequence[Job], plan: Design, opened: Sequence[Opened]) -> Offer | None:
    """Layers are sent as they are made only for a single image: of several, each may still be refused."""
    return build.eager(plan, opened) if len(asked) == 1 else None


def _sent(found: Workbench, asked: Sequence[Job], products: Sequence[Product]) -> list[Done]:
    """All images are refused or none."""
    for product, (_, opened) in zip(products, asked, strict=True):
        build.refuse(product, opened, found.places)
    sent: Sent = {}
    return [
        Done(product, build.deliver(product, opened, found.places, sent))
        for product, (_, opened) in zip(products, asked, strict=True)
    ]
