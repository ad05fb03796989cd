"""What was planned or done, as data for `--json` and as lines for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from buildkit import human
from buildkit.bases.base import Base
from buildkit.endpoints import Action, Receipt
from buildkit.rebase.fleet import Outcome
from buildkit.rebase.plan import Onto, Part, Plan
from buildkit.rebase.target import Target

_WORDS = {"pushed": Action.PUSH, "mounted": Action.MOUNT, "reused": Action.REUSE}
_LONGEST = 500


def of_plan(plan: Plan, target: Target, receipt: Receipt) -> dict[str, Any]:
    """Keys: image, digest_before, digest, changed, destination, tags (those that move), platforms, notes, bytes_pushed,
    bytes_mounted, bytes_reused. Each of `platforms`: platform, digest_before, digest, base_before and base {name,
    digest}, layers_removed and layers_added (digests), layers_kept (a number), config (what, before, after), notes."""
    counts = {f"bytes_{word}": receipt.bytes_by(action, plan.blobs) for word, action in _WORDS.items()}
    return {
        "image": str(plan.subject.reference),
        "digest_before": plan.subject.document.digest,
        "digest": plan.target.digest,
        "changed": target.changed,
        "destination": str(target.destination.reference),
        "tags": list(target.work.tags),
        "platforms": [_part(part) for part in plan.parts],
        "notes": list(plan.notes),
        **counts,
    }


def of_fleet(onto: Onto, outcomes: Sequence[tuple[Outcome, Receipt]], seen: int) -> dict[str, Any]:
    """Keys: onto, tags_seen, and `images`: those on the outdated base. Each has `status` (changed, unchanged, held for
    lack of other tags than commits', refused) and tags_held (commit tags that stay); of one that is changed all keys
    of `of_plan`, of others image, tags and digest_before; of a refused one reason and remedy."""
    return {
        "onto": str(onto.reference),
        "tags_seen": seen,
        "images": [_outcome(*pair) for pair in outcomes],
    }


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The same for people."""
    verbs = ("would push", "mount", "reuse") if result["dry_run"] else ("pushed", "mounted", "reused")
    if "images" not in result:
        yield from _image(result, verbs)
        return
    for image in result["images"]:
        if image["status"] == "changed":
            yield from _image(image, verbs)
        else:
            yield f"{image['image']}  {' '.join(image['tags'])}: {image['status']}"
        if image["status"] == "refused":
            yield f"  {image['reason']}; {image['remedy']}"
        if image["tags_held"]:
            yield f"  stays with its old base: {' '.join(image['tags_held'])} (--retag moves tags of commits)"
    count = sum(1 for image in result["images"] if image["status"] == "changed")
    yield f"{result['tags_seen']} tags seen, {len(result['images'])} images of that base, {count} to be changed"


def _outcome(outcome: Outcome, receipt: Receipt) -> dict[str, Any]:
    candidate = outcome.candidate
    found: dict[str, Any] = {
        "status": _status(outcome),
        "image": str(candidate.reference),
        "tags": list(candidate.tags),
        "tags_held": list(outcome.held),
        "digest_before": candidate.document.digest,
    }
    if outcome.plan and outcome.target and not outcome.error:
        found |= of_plan(outcome.plan, outcome.target, receipt)
    if outcome.error:
        found |= {"reason": outcome.error.what, "remedy": outcome.error.remedy}
    return found


def _status(outcome: Outcome) -> str:
    if outcome.error:
        return "refused"
    if outcome.plan is None:
        return "held"
    return "changed" if outcome.target else "unchanged"


def _part(part: Part) -> dict[str, Any]:
    gone, come = part.swapped
    return {
        "platform": str(part.new.platform),
        "digest_before": part.before.manifest.digest,
        "digest": part.after.manifest.digest,
        "base_before": _base(part.old),
        "base": _base(part.new),
        "layers_removed": [layer.digest for layer in gone],
        "layers_added": [layer.digest for layer in come],
        "layers_kept": part.kept,
        "config": [change._asdict() for change in part.changes],
        "notes": list(part.notes),
    }


def _base(base: Base) -> dict[str, str | None]:
    return {"name": base.name or str(base.reference), "digest": base.digest}


def _image(image: Mapping[str, Any], verbs: Sequence[str]) -> Iterator[str]:
    yield f"{image['image']}  {image['digest_before']}"
    for part in image["platforms"]:
        yield f"{part['platform']}"
        yield f"  base    {_named(part['base_before'])}"
        yield f"       →  {_named(part['base'])}"
        counts = (len(part["layers_removed"]), len(part["layers_added"]), part["layers_kept"])
        yield "  layers  {} of the old base go, {} of the new one come, {} of the image stay".format(*counts)
        for change in part["config"]:
            yield from (f"  {sign} {change['what']}: {text[:_LONGEST]}" for sign, text in _sides(change))
        yield from (f"  note: {note}" for note in part["notes"])
    yield from (f"note: {note}" for note in image["notes"])
    sizes = (human.size(image[f"bytes_{word}"]) for word in _WORDS)
    yield ", ".join(f"{verb} {size}" for verb, size in zip(verbs, sizes, strict=True))
    tags = " ".join(image["tags"]) or "no tag moves"
    yield f"{image['destination']}  {tags}  {image['digest']}"


def _sides(change: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(sign, change[side]) for sign, side in (("-", "before"), ("+", "after")) if change[side]]


def _named(base: Mapping[str, str | None]) -> str:
    return f"{base['name']}{'@' + base['digest'] if base['digest'] else ''}"
