"""The keys of a settings file: flattened to setting names, unknown ones refused, types checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

from buildkit.config.table import GROUPS, IN_VARIANTS, SETTINGS, Setting
from buildkit.config.toml import Document
from buildkit.errors import InvalidInput

VARIANTS = "variants"
_DOCS = "docs/settings.md lists all settings"
_VARIANT_KEYS = frozenset(setting.name for setting in IN_VARIANTS)
_T = TypeVar("_T")


def flatten(document: Document) -> dict[str, Any]:
    """Setting name to value, plus `variants` as it is. Raises InvalidInput for any key that is no setting."""
    flat: dict[str, Any] = {}
    for key, value in document.values.items():
        if key in GROUPS:
            flat |= {f"{key}.{name}": item for name, item in _table(value, key, document.origin).items()}
        else:
            flat[key] = value
    _refuse_unknown(flat, {*SETTINGS, VARIANTS}, document.origin)
    for name, table in _table(flat.get(VARIANTS, {}), VARIANTS, document.origin).items():
        inside = _table(table, f"{VARIANTS}.{name}", document.origin)
        _refuse_unknown(inside, _VARIANT_KEYS, document.origin, f"{VARIANTS}.{name}.")
    return flat


def convert(values: Mapping[str, Any], shape: type[_T], origin: str, within: str = "") -> _T:
    """The values as a struct of `schema`. Raises InvalidInput naming file, key and what was expected."""
    import msgspec

    try:
        return msgspec.convert(values, shape, strict=True)
    except msgspec.ValidationError as error:
        path = str(error).rpartition(" - at `$.")[2].rstrip("`")
        setting = _setting_at(path)
        expected = setting.expected if setting else str(error).partition(" - at ")[0]
        raise wrong(origin, within + (setting.name if setting else path), f"expected {expected}") from None


def wrong(origin: str, key: str, fault: str, remedy: str = "") -> InvalidInput:
    """The error for one setting's value."""
    return InvalidInput(f"{origin}: {key}: {fault}", remedy or _DOCS)


def unknown(origin: str, key: str, known: Collection[str]) -> InvalidInput:
    """The error for one key that is no setting."""
    return InvalidInput(f"{origin}: unknown key {key[:200]!r}", guess(key, known) or _DOCS)


def guess(key: str, known: Collection[str]) -> str:
    """The nearest known key as a hint, or "" where none is near."""
    import difflib

    # The last part decides where it was only put into the wrong table.
    tails: dict[str, str] = {name.rpartition(".")[2]: name for name in sorted(known)}
    near = difflib.get_close_matches(key[:100], known, 1, 0.6)
    tail = difflib.get_close_matches(key[:100].rpartition(".")[2], tails, 1, 0.75)
    return f"did you mean {near[0] if near else tails[tail[0]]!r}?" if near or tail else ""


def _refuse_unknown(keys: Iterable[str], known: Collection[str], origin: str, within: str = "") -> None:
    for key in keys:
        if key not in known:
            raise unknown(origin, within + key, [within + name for name in known])


def _table(value: object, key: str, origin: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(origin, key, "expected a table", f"write [{key}]")
    return value


def _setting_at(path: str) -> Setting | None:
    """The setting that msgspec's path (`lfs.include[0]`, `labels[...]`) begins with."""
    return SETTINGS.get(path.partition("[")[0])
