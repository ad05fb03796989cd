"""`treeship inspect`: describe an image wherever it is."""

from __future__ import annotations

import argparse

from buildkit.commands import options
from buildkit.commands.workbench import network, places_of
from buildkit.endpoints import Source, Traffic
from buildkit.image.config import ImageConfig
from buildkit.image.manifest import Document, Manifest
from buildkit.image.reference import parse_reference
from buildkit.inspect import describe, lines
from buildkit.terminal import Console
from buildkit.transports import open_source

EXAMPLE = "treeship inspect oci:.treeship/oci:latest"


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument(
        "image", metavar="REF", help="docker://…, oci:DIR:tag, docker-daemon:name:tag, docker-archive:FILE"
    )
    options.add_settings(parser, options.NETWORK)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Nothing but manifest and config is read."""
    reference = parse_reference(arguments.image)
    places = places_of(arguments, console)
    with network(places, console, Traffic()) as connect:
        source = open_source(reference, connect)
        document = source.document()
        description = describe(str(reference), document, _configs(source, document))
    if places.json:
        console.json(description)
    else:
        for line in lines(description):
            console.print(line)
    return 0


def _configs(source: Source, document: Document) -> list[ImageConfig]:
    if not isinstance(document, Manifest):
        return []
    with source.blob(document.config) as stream:
        return [ImageConfig(stream.read(), document.config.media_type)]
