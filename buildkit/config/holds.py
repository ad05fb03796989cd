"""What an image holds, out of the settings files of the commit that is built. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from buildkit.config import checks
from buildkit.config.keys import VARIANTS, convert, flatten, wrong
from buildkit.config.table import SETTINGS, Source
from buildkit.config.toml import Document, find_settings
from buildkit.config.values import PREFIX, Holds, Ignored, Overrides
from buildkit.errors import InvalidInput

if TYPE_CHECKING:
    from buildkit.config.schema import VariantTable

_T = TypeVar("_T")
_R = TypeVar("_R")


def parse_holds(files: Mapping[str, bytes], origin: str) -> Holds:
    """Read `treeship.toml` and `pyproject.toml`, as far as `files` has them; `origin` names the commit.

    Settings that say where things go are not taken from here, and are listed in `Holds.ignored`.
    Raises InvalidInput naming file and key. Imports msgspec and tomllib only for what has settings.
    """
    document = find_settings(files, origin)
    return _resolve(document) if document.values else Holds()


def _resolve(document: Document) -> Holds:
    from buildkit.config.schema import HoldsTable

    flat = flatten(document)
    said = {name: value for name, value in flat.items() if name in SETTINGS and SETTINGS[name].in_commit}
    table = convert(said, HoldsTable, document.origin)
    check = _Checker(document.origin)
    prefix = check("prefix", checks.prefix, table.prefix) or PREFIX
    plain: dict[str, Any] = {
        "prefix": prefix,
        "include": check("include", checks.patterns, table.include),
        "exclude": check("exclude", checks.patterns, table.exclude),
        "source": check("source", checks.source_url, table.source),
        "version": check("version", checks.plain, table.version),
        "submodules": check.choice("submodules", table.submodules),
        "case_collisions": check.choice("case_collisions", table.case_collisions),
        "lfs_include": check("lfs.include", checks.patterns, table.lfs_include),
        "lfs_pointers": check.choice("lfs.pointers", table.lfs_pointers),
        "lock": check("lock", checks.lock, table.lock),
        "slim": check("slim", checks.slim_rules, table.slim),
        "slim_keep": check("slim_keep", checks.patterns, table.slim_keep),
        "estargz": table.estargz,
        "pythonpath": (prefix,),
        "workdir": prefix,
    }
    plain |= {
        key: value for key, value in _overrides(table, check, prefix)._asdict().items() if value is not None
    }
    return Holds(
        **{key: value for key, value in plain.items() if value is not None},
        variants=_variants(flat.get(VARIANTS, {}), document.origin, prefix),
        origins=dict.fromkeys(said, document.origin),
        ignored=_elsewhere(flat, document.origin),
    )


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _variants(tables: Mapping[str, Any], origin: str, prefix: str) -> dict[str, Overrides]:
    from buildkit.config.schema import VariantTable

    variants = {}
    for name, values in tables.items():
        within = f"{VARIANTS}.{name}."
        _Checker(origin)(f"{VARIANTS}.{name[:60]}", checks.variant_name, name)
        table = convert(values, VariantTable, origin, within)
        variants[name] = _overrides(table, _Checker(origin, within), prefix)
    return variants


def _overrides(table: VariantTable, check: _Checker, prefix: str) -> Overrides:
    return Overrides(
        base=check("base", checks.commit_base, table.base),
        platforms=check("platforms", checks.platforms, table.platforms),
        pythonpath=check("pythonpath", lambda texts: checks.search_path(texts, prefix), table.pythonpath),
        path=check("path", lambda texts: checks.search_path(texts, prefix), table.path),
        workdir=check("workdir", lambda text: checks.below(text, prefix), table.workdir),
        user=check("user", checks.user, table.user),
        entrypoint=check("entrypoint", checks.words, table.entrypoint),
        cmd=check("cmd", checks.words, table.cmd),
        labels=check("labels", checks.named_texts, table.labels),
        environment=check("environment", checks.named_texts, table.environment),
        dependencies=table.dependencies,
        extras=check("extras", checks.names_of_parts, table.extras),
        groups=check("groups", checks.names_of_parts, table.groups),
    )


def _elsewhere(flat: Mapping[str, Any], origin: str) -> tuple[Ignored, ...]:
    found = (SETTINGS[name] for name in flat if name in SETTINGS and not SETTINGS[name].in_commit)
    return tuple(
        Ignored(setting.name, origin, f"it counts only from {', '.join(setting.sources)}"
                + (" (merge it there)" if Source.PROTECTED in setting.sources else ""))
        for setting in found
    )  # fmt: skip


class _Checker:
    """Applies checks to values that were said, and names file and key where one fails."""

    def __init__(self, origin: str, within: str = "") -> None:
        self._origin = origin
        self._within = within

    def __call__(self, name: str, check: Callable[[_T], _R], value: _T | None) -> _R | None:
        if value is None:
            return None
        try:
            return check(value)
        except (ValueError, InvalidInput) as error:
            raise wrong(self._origin, self._within + name, checks.fault_of(error)) from None

    def choice(self, name: str, value: str | None) -> str | None:
        if value is not None and value not in SETTINGS[name].choices:
            raise wrong(self._origin, name, f"expected {SETTINGS[name].expected}")
        return value
