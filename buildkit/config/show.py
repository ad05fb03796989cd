"""The resolved settings for people: each value, and where it is from."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from buildkit.config.table import SETTINGS
from buildkit.config.values import Holds, Resolved

_USERINFO = re.compile(r"(?<=://)[^/?#\s]*@")
_QUERY = re.compile(r"(?<=\?)[^#\s]+")


class Shown(NamedTuple):
    """One setting; `value` is fit for JSON and for anybody's eyes."""

    name: str
    value: Any
    origin: str


def show(holds: Holds, resolved: Resolved) -> tuple[Shown, ...]:
    """Every setting there is, in the order of the table, with secrets in URLs blotted out."""
    return tuple(
        Shown(
            name,
            blotted(getattr(holds if setting.in_commit else resolved.places, setting.field)),
            (holds.origins if setting.in_commit else resolved.origins).get(name, "default"),
        )
        for name, setting in SETTINGS.items()
    )


def blotted(value: Any) -> Any:
    """The value, as plain JSON types, without the user information and the query of the URLs in it."""
    match value:
        case str():
            return _blotted_url(value) if "://" in value else value
        case tuple() | list():
            return [blotted(item) for item in value]
        case dict():
            return {key: blotted(item) for key, item in value.items()}
        case _:
            return value


def _blotted_url(text: str) -> str:
    return _QUERY.sub("***", _USERINFO.sub("***@", text))
