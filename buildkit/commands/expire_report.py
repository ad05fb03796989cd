"""What `treeship expire` says: the plan, what was done, and how far it has come."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TextIO

from buildkit.retention.applying import Spared
from buildkit.retention.plan import Plan, Removal, counts
from buildkit.retention.planfile import PlanFile, describe
from buildkit.retention.shelf import Done
from buildkit.terminal import Console

_EVERY_SECONDS = 0.1
_MOST_HELD = 20


class Counter:
    """Progress of many small requests: one line on a terminal that counts, and nothing elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._totals: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._last = 0.0
        self._lock = threading.Lock()

    def start(self, label: str, total: int) -> None:
        """A line appears."""
        with self._lock:
            self._totals[label], self._done[label] = total, 0

    def advance(self, label: str, count: int) -> None:
        """It counts; from any thread."""
        with self._lock:
            self._done[label] += count
            now = time.monotonic()
            if self._shown and now - self._last > _EVERY_SECONDS:
                self._last = now
                self._write(f"{label}: {self._done[label]} of {self._totals[label]}")

    def finish(self, label: str) -> None:
        """It goes."""
        with self._lock:
            del self._totals[label], self._done[label]
            if self._shown:
                self._write("")

    def _write(self, text: str) -> None:
        self._stream.write(f"\r{text}\033[K")
        self._stream.flush()


def show_plans(console: Console, file: PlanFile, plans: Mapping[str, Plan], out: str, *, json: bool) -> None:
    """Every manifest that goes with its tags and why; of what stays, how many and why."""
    if json:
        console.json({
            "made": file.made,
            "rules": {**file.rules._asdict(), "branches": list(file.rules.branches)},
            "keep_set": file.keep_set,
            "repositories": [_summary(place, plan) for place, plan in plans.items()],
            "removals": [describe(place, one) for place, plan in plans.items() for one in plan.removals],
            "kept": [
                {"repository": place, "tag": one.tag, "why": one.why.name.lower(), "by": one.by}
                for place, plan in plans.items()
                for one in plan.kept
            ],
        })  # fmt: skip
        return
    rows = [
        (place, _name(one), one.created, one.why) for place, plan in plans.items() for one in plan.removals
    ]
    if rows:
        console.table([("repository", "goes", "created", "why"), *rows])
    for place, plan in plans.items():
        _show_counts(console, place, plan)
    if rows:
        console.note(f"nothing was removed; treeship expire --apply {out or 'FILE'} does that"
                     + ("" if out else ", with a plan that --out FILE wrote"))  # fmt: skip


def show_applied(
    console: Console, done: Mapping[str, Done], spared: Mapping[str, tuple[Spared, ...]], *, json: bool
) -> None:
    """How much was removed, and what of the plan stays after all."""
    if json:
        console.json({
            "repositories": [
                {"repository": place, "removed": one.removed, "gone_before": one.gone, "spared": len(spared[place])}
                for place, one in done.items()
            ],
            "spared": [
                {**describe(place, one.removal), "spared_since": one.why}
                for place, found in spared.items()
                for one in found
            ],
        })  # fmt: skip
        return
    for place, found in spared.items():
        for one in found:
            console.print(f"{place}: {_name(one.removal)} stays: {one.why}")
    for place, counted in done.items():
        before = f", {counted.gone} had gone before" if counted.gone else ""
        stay = f", {len(spared[place])} stay after all" if spared[place] else ""
        console.print(f"{place}: {_many(counted.removed, 'manifest')} removed{before}{stay}")


def _show_counts(console: Console, place: str, plan: Plan) -> None:
    """How many tags go and stay, and what holds those that something holds, as far as one wants to read that."""
    tags, stay = _many(sum(len(one.tags) for one in plan.removals), "tag"), len(plan.kept)
    goes = f"{_many(len(plan.removals), 'manifest')} with {tags} may go"
    console.print(f"{place}: {goes}, {_many(stay, 'tag')} {'stays' if stay == 1 else 'stay'}")
    for why, count in counts(plan.kept).items():
        console.print(f"  {count} since {why}")
        held = [one for one in plan.kept if one.why is why and one.by]
        for one in held[:_MOST_HELD]:
            console.print(f"    {one.tag}: {one.by}")
        if len(held) > _MOST_HELD:
            console.print(f"    and {len(held) - _MOST_HELD} more, all of them with --json")


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _name(removal: Removal) -> str:
    return " ".join(removal.tags) or removal.digest


def _summary(place: str, plan: Plan) -> dict[str, object]:
    return {
        "repository": place,
        "tags_removed": sum(len(one.tags) for one in plan.removals),
        "manifests_removed": len(plan.removals),
        "tags_kept": len(plan.kept),
        "kept": {why.name.lower(): count for why, count in counts(plan.kept).items()},
    }
