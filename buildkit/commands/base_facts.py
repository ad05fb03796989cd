"""`treeship base facts`: what a base image holds, without running it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from buildkit.bases import base as bases
from buildkit.bases.base import Base
from buildkit.bases.facts import Facts, Python, missing_for_metaflow
from buildkit.bases.facts_cache import environment, facts_of
from buildkit.cache import Cache, NoCache
from buildkit.commands import options
from buildkit.commands.workbench import network, places_of
from buildkit.config.values import Places
from buildkit.endpoints import Traffic
from buildkit.image.platform import Platform
from buildkit.image.reference import Scratch, parse_reference
from buildkit.terminal import Console
from buildkit.transports import open_source

EXAMPLE = "treeship base facts docker://registry.example/bases/python:3.12"


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("image", metavar="REF", help="the base: docker://…, oci:DIR:tag, docker-archive:FILE")
    parser.add_argument(
        "--platform", default="", help="which of an index, as os/arch (default: this machine's)"
    )
    options.add_settings(parser, options.NETWORK)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """All layers of the base are read once; the next time its facts come from the cache."""
    reference = parse_reference(arguments.image)
    places = places_of(arguments, console)
    platforms = (Platform.parse(arguments.platform),) if arguments.platform else ()
    cache = _cache(places)
    with network(places, console, Traffic()) as connect:
        source = None if isinstance(reference, Scratch) else open_source(reference, connect)
        (base,) = bases.resolve(reference, source, platforms, cache)
        facts = facts_of(base, cache, console.progress())
    if places.json:
        console.json(_description(arguments.image, base, facts))
    else:
        console.table([("fact", "value"), *_rows(base, facts)])
    return 0


def _cache(places: Places) -> Cache:
    return Cache(places.cache) if places.cache and places.reuse_enabled else NoCache()


def _description(image: str, base: Base, facts: Facts) -> dict[str, Any]:
    missing = missing_for_metaflow(facts, environment(base))
    head = {"reference": image, "digest": base.digest, "platform": str(base.platform)}
    return {**head, **json.loads(facts.dump())["facts"], "missing_for_metaflow": missing}


def _rows(base: Base, facts: Facts) -> list[tuple[str, str]]:
    libc, cuda = facts.libc, facts.cuda
    missing = missing_for_metaflow(facts, environment(base))
    rows = [
        ("digest", base.digest or ""),
        ("platform", str(base.platform)),
        ("distribution", facts.distribution.name),
        ("libc", f"{libc.family} {libc.version} ({libc.source})" if libc else ""),
        ("cuda", f"{cuda.version} ({cuda.source})" if cuda else ""),
        *(("python", _python(python, facts)) for python in facts.pythons),
        ("merged", " ".join(f"{name}→{target}" for name, target in facts.merged)),
        ("programs", " ".join(program.path for program in facts.programs)),
        ("users", " ".join(f"{user.name}={user.uid}" for user in facts.users if user.uid >= 1000)),
        *(("Metaflow", text) for text in missing or ["nothing is missing"]),
    ]
    return [(name, value) for name, value in rows if value]


def _python(python: Python, facts: Facts) -> str:
    chosen = ", the one on PATH" if python.path == facts.python else ""
    return f"{python.path} {python.version} ({python.source}{chosen}), {len(python.installed)} distributions"
