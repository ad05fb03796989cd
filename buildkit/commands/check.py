"""`treeship check`: compute an image again from git and compare."""

from __future__ import annotations

import argparse

from buildkit import check as checking
from buildkit.check import Subject, Verdict
from buildkit.commands import options
from buildkit.commands.workbench import network, places_of, workbench
from buildkit.endpoints import Traffic
from buildkit.errors import InvalidInput
from buildkit.image.annotations import REVISION, VARIANT
from buildkit.image.reference import parse_reference
from buildkit.terminal import Console
from buildkit.transports import open_source

EXAMPLE = "treeship check docker://registry.example/team/app:main --repo ."
_DIFFERENT = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("image", metavar="REF", help="the image to check")
    parser.add_argument("--commit", help="the commit it should be of (default: what its annotation says)")
    options.add_settings(parser, (*options.CONTENT, *options.NETWORK))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """0 where the image is what git says, 3 where it is not."""
    subject = _subject(arguments, console)
    if arguments.commit is None:
        arguments.commit = _annotated(subject, REVISION)
    if arguments.variant is None:
        arguments.variant = subject.annotations.get(VARIANT) or None
    with workbench(arguments, console, remembers=False) as found:
        verdict = checking.check(found.bench, found.commit, found.holds, subject)
    _show(console, verdict, json=found.places.json)
    return 0 if verdict.equal else _DIFFERENT


def _subject(arguments: argparse.Namespace, console: Console) -> Subject:
    with network(places_of(arguments, console), console, Traffic()) as connect:
        return checking.read(open_source(parse_reference(arguments.image), connect))


def _annotated(subject: Subject, key: str) -> str:
    value = subject.annotations.get(key, "")
    if not value:
        raise InvalidInput("the image does not say which commit it is of", "give it with --commit")
    return value


def _show(console: Console, verdict: Verdict, *, json: bool) -> None:
    if json:
        console.json({
            "digest": verdict.digest,
            "commit": verdict.commit.oid,
            "verdict": "equal" if verdict.equal else "different",
            "base_source": verdict.base_source,
            "differences": [difference._asdict() for difference in verdict.differences],
        })  # fmt: skip
        return
    for what, expected, found in verdict.differences:
        console.print(f"{what}\n  from git:  {expected or 'absent'}\n  in image:  {found or 'absent'}")
    word = "equal to" if verdict.equal else "different from"
    console.print(
        f"{verdict.digest} is {word} commit {verdict.commit.oid} (base named by {verdict.base_source})"
    )
