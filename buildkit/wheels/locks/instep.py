"""Whether a uv.lock still is the lock of the pyproject.toml beside it.

uv can tell (`uv lock --check`), but only where it finds the Python that the project is for, which the machine that
builds need not have, and it may run the project's build backend to find out. So what uv wrote into its lock of the
project (`package.metadata`) is held against the project. Where requirements come from (`tool.uv.sources`) is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from buildkit.errors import InvalidInput

# What uv writes for a requirement that is no range of versions of an index.
_ORIGINS = frozenset({"url", "git", "path", "directory", "editable", "virtual"})
_EXTRA = re.compile(r"extra\s*==\s*['\"]([\w.-]{1,80})['\"]")
# uv rewrites markers; equal ones agree in all of these.
_PYTHONS = [f"3.{minor}.{patch}" for minor in range(8, 17) for patch in (0, 5)]
_SYSTEMS = (
    ("linux", "posix", "Linux", "x86_64"), ("linux", "posix", "Linux", "aarch64"),
    ("darwin", "posix", "Darwin", "arm64"), ("win32", "nt", "Windows", "AMD64"),
)  # fmt: skip


class _Required(NamedTuple):
    """A requirement in a form that is equal for equal meanings; `holds`: in which environments."""

    name: str
    extras: frozenset[str]
    versions: str
    holds: str | frozenset[str]


def check_in_step(pyproject: Mapping[str, Any], lock: Mapping[str, Any], source: str) -> None:
    """Raises InvalidInput where the project requires something else than when it was locked.

    Nothing is said of what only a build backend knows (`dynamic`), and of locks of uv versions that did not keep it.
    """
    project = _table(pyproject.get("project"))
    entry = _own_entry(lock)
    if not project or not entry or ("metadata" not in entry and entry.get("dependencies")):
        return
    metadata, unknown = _table(entry.get("metadata")), frozenset(_texts(project.get("dynamic")))
    if not unknown & {"dependencies", "optional-dependencies"}:
        _compare(_declared(project), metadata.get("requires-dist"), "", source)
    groups, locked = _groups(pyproject), _table(metadata.get("requires-dev"))
    for name in sorted(groups.keys() | locked.keys()):
        _compare(groups.get(name, []), locked.get(name), f" (group {name[:80]})", source)
    if "requires-python" not in unknown and not _table(lock.get("manifest")).get("members"):
        _compare_python(project.get("requires-python"), lock.get("requires-python"), source)


def _own_entry(lock: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the lock has of the project at its root."""
    packages = lock.get("package")
    for each in packages if isinstance(packages, list) else ():
        origin = _table(_table(each).get("source"))
        if "." in (origin.get("editable"), origin.get("virtual"), origin.get("directory")):
            return _table(each)
    return {}


def _compare(declared: Iterable[tuple[str, str]], locked: Any, where: str, source: str) -> None:
    entries = [_table(each) for each in locked] if isinstance(locked, list) else []
    placed = {str(each.get("name")) for each in entries if _ORIGINS & each.keys()}
    then = {_of_lock(each, placed): each for each in entries}
    now = {_of_project(text, extra, placed): text for text, extra in declared}
    for required, text in now.items():
        if required not in then:
            raise _stale(source, f"the project requires {text[:120]!r}{where}, and was locked without it")
    for required in then:
        if required not in now:
            said = f"{required.name}{required.versions}"[:120]
            raise _stale(
                source, f"it was locked with {said!r}{where}, which the project does not require now"
            )


def _stale(source: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"{source} is not in step with its pyproject.toml: {why}", "run `uv lock` and commit uv.lock"
    )


