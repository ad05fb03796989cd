"""pylock.toml (PEP 751), by way of packaging.pylock, which knows the specification."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from buildkit.config.toml import Place, load
from buildkit.errors import InvalidInput
from buildkit.wheels.locks import checks
from buildkit.wheels.locks.model import LOCK_LIMIT, Lock, LockedPackage, LockedWheel

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageWheel, Pylock

_SEPARATORS = re.compile(r"[/\\?#;]")
_AGAIN = "write the lock again with the tool that made it"


def read_pylock(data: bytes, source: str = "pylock.toml") -> Lock:
    """The lock in a pylock.toml at `source`, a path in the commit; paths in it become relative to the commit's root.

    Raises InvalidInput for what PEP 751 does not allow, URLs with credentials, paths out of the commit, and sizes that
    no lock has.
    """
    from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError

    table = load(data, Place(source), LOCK_LIMIT)
    _check_texts(table, source)
    try:
        found = Pylock.from_dict(table)
    except PylockUnsupportedVersionError as error:
        raise InvalidInput(f"{source}: {error}", "lock with a tool that writes version 1.0") from None
    except (PylockValidationError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{source}: {_plain(str(error))}", _AGAIN) from None
    return _lock(found, source)


def _check_texts(table: Mapping[str, Any], source: str) -> None:
    """Before anything parses them: time and messages of parsers depend on what they are given."""
    for key, text in _texts(table):
        if len(text) > checks.TEXT_LIMIT:
            raise InvalidInput(f"{source}: a text ({key[:40]!r}) of {len(text)} characters", _AGAIN)
        if checks.has_credentials(text) and key in ("url", "index", "name", "path"):
            raise checks.credentials_error(source)
        if key in ("url", "name", "path"):
            _check_filenames(text, source)


def _check_filenames(text: str, source: str) -> None:
    # Wherever packaging could take a file name from: it ends a URL's path at ';', too.
    for part in _SEPARATORS.split(text):
        filename = unquote(part)
        if ".whl" in filename:
            try:
                checks.check_filename(filename)
            except ValueError as error:
                raise InvalidInput(f"{source}: {_plain(str(error))}", _AGAIN) from None


def _texts(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """All texts with their keys; without recursion, whose depth the file would decide."""
    open_values: list[tuple[str, Any]] = list(table.items())
    while open_values:
        key, value = open_values.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, Mapping):
            open_values.extend(value.items())
        elif isinstance(value, list):
            open_values.extend((key, each) for each in value)


def _lock(found: Pylock, source: str) -> Lock:
    folder = source.rpartition("/")[0]
    return Lock(
        source=source,
        packages=tuple(_package(each, source, folder) for each in found.packages),
        requires_python=str(found.requires_python or ""),
        environments=tuple(map(str, found.environments or ())),
        extras=tuple(found.extras or ()),
        groups=tuple(found.dependency_groups or ()),
        default_groups=tuple(found.default_groups or ()),
    )


def _package(package: Package, source: str, folder: str) -> LockedPackage:
    place = f"{source}: {package.name}"
    if package.index:
        checks.check_url(package.index, place)
    directory = package.directory.path if package.directory else ""
    required = (each.get("name") for each in package.dependencies or ())
    return LockedPackage(
        name=package.name,
        version=str(package.version or ""),
        wheels=tuple(_wheel(each, package, place, folder) for each in package.wheels or ()),
        sdist=package.sdist is not None,
        marker=str(package.marker or ""),
        requires_python=str(package.requires_python or ""),
        dependencies=tuple(name for name in required if isinstance(name, str)),
        source="vcs" if package.vcs else "directory" if directory else "archive" if package.archive else "",
        directory=checks.check_path(directory, place, folder) if directory else "",
        place=place,
    )


def _wheel(wheel: PackageWheel, package: Package, place: str, folder: str) -> LockedWheel:
    """`package` has the wheel; packaging has compared names and versions."""
    filename = wheel.filename
    try:
        _, version, _ = checks.parse_wheel(filename)
    except ValueError as error:
        raise InvalidInput(f"{place}: {_plain(str(error))}", _AGAIN) from None
    if wheel.size is not None and wheel.size < 0:
        raise InvalidInput(f"{place}: {filename} has a negative size", _AGAIN)
    return LockedWheel(
        name=package.name,
        version=version,
        filename=filename,
        url=checks.check_url(wheel.url, place) if wheel.url else "",
        path=checks.check_path(wheel.path, place, folder) if wheel.path else "",
        index_url=package.index or "",
        size=wheel.size,
        hashes=checks.check_hashes(
            (f"{key}:{value}" for key, value in wheel.hashes.items()), f"{place}: {filename}"
        ),
    )


def _plain(text: str) -> str:
    """What a parser says about hostile text, for a message: one line of printable characters."""
    return (
        "".join(c if c.isprintable() else "?" for c in text.splitlines()[0])[:300] if text else "unreadable"
    )
