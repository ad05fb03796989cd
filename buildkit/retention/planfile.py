"""A plan as a file: JSON lines, a header and one line for each manifest that goes. Pure.

It is read as anybody's: what it names is removed only where a plan made anew agrees (`applying.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from buildkit.errors import InvalidInput
from buildkit.image.digest import Digest
from buildkit.retention.plan import Removal, Rules, seconds_of
from buildkit.retention.stock import Ties

FORMAT = 1
FILE_LIMIT = 512 * 1024 * 1024


class PlanFile(NamedTuple):
    """`made` is RFC 3339; `keep_set` the digest of `Keep`; `removals` by repository as it was named."""

    made: str
    rules: Rules
    keep_set: str
    removals: Mapping[str, tuple[Removal, ...]]


def dump(plan: PlanFile) -> bytes:
    """Equal for equal plans."""
    header = {
        "treeship_expire": FORMAT,
        "made": plan.made,
        "repositories": list(plan.removals),
        "rules": {**plan.rules._asdict(), "branches": list(plan.rules.branches)},
        "keep_set": plan.keep_set,
    }
    lines = [
        describe(repository, removal)
        for repository, removals in plan.removals.items()
        for removal in removals
    ]
    return b"".join(json.dumps(line, sort_keys=True).encode() + b"\n" for line in (header, *lines))


def describe(repository: str, removal: Removal) -> dict[str, Any]:
    """One removal as JSON: a line of the file, and an item of `--json`."""
    return {
        "repository": repository,
        "digest": removal.digest,
        "tags": list(removal.tags),
        "created": removal.created,
        "why": removal.why,
        "parents": list(removal.ties.parents),
        "subjects": list(removal.ties.subjects),
    }


def load(raw: bytes, where: str) -> PlanFile:
    """Raises InvalidInput for what is no plan, or one of another format."""
    try:
        header, *lines = [_object(line) for line in raw.splitlines() if line.strip()] or [{}]
        if header.get("treeship_expire") != FORMAT:
            raise InvalidInput(
                f"{where} is no plan of format {FORMAT}", "make one with treeship expire --out FILE"
            )
        made, keep_set = _text(header, "made"), _text(header, "keep_set")
        if seconds_of(made) is None:
            raise ValueError
        removals: dict[str, list[Removal]] = {name: [] for name in _texts(header, "repositories")}
        for line in lines:
            removals[_text(line, "repository")].append(_removal(line))
        return PlanFile(
            made, _rules(header), keep_set, {name: tuple(found) for name, found in removals.items()}
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidInput(f"{where} is malformed", "make the plan anew") from None


def _object(line: bytes) -> dict[str, Any]:
    value = json.loads(line)
    if not isinstance(value, dict):
        raise TypeError
    return value


def _removal(line: dict[str, Any]) -> Removal:
    ties = Ties(_digests(line, "parents"), _digests(line, "subjects"))
    return Removal(
        Digest(_text(line, "digest")), _texts(line, "tags"), _text(line, "created"), _text(line, "why"), ties
    )


def _rules(header: dict[str, Any]) -> Rules:
    value = header["rules"]
    older, keep, unknown = value["older_than"], value["keep"], value["unknown_commits"]
    if type(older) is not int or type(keep) is not int or type(unknown) is not bool or older < 0 or keep < 0:
        raise TypeError
    return Rules(older, keep, _texts(value, "branches"), unknown)


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields[key]
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(fields: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value: Iterable[Any] = fields[key]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError
    return tuple(value)


def _digests(fields: Mapping[str, Any], key: str) -> tuple[Digest, ...]:
    return tuple(Digest(text) for text in _texts(fields, key))
