"""Where images go and what is trusted: flags, environment, the user's file, the protected branch. Pure.

The commit being built has no say here: whoever wrote a pull request would.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from buildkit.config import checks
from buildkit.config.keys import VARIANTS, convert, flatten, guess, wrong
from buildkit.config.table import PLACES, SETTINGS, Kind, Setting, Source
from buildkit.config.toml import Document, Place, find_settings, load
from buildkit.config.user import CONFIG_VARIABLE, UserFile, cache_directory
from buildkit.config.values import Ignored, Places, Resolved, SettingsFiles
from buildkit.errors import InvalidInput

_TRUTHS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "to": checks.destinations,
    "variant": checks.plain,
    "reuse.from": checks.reuse_sources,
    "expire.keep": checks.kept,
    "insecure": checks.hosts,
    "ca_file": checks.plain,
    "lfs.url": checks.lfs_url,
    "wheels.index": checks.index_url,
    "wheels.hosts": checks.hosts,
    "wheels.wheelhouse": checks.folders,
    "cache": checks.plain,
    "repo": checks.plain,
}
# What must not be lost is not outvoted either: here nobody's word replaces another's.
_ADD_UP = frozenset({"expire.keep"})
_HOST_PATHS = frozenset({"ca_file", "cache", "wheels.wheelhouse"})


class _Layer(NamedTuple):
    """What one source says, by setting name; `origins` has a name for each, fit for a message."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]
    ignored: tuple[Ignored, ...] = ()


def resolve_places(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    user_file: UserFile | None = None,
    protected: SettingsFiles | None = None,
) -> Resolved:
    """The strongest source wins, value by value: flags, environment, user's file, protected branch, default.

    `flags` has setting names; None there means that the flag was not given, and a text is taken as in the
    environment. Raises InvalidInput naming where a bad value is from.
    """
    layers = (_flags(flags), _environment(environ), _user(user_file), _protected(protected))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for setting in PLACES:
        said = [layer for layer in layers if setting.name in layer.values]
        for layer in said if setting.name in _ADD_UP else said[:1]:
            origin = layer.origins[setting.name]
            value = _checked(setting, layer.values[setting.name], origin, environ)
            before = values.get(setting.field)
            values[setting.field] = value if before is None else tuple(dict.fromkeys((*before, *value)))
            origins[setting.name] = ", ".join(filter(None, (origins.get(setting.name), origin)))
    values.setdefault("cache", cache_directory(environ))
    values.setdefault("jobs", min(8, max(2, os.cpu_count() or 2)))
    return Resolved(Places(**values), origins, tuple(note for layer in layers for note in layer.ignored))


def left_to_protected(
    flags: Mapping[str, Any], environ: Mapping[str, str], user_file: UserFile | None = None
) -> frozenset[str]:
    """The settings that only the protected branch can still give a value; not those that add up.

    Asking for that branch costs a question to the remote, which is not worth it where none of these matters.
    """
    settled = {**_flags(flags).values, **_environment(environ).values, **_user(user_file).values}
    asked = (s.name for s in PLACES if Source.PROTECTED in s.sources and s.name not in _ADD_UP)
    return frozenset(name for name in asked if name not in settled)


def _flags(flags: Mapping[str, Any]) -> _Layer:
    given = {name: value for name, value in flags.items() if value not in (None, ()) and value != []}
    origins = {name: f"flag {SETTINGS[name].flag}" for name in given}
    values = {
        name: _decode(SETTINGS[name], value, origins[name]) if isinstance(value, str) else value
        for name, value in given.items()
    }
    return _Layer(values, origins)


def _environment(environ: Mapping[str, str]) -> _Layer:
    known = {setting.variable: setting for setting in PLACES if setting.variable}
    found = {setting.name: (name, environ[name]) for name, setting in known.items() if environ.get(name)}
    values = {name: _decode(SETTINGS[name], text, variable) for name, (variable, text) in found.items()}
    return _Layer(
        values, {name: variable for name, (variable, _) in found.items()}, _strangers(environ, known)
    )


def _strangers(environ: Mapping[str, str], known: Mapping[str, Setting]) -> tuple[Ignored, ...]:
    strange = (name for name in environ if name.startswith("TREESHIP_") and name not in known)
    return tuple(
        Ignored(name, "the environment", guess(name, known) or "no setting has this variable")
        for name in sorted(strange)
        if name != CONFIG_VARIABLE
    )


def _user(user_file: UserFile | None) -> _Layer:
    if user_file is None:
        return _Layer({}, {})
    document = Document(user_file.path, load(user_file.data, Place(user_file.path)))
    flat = flatten(document)
    for name in flat:
        if name == VARIANTS or SETTINGS[name].in_commit:
            fault = "this says what an image holds, which comes from the commit alone"
            raise wrong(document.origin, name, fault, "move it to treeship.toml in the repository")
    return _from_file(document, flat, Source.USER)


def _protected(protected: SettingsFiles | None) -> _Layer:
    if protected is None:
        return _Layer({}, {})
    document = find_settings(protected.files, protected.origin)
    return _from_file(document, flatten(document), Source.PROTECTED) if document.values else _Layer({}, {})


def _from_file(document: Document, flat: Mapping[str, Any], source: Source) -> _Layer:
    from buildkit.config.schema import PlacesTable

    places = {setting.name: setting for setting in PLACES}
    counts = {
        name: value for name, value in flat.items() if name in places and source in places[name].sources
    }
    table = convert(counts, PlacesTable, document.origin)
    values = {name: getattr(table, places[name].field) for name in counts}
    ignored = tuple(
        Ignored(name, document.origin, f"it counts only from {', '.join(places[name].sources)}")
        for name in flat
        if name in places and name not in counts
    )
    return _Layer(values, dict.fromkeys(counts, document.origin), ignored)


def _decode(setting: Setting, text: str, origin: str) -> Any:
    """A value from text, as it comes from a variable or a flag; lists are separated by white space."""
    try:
        match setting.kind:
            case Kind.SWITCH:
                return _TRUTHS[text.strip().lower()]
            case Kind.COUNT:
                return int(text)
            case Kind.SECONDS:
                return float(text)
            case Kind.TEXTS:
                return text.split()
            case Kind.TEXT | Kind.TABLE:
                return text
    except (KeyError, ValueError):
        raise InvalidInput(
            f"{origin}: expected {setting.expected}", "docs/settings.md lists all settings"
        ) from None


def _checked(setting: Setting, value: Any, origin: str, environ: Mapping[str, str]) -> Any:
    try:
        if setting.kind is Kind.COUNT and not 1 <= value <= 1024:
            raise ValueError(f"expected {setting.expected}, at most 1024")
        if setting.kind is Kind.SECONDS and not 0 < value <= 86400:
            raise ValueError(f"expected {setting.expected}, at most a day")
        value = tuple(value) if setting.kind is Kind.TEXTS else value
        value = _CHECKS[setting.name](value) if setting.name in _CHECKS else value
    except (ValueError, InvalidInput) as error:
        key = "" if origin.startswith(("flag ", "TREESHIP_")) else f"{setting.name}: "
        raise InvalidInput(
            f"{origin}: {key}{checks.fault_of(error)}", "docs/settings.md lists all settings"
        ) from None
    if setting.name not in _HOST_PATHS:
        return value
    return (
        _at_home(value, environ)
        if isinstance(value, str)
        else tuple(_at_home(each, environ) for each in value)
    )


def _at_home(path: str, environ: Mapping[str, str]) -> str:
    return environ.get("HOME", "~") + path[1:] if path == "~" or path.startswith("~/") else path
