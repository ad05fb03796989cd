"""Flags, made from the table of settings, so that every flag has a setting and both say the same."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from buildkit.config.table import SETTINGS, Kind, Setting

_METAVARS = {
    "base": "REF", "platforms": "OS/ARCH", "to": "DEST", "reuse.from": "REF", "insecure": "HOST", "repo": "DIR",
    "cache": "DIR", "variant": "NAME", "ca_file": "FILE", "lfs.url": "URL", "jobs": "N",
    "expire.keep": "REF",
    "wheels.wheelhouse": "DIR", "wheels.index": "URL", "wheels.hosts": "HOST",
}  # fmt: skip
NETWORK = ("insecure", "ca_file", "timeouts.connect", "timeouts.read", "cache", "jobs", "json")
CONTENT = (
    "repo", "base", "variant", "platforms", "dependencies",
    "wheels.wheelhouse", "wheels.index", "wheels.hosts", "lfs.url",
)  # fmt: skip
DELIVERY = ("to", "retag", "commit_tag", "reuse.from", "reuse.enabled")


def add_settings(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """A flag for each of these settings; absent ones are None, so that weaker sources can speak."""
    for name in names:
        setting = SETTINGS[name]
        doc = setting.doc.replace("`", "").replace("%", "%%")
        if setting.kind is Kind.SWITCH:
            value = not setting.flag.startswith("--no-")
            parser.add_argument(setting.flag, dest=name, action="store_const", const=value, help=doc)
        elif setting.kind is Kind.TEXTS:
            parser.add_argument(setting.flag, dest=name, action="append", metavar=_metavar(setting), help=doc)
        else:
            parser.add_argument(setting.flag, dest=name, metavar=_metavar(setting), help=doc)


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The flags that were given, by setting name."""
    return {name: value for name, value in vars(arguments).items() if name in SETTINGS and value is not None}


def _metavar(setting: Setting) -> str:
    return _METAVARS.get(setting.name, "SECONDS" if setting.kind is Kind.SECONDS else "VALUE")
