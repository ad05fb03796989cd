"""`treeship copy`: copy an image from one place to another, as it is."""

from __future__ import annotations

import argparse

from buildkit import human
from buildkit.commands import options
from buildkit.commands.workbench import network, places_of
from buildkit.copy import copy
from buildkit.endpoints import Action, Traffic
from buildkit.image.platform import Platform
from buildkit.image.reference import parse_reference
from buildkit.terminal import Console

EXAMPLE = "treeship copy docker://registry.example/app:main oci:images:main"


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("source", metavar="SRC", help="the image to copy")
    parser.add_argument("destination", metavar="DST", help="where to; without a tag it keeps the source's")
    parser.add_argument("--platform", dest="platform", action="append", default=[], metavar="OS/ARCH",
                        help="of an index, only this one (may repeat)")  # fmt: skip
    options.add_settings(parser, options.NETWORK)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Digests stay as they are wherever the destination keeps manifests."""
    source, destination = parse_reference(arguments.source), parse_reference(arguments.destination)
    platforms = tuple(Platform.parse(text) for text in arguments.platform)
    places = places_of(arguments, console)
    traffic = Traffic()
    with network(places, console, traffic) as connect:
        copied = copy(source, destination, connect, platforms=platforms)
    counts = {action: copied.receipt.bytes_by(action, copied.work.blobs) for action in Action}
    if places.json:
        console.json({
            "source": str(source),
            "destination": str(destination),
            "digest": copied.digest,
            **{f"bytes_{word}": counts[action] for word, action in _WORDS.items()},
            "requests": traffic.requests,
        })  # fmt: skip
    else:
        console.print(", ".join(f"{word} {human.size(counts[action])}" for word, action in _WORDS.items()))
        console.print(f"{destination}@{copied.digest}")
    return 0


_WORDS = {"pushed": Action.PUSH, "mounted": Action.MOUNT, "reused": Action.REUSE}
