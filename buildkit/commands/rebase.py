"""`treeship rebase`: swap the base under an image, or under all images that stand on an outdated one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from buildkit.cache import Cache
from buildkit.commands import options
from buildkit.commands.workbench import network, places_of
from buildkit.config.values import Places
from buildkit.endpoints import Receipt, Traffic
from buildkit.errors import InvalidInput, Refused
from buildkit.image.reference import Reference, parse_reference
from buildkit.rebase import fleet, report, target
from buildkit.rebase.fleet import Outcome, Outdated
from buildkit.rebase.plan import Workshop, open_base, plan
from buildkit.rebase.read import read
from buildkit.terminal import Console
from buildkit.transports import open_source

EXAMPLE = "treeship rebase docker://registry.example/app:main --onto docker://registry.example/python:3.12 --dry-run"
_CHANGES = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", help="the image; with --all-from, repositories without a tag"
    )
    parser.add_argument("--onto", metavar="BASE", required=True, help="the new base")
    parser.add_argument("--from", dest="origin", metavar="REF",
                        help="the old base (default: what the image says it stands on)")  # fmt: skip
    parser.add_argument("--all-from", dest="all_from", metavar="BASE",
                        help="rebase all images of these repositories that stand on this base: by digest, or by name "
                             "whatever digest it had")  # fmt: skip
    parser.add_argument("--to", dest="destination", metavar="DEST",
                        help="where to (default: the image's own place and tag)")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true",
                        help="show what would be done; exit code 10 where there is something to do")  # fmt: skip
    options.add_settings(parser, ("retag", "reuse.enabled", *options.NETWORK))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """One image, or a fleet of them; nothing is written before all that can be refused has been looked at."""
    _refuse_empty(arguments)
    places = places_of(arguments, console)
    images = [parse_reference(text) for text in arguments.images]
    traffic = Traffic()
    with network(places, console, traffic) as connect, _cache(places) as cache:
        workshop = Workshop(connect, cache, console.progress())
        if arguments.all_from:
            result, code = _fleet(workshop, images, arguments, places)
        else:
            result, code = _one(workshop, images, arguments, places)
    result |= {"dry_run": arguments.dry_run, "requests": traffic.requests}
    if places.json:
        console.json(result)
    else:
        for line in report.lines(result):
            console.print(line)
    return code


def _refuse_empty(arguments: argparse.Namespace) -> None:
    """A script's variable that is not set must not mean the default."""
    flags = {"--from": arguments.origin, "--all-from": arguments.all_from, "--to": arguments.destination}
    if empty := [flag for flag, value in flags.items() if value == ""]:
        raise InvalidInput(f"{empty[0]} is empty", "give it a value, or leave it out")


def _one(
    workshop: Workshop, images: list[Reference], arguments: argparse.Namespace, places: Places
) -> tuple[dict[str, Any], int]:
    if len(images) > 1:
        raise InvalidInput("several images at once", "name one, or repositories with --all-from")
    source = open_source(images[0], workshop.registries)
    origin = parse_reference(arguments.origin) if arguments.origin else None
    made = plan(
        workshop, read(images[0], source), open_base(workshop, parse_reference(arguments.onto)), origin
    )
    to = parse_reference(arguments.destination) if arguments.destination else None
    aimed = target.aim(made, workshop.registries, to=to, retag=places.retag)
    receipt = target.survey(aimed) if arguments.dry_run else target.publish(aimed)
    return report.of_plan(made, aimed, receipt), _CHANGES if arguments.dry_run and aimed.changed else 0


def _fleet(
    workshop: Workshop, images: list[Reference], arguments: argparse.Namespace, places: Places
) -> tuple[dict[str, Any], int]:
    if arguments.origin or arguments.destination:
        raise InvalidInput(
            "--all-from goes with neither --from nor --to", "images are written back where they are"
        )
    repositories = [fleet.repository(image) for image in images]
    outdated = Outdated.of(parse_reference(arguments.all_from))
    onto = open_base(workshop, parse_reference(arguments.onto))
    searches = [fleet.search(workshop.registries, place, outdated, places.jobs) for place in repositories]
    outcomes = [
        fleet.outcome(workshop, candidate, onto, retag=places.retag)
        for search in searches
        for candidate in search.candidates
    ]
    done = [_apply(each, dry_run=arguments.dry_run) for each in outcomes]
    seen = sum(search.tags for search in searches)
    return report.of_fleet(onto, done, seen), _code([each for each, _ in done], dry_run=arguments.dry_run)


def _apply(outcome: Outcome, *, dry_run: bool) -> tuple[Outcome, Receipt]:
    if outcome.target is None:
        return outcome, Receipt({})
    try:
        return outcome, (target.survey if dry_run else target.publish)(outcome.target)
    except (InvalidInput, Refused) as error:
        return outcome._replace(error=error), Receipt({})


def _code(outcomes: list[Outcome], *, dry_run: bool) -> int:
    """3 where anything is refused: what should stand on the new base does not."""
    if any(each.error for each in outcomes):
        return Refused.exit_code
    return _CHANGES if dry_run and any(each.target for each in outcomes) else 0


@contextmanager
def _cache(places: Places) -> Iterator[Cache]:
    """Where none is to be used, one for this run alone: facts of a base take seconds, and serve many images."""
    if places.cache and places.reuse_enabled:
        yield Cache(places.cache)
        return
    with TemporaryDirectory(prefix="treeship-") as folder:
        yield Cache(folder)