def _declared(project: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The requirements of the project, each with the extra that it is for."""
    from packaging.utils import canonicalize_name

    yield from ((text, "") for text in _texts(project.get("dependencies")))
    for extra, listed in _table(project.get("optional-dependencies")).items():
        yield from ((text, canonicalize_name(extra)) for text in _texts(listed))


def _groups(pyproject: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """The requirements of each dependency group, with those of groups that it includes (PEP 735)."""
    from packaging.utils import canonicalize_name

    tables = {
        canonicalize_name(name): each for name, each in _table(pyproject.get("dependency-groups")).items()
    }
    found = {str(name): [(text, "") for text in _expanded(name, tables, ())] for name in tables}
    legacy = _table(_table(pyproject.get("tool")).get("uv")).get("dev-dependencies")
    if isinstance(legacy, list):
        found["dev"] = found.get("dev", []) + [(text, "") for text in _texts(legacy)]
    return found


def _expanded(name: str, tables: Mapping[Any, Any], within: tuple[str, ...]) -> Iterator[str]:
    from packaging.utils import canonicalize_name

    listed = tables.get(name)
    yield from _texts(listed)
    for each in listed if isinstance(listed, list) and name not in within else ():
        included = _table(each).get("include-group")
        if isinstance(included, str):
            yield from _expanded(canonicalize_name(included), tables, (*within, name))


def _of_project(text: str, extra: str, placed: set[str]) -> _Required:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        found = Requirement(text)
    except (InvalidRequirement, ValueError, RecursionError):
        return _Required(text, frozenset(), "", "")
    name = canonicalize_name(found.name)
    versions = "" if name in placed else _versions(str(found.specifier))
    return _Required(name, _extras(found.extras), versions, _holds(str(found.marker or ""), extra))


def _of_lock(entry: Mapping[str, Any], placed: set[str]) -> _Required:
    name, marker = str(entry.get("name")), str(entry.get("marker") or "")
    versions = "" if name in placed else _versions(str(entry.get("specifier") or ""))
    return _Required(name, _extras(_texts(entry.get("extras"))), versions, _holds(marker, ""))


def _extras(names: Iterable[str]) -> frozenset[str]:
    from packaging.utils import canonicalize_name

    return frozenset(map(canonicalize_name, names))


def _versions(text: str) -> str:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return ",".join(sorted(f"{each.operator}{_number(each.version)}" for each in SpecifierSet(text)))
    except (InvalidSpecifier, ValueError):
        return text


def _number(version: str) -> str:
    from packaging.utils import canonicalize_version

    return canonicalize_version(version, strip_trailing_zero=False)


def _holds(marker: str, extra: str) -> str | frozenset[str]:
    """The environments in which a marker is true, for the extras that it speaks of; for `extra` alone where there is
    one."""
    from packaging.markers import Marker
    from packaging.utils import canonicalize_name

    try:
        parsed = Marker(marker) if marker else None
        extras = (
            [extra] if extra else ["", *sorted({canonicalize_name(each) for each in _EXTRA.findall(marker)})]
        )
        return frozenset(
            f"{python} {system[2:]} {each}"
            for each in extras
            for python in _PYTHONS
            for system in _SYSTEMS
            if parsed is None or parsed.evaluate(_environment(python, system, each))
        )
    except (ValueError, KeyError, RecursionError):
        return marker


def _environment(python: str, system: tuple[str, str, str, str], extra: str) -> dict[str, str]:
    platform, family, name, machine = system
    return {
        "python_full_version": python, "python_version": python.rpartition(".")[0], "os_name": family,
        "sys_platform": platform, "platform_system": name, "platform_machine": machine, "extra": extra,
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
        "implementation_version": python, "platform_release": "", "platform_version": "",
    }  # fmt: skip


def _compare_python(declared: object, locked: object, source: str) -> None:
    if isinstance(declared, str) and isinstance(locked, str) and _pythons(declared) != _pythons(locked):
        raise _stale(source, f"the project is for Python {declared[:80]}, and was locked for {locked[:80]}")


def _pythons(text: str) -> frozenset[str] | str:
    """Which versions of Python a specifier takes: uv writes it in another way (`~=3.11` is `>=3.11, <4`)."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        asked = SpecifierSet(text)
        numbers = [
            f"{major}.{minor}.{patch}" for major in (2, 3, 4) for minor in range(30) for patch in range(20)
        ]
        return frozenset(each for each in numbers if asked.contains(each))
    except (InvalidSpecifier, ValueError):
        return text


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
