"""`treeship expire`: plan which tags and manifests of a repository may go, and remove what a plan says.

1. What is there: tags, manifests, what they need (`retention/registry.py`, `retention/layout.py`).
2. What git and the settings name now; asked after 1, so that nothing new is missed (`retention/refs.py`).
3. The plan (`retention/plan.py`), or what is left of one that was made before (`retention/applying.py`).
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from buildkit import files
from buildkit.commands import options
from buildkit.commands.expire_report import Counter, show_applied, show_plans
from buildkit.commands.workbench import network, settings_files
from buildkit.config.places import resolve_places
from buildkit.config.user import read_user_file
from buildkit.config.values import Places
from buildkit.endpoints import Progress, Traffic
from buildkit.errors import InvalidInput, NotFound, Refused
from buildkit.git.address import is_url
from buildkit.git.protected import protected_tip
from buildkit.git.repository import Repository
from buildkit.image.reference import LayoutReference, RegistryReference
from buildkit.retention.applying import Rest, shrink
from buildkit.retention.keep import Keep, Refs, can_match, parse_entries, parse_places
from buildkit.retention.plan import DAY, Plan, Rules, seconds_of
from buildkit.retention.planfile import FILE_LIMIT, PlanFile, dump, load
from buildkit.retention.refs import read_refs
from buildkit.retention.shelf import Shelf, commits_of, plan_for, take_stock
from buildkit.retention.stock import Stock
from buildkit.terminal import Console
from buildkit.transports import Connect

EXAMPLE = "treeship expire docker://registry.example/team/app --older-than 30d --keep 20 --out plan.jsonl"
_CHANGES = 10
_UNITS = {"h": 3600, "d": DAY, "w": 7 * DAY}
_DEFAULT = "30d"
_MOST_AT_ONCE = 32
_FLAGS = (
    ("--older-than", "AGE", f"how old an image must be to go, like 12h, 30d, 8w (default: {_DEFAULT})"),
    ("--keep", "N", "keep the newest N commits' images of each variant (default: 0)"),
    (
        "--branch",
        "PATTERN",
        "tags like this, no commit's, may go too, unless git has such a ref (may repeat)",
    ),
    ("--out", "FILE", "write the plan there"),
    ("--apply", "FILE", "remove what this plan says and nothing names by now"),
)


class _Desk(NamedTuple):
    """What one run works with."""

    repository: Repository
    places: Places
    connect: Connect
    progress: Progress
    console: Console

    @property
    def keep(self) -> Keep:
        """What the settings name; git is asked later."""
        return Keep(Refs(), parse_entries(self.places.expire_keep))


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument(
        "repositories", metavar="REPOSITORY", nargs="*", help="docker://host/repository or oci:DIR"
    )
    for name, metavar, doc in _FLAGS:
        action = "append" if name == "--branch" else "store"
        parser.add_argument(name, metavar=metavar, action=action, help=doc)
    parser.add_argument(
        "--unknown-commits", action="store_true", help="images of commits that no ref leads to may go too"
    )
    options.add_settings(parser, ("expire.keep", "repo", *options.NETWORK))


def run(arguments: argparse.Namespace, console: Console) -> int:
    """A plan: 10 where something may go, 0 where nothing does. Applied: 0."""
    planned = _plan_file(arguments)
    rules = planned.rules if planned else _rules(arguments)
    wanted = parse_places(tuple(planned.removals) if planned else arguments.repositories)
    if planned and wanted.keys() != planned.removals.keys():
        raise InvalidInput(f"{arguments.apply} names repositories as no plan does", "make the plan anew")
    if not wanted:
        raise InvalidInput("no repository is named", "name one, like docker://registry.example/team/app")
    with _desk(arguments, console) as desk:
        if planned:
            return _apply(desk, planned, wanted)
        return _plan(desk, rules, wanted, arguments.out)


def _plan(
    desk: _Desk, rules: Rules, wanted: Mapping[str, RegistryReference | LayoutReference], out: str | None
) -> int:
    now = int(time.time())
    plans: dict[str, Plan] = {}
    keep = desk.keep
    for place, reference in wanted.items():
        shelf = _shelf(desk, reference, "pull")
        stock = take_stock(place, shelf, desk.keep, rules)
        keep = _with_git(desk, stock, rules)
        plans[place] = plan_for(place, shelf, stock, keep, rules, now)[0]
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    file = PlanFile(made, rules, keep.digest, {place: plan.removals for place, plan in plans.items()})
    if out:
        with files.explained(f"write {out}"):
            files.replace(out, dump(file))
    show_plans(desk.console, file, plans, out or "", json=desk.places.json)
    return _CHANGES if any(plan.removals for plan in plans.values()) else 0


def _apply(desk: _Desk, planned: PlanFile, wanted: Mapping[str, RegistryReference | LayoutReference]) -> int:
    # Age is counted to the day of the plan: nothing grows old enough between plan and apply.
    now = min(seconds_of(planned.made) or 0, int(time.time()))
    ready: dict[str, tuple[Shelf, Rest]] = {}
    # Every place is read before the first loses anything: what cannot be read may be what holds an image.
    for place, reference in wanted.items():
        removals = planned.removals[place]
        shelf = _shelf(desk, reference, "pull,push,delete")
        digests = [removal.digest for removal in removals]
        stock = take_stock(place, shelf, desk.keep, planned.rules, digests)
        keep = _with_git(desk, stock, planned.rules)
        if keep.digest != planned.keep_set:
            desk.console.note("what git and the settings name has changed since the plan")
        rest = shrink(removals, *plan_for(place, shelf, stock, keep, planned.rules, now, digests))
        ready[place] = (shelf, rest)
    done = {place: shelf.remove(rest) for place, (shelf, rest) in ready.items()}
    spared = {place: rest.spared for place, (_, rest) in ready.items()}
    show_applied(desk.console, done, spared, json=desk.places.json)
    return 0


def _with_git(desk: _Desk, stock: Stock, rules: Rules) -> Keep:
    commits = commits_of(stock)
    refs = read_refs(desk.repository, commits)
    if refs.shallow:
        if rules.unknown_commits:
            raise InvalidInput(
                "a shallow clone cannot tell which commits are unknown",
                "git fetch --unshallow, or leave out the flag",
            )
        desk.console.note(
            "the clone is shallow: images of commits that it lacks stay (git fetch --unshallow)"
        )
    if rules.unknown_commits and commits and not refs.known:
        raise Refused(
            f"none of the {len(commits)} commits with an image is in the repository {desk.places.repo or '.'}",
            "is it the right one? Name it with --repo, or leave --unknown-commits out",
        )
    return desk.keep._replace(refs=refs)


@contextmanager
def _desk(arguments: argparse.Namespace, console: Console) -> Iterator[_Desk]:
    flags, user_file = options.settings_of(arguments), read_user_file(console.environ)
    where = resolve_places(flags, console.environ, user_file).places.repo
    if is_url(where):
        raise InvalidInput("expire wants a clone with its history, not a URL", "clone it, and name the clone")
    with Repository(where or ".") as repository:
        tip = protected_tip(repository)
        if tip is None and repository.config("remote.origin.url"):
            raise NotFound(
                "origin's HEAD cannot be read, nor which images its settings hold", "git fetch origin"
            )
        protected = settings_files(repository, tip.commit, tip.origin) if tip else None
        resolved = resolve_places(flags, console.environ, user_file, protected)
        for ignored in resolved.ignored:
            console.note(str(ignored))
        with network(resolved.places, console, Traffic()) as connect:
            yield _Desk(repository, resolved.places, connect, Counter(console.err), console)


def _shelf(desk: _Desk, reference: RegistryReference | LayoutReference, actions: str) -> Shelf:
    if isinstance(reference, LayoutReference):
        from buildkit.retention.layout import LayoutShelf

        return LayoutShelf(reference)
    from buildkit.registry.registries import Registries
    from buildkit.retention.registry import RegistryShelf

    registries = desk.connect()
    assert isinstance(registries, Registries)
    # Thousands of small questions, of which each only waits: more at a time than transfers.
    parallel = min(_MOST_AT_ONCE, 4 * desk.places.jobs)
    return RegistryShelf(registries.repository(reference, actions), desk.progress, parallel)


def _plan_file(arguments: argparse.Namespace) -> PlanFile | None:
    if arguments.apply is None:
        return None
    given = ("repositories", "older_than", "keep", "branch", "unknown_commits", "out")
    if any(vars(arguments)[name] not in (None, [], False) for name in given):
        raise InvalidInput(
            "--apply takes its repositories and rules from the plan",
            "only --keep-ref may add to what is kept",
        )
    return load(files.read_small(arguments.apply, FILE_LIMIT), arguments.apply)


def _rules(arguments: argparse.Namespace) -> Rules:
    age = re.fullmatch(
        r"([0-9]{1,5})([hdw])", _DEFAULT if arguments.older_than is None else arguments.older_than
    )
    if age is None:
        raise InvalidInput(f"no age: {arguments.older_than!r}", "write it like 12h, 30d or 8w")
    count = "0" if arguments.keep is None else arguments.keep
    if not re.fullmatch(r"[0-9]{1,6}", count):
        raise InvalidInput(f"no number of images: {count!r}", "write it like --keep 20")
    branches = tuple(dict.fromkeys(arguments.branch or ()))
    if unfit := [pattern for pattern in branches if not can_match(pattern)]:
        raise InvalidInput(f"no tag is like {unfit[0]!r}", "write it like --branch 'feature-*'")
    return Rules(int(age[1]) * _UNITS[age[2]], int(count), branches, arguments.unknown_commits)
