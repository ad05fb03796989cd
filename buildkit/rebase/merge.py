"""The configs of an old base, a new base and an image become one. Pure.

Where the image says what the old base said, it takes what the new base says; where it says something else, it keeps
it. Where the new base has changed the same thing in another way, the image wins, and the conflict is noted.
Absent, null, and empty lists and texts mean the same here, as they do to runtimes. Fields that nobody here knows are
merged whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from buildkit.image.annotations import BASE_DIGEST, BASE_NAME, OCI, TREESHIP
from buildkit.rebase import environment

# Sets, written as objects: each key is a statement of its own.
_SETS = frozenset({"ExposedPorts", "Volumes"})
# What the new base says of itself, what is put together elsewhere, and Docker's record of a container.
_ELSEWHERE = frozenset({
    "architecture", "os", "variant", "os.version", "os.features", "created", "config", "rootfs", "history",
    "container", "container_config",
})  # fmt: skip


class Merged(NamedTuple):
    """The merged object, and notes on what both sides have changed."""

    fields: dict[str, Any]
    notes: tuple[str, ...]


def merge_runtime(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    own: Mapping[str, Any],
    annotations: Mapping[str, str],
    base: Mapping[str, str],
) -> Merged:
    """The `config` objects. `annotations` are the image's, `base` those that name the new base: they are labels too."""
    fields, notes = _merge(old, new, own, skipped=frozenset({"Env", "Labels", *_SETS}), what="")
    if _said(own.get("Entrypoint")) != _said(old.get("Entrypoint")):
        # As in a Dockerfile, and in a build: a base's arguments are meant for the base's entry point.
        fields = {key: value for key, value in {**fields, "Cmd": own.get("Cmd")}.items() if value is not None}
    items, conflicts = environment.merge(old.get("Env") or (), new.get("Env") or (), own.get("Env") or ())
    notes = (*notes, *(_note(f"Env {name}") for name in conflicts))
    was, there, ours = _objects(old), _objects(new), _objects(own)
    for name in sorted(_SETS):
        merged = _merge(was[name], there[name], ours[name], what=f"{name} ")
        notes = (*notes, *merged.notes)
        said = new if own.get(name) == old.get(name) else own
        if merged.fields or isinstance(said.get(name), dict):
            fields[name] = merged.fields
    if items or own.get("Env") is not None:
        fields["Env"] = list(items)
    labels, more = merge_labels(was["Labels"], there["Labels"], ours["Labels"], annotations)
    fields["Labels"] = {**_without_base(labels), **base}
    return Merged(fields, (*notes, *more))


def merge_labels(
    old: Mapping[str, str], new: Mapping[str, str], own: Mapping[str, str], annotations: Mapping[str, str]
) -> Merged:
    """Labels by key. Those of OCI and of treeship describe the one image that has them: a base's never arrive in an
    image above it, and only those that an image had inherited in that way follow the base."""
    plain, notes = _merge(_others(old), _others(new), _others(own), what="Label ")
    described = {key: text for key, text in own.items() if _describes(key)}
    for key in [key for key in described if key not in annotations and own[key] == old.get(key)]:
        described.pop(key)
        described |= {key: new[key]} if key in new else {}
    return Merged({**plain, **described}, notes)


def merge_fields(old: Mapping[str, Any], new: Mapping[str, Any], own: Mapping[str, Any]) -> Merged:
    """The fields beside `config` that may be anybody's: author, what Docker writes, what is yet to be invented."""
    return _merge(old, new, own, skipped=_ELSEWHERE, what="")


def _merge(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    own: Mapping[str, Any],
    *,
    skipped: frozenset[str] = frozenset(),
    what: str,
) -> Merged:
    fields, notes = {}, []
    for key in _keys(new, own, skipped):
        was, there, ours = (_said(each.get(key)) for each in (old, new, own))
        changed = old.get(key) != new.get(key)
        side = new if changed and ours == was else own
        if side.get(key) is not None:
            fields[key] = side[key]
        if ours not in (was, there) and there != was:
            notes.append(_note(what + key))
    return Merged(fields, tuple(notes))


def _keys(new: Iterable[str], own: Iterable[str], skipped: frozenset[str]) -> list[str]:
    return [key for key in dict.fromkeys((*new, *own)) if key not in skipped]


def _said(value: Any) -> Any:
    """Null, and empty lists, objects and texts, are as good as nothing; an object in a set is empty, and says all."""
    return None if value in (None, [], "") else value


def _objects(fields: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = ((name, fields.get(name)) for name in ("Labels", *_SETS))
    return {name: value if isinstance(value, dict) else {} for name, value in found}


def _without_base(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in labels.items() if key not in (BASE_NAME, BASE_DIGEST)}


def _others(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in labels.items() if not _describes(key)}


def _describes(key: str) -> bool:
    return key.startswith((OCI, TREESHIP))


def _note(what: str) -> str:
    return f"{what}: the image and the new base have both changed it; the image's stays"
