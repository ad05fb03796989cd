"""`treeship base build`: build the bases of dockerfiles/ whose inputs have changed."""

from __future__ import annotations

import argparse
from typing import Any

from buildkit.bases.dockerfiles import build
from buildkit.bases.dockerfiles.arguments import parse_given
from buildkit.bases.dockerfiles.build import Outcome
from buildkit.bases.dockerfiles.engine import connected
from buildkit.bases.dockerfiles.folder import Dockerfiles
from buildkit.bases.dockerfiles.parents import Sources
from buildkit.bases.dockerfiles.plan import Wish
from buildkit.cache import Cache, NoCache
from buildkit.commands import options
from buildkit.commands.steps import watch
from buildkit.commands.workbench import network, places_of
from buildkit.config.values import Places
from buildkit.endpoints import Traffic
from buildkit.image.platform import Platform
from buildkit.terminal import Console

EXAMPLE = "treeship base build python-slim devbox --to docker://registry.example/bases/{name}:main"


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("names", metavar="NAME", nargs="+", help="a base of dockerfiles/bases.toml")
    parser.add_argument("--to", dest="destinations", action="append", default=[], metavar="DEST",
                        help="where it goes too; {name} becomes the base's name (may repeat)")  # fmt: skip
    parser.add_argument("--frozen", action="store_true",
                        help="refuse parents that bases.lock does not pin, and Dockerfiles that take anything else "
                             "without a digest")  # fmt: skip
    parser.add_argument("--build-arg", dest="build_args", action="append", default=[], metavar="NAME=VALUE",
                        help="instead of a default of bases.toml; no secrets: they stay in the image")  # fmt: skip
    parser.add_argument("--parent", dest="parents", action="append", default=[], metavar="[NAME=]REF",
                        help="stand on this instead of the parent of bases.toml (may repeat)")  # fmt: skip
    parser.add_argument("--platform", default="", metavar="OS/ARCH", help="default: this machine's")
    parser.add_argument("--network", default="", metavar="MODE",
                        help="of the build's steps: host, none (default: the engine's choice)")  # fmt: skip
    options.add_settings(parser, ("repo", *options.NETWORK))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """What the engine has with the same key is used as it is."""
    places = places_of(arguments, console)
    wish = Wish(
        tuple(dict.fromkeys(arguments.names)),
        parse_given(arguments.build_args),
        tuple(arguments.destinations),
        Platform.parse(arguments.platform) if arguments.platform else None,
    )
    folder = Dockerfiles.of(places.repo)
    overrides = build.parse_overrides(arguments.parents, list(folder.definitions()))
    build.check(folder, wish)
    with network(places, console, Traffic()) as connect, connected() as engine:
        sources = Sources(connect, _cache(places), engine, console.note, frozen=arguments.frozen)
        steps = build.plan(folder, wish, overrides, sources)
        outcomes = build.carry_out(steps, sources, watch(console), arguments.network)
    if places.json:
        console.json({"bases": [_described(outcome) for outcome in outcomes]})
        return 0
    console.table([("base", "key", "image", ""), *(_row(outcome) for outcome in outcomes)])
    for outcome in outcomes:
        for target in outcome.sent:
            console.print(f"{target}@{target.digest}")
    return 0


def _cache(places: Places) -> Cache:
    return Cache(places.cache) if places.cache and places.reuse_enabled else NoCache()


def _row(outcome: Outcome) -> tuple[str, str, str, str]:
    image = outcome.image.id.removeprefix("sha256:")[:12] if outcome.image else ""
    return (str(outcome.step.node), outcome.step.key.hex[:12], image, _action(outcome))


def _action(outcome: Outcome) -> str:
    return "built" if outcome.built else "unchanged" if outcome.image else "not needed"


def _described(outcome: Outcome) -> dict[str, Any]:
    step, root = outcome.step, outcome.step.root
    return {
        "name": step.node.name,
        "stage": step.node.stage,
        "key": step.key,
        "action": _action(outcome),
        "image": outcome.image.id if outcome.image else None,
        "platform": str(step.platform),
        "parent": str(root.reference),
        "parent_digest": root.digest,
        "pinned": root.pinned,
        "destinations": [
            {
                "destination": str(target),
                "digest": target.digest,
                "action": "reused" if target in step.targets else "sent",
            }
            for target in outcome.sent
        ],
    }
