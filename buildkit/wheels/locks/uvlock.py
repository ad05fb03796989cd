"""uv.lock, by way of uv: only uv promises to understand its own format, and it exports PEP 751.

uv runs offline in a temporary folder that holds the commit's uv.lock and pyproject.toml, with an environment of
its own. It looks for a workspace in the folders above, where others of this machine may write; the one that is found
first is ours, and ends the search.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from buildkit.config.toml import Place, load
from buildkit.errors import InvalidInput, Unavailable
from buildkit.wheels.locks import checks
from buildkit.wheels.locks.instep import check_in_step
from buildkit.wheels.locks.model import LOCK_LIMIT, Lock, Root
from buildkit.wheels.locks.pylock import read_pylock

_TIMEOUT = 60.0
_STOP = b'[project]\nname = "stop"\nversion = "0"\n'
# A part of a pattern that leads out of the folder: uv's patterns find `..` by `.*` and `.?` too.
_UPWARDS = re.compile(r"\.\.|\.[^/]*[*?\[]")
# No default groups: uv's is `dev`, which no image is meant to have unless it is asked for.
_EXPORT = """export --format pylock.toml --frozen --offline --no-config --no-default-groups --no-emit-project
    --no-header --quiet --no-progress --color never --no-python-downloads --cache-dir cache""".split()  # noqa: SIM905


def read_uv_lock(
    lock: bytes,
    pyproject: bytes,
    *,
    extras: Iterable[str] = (),
    groups: Iterable[str] | None = None,
    source: str = "uv.lock",
    timeout: float = _TIMEOUT,
) -> Lock:
    """The lock in a uv.lock and the pyproject.toml beside it, with these extras and groups (None: no group).

    They are chosen here since uv's export has them no more; `select` accepts the same ones. `timeout` is in seconds.
    Raises InvalidInput for a lock that is not in step with the project and for what uv refuses (extras and groups that
    do not exist among it), Unavailable when uv takes too long.
    """
    chosen, kinds = tuple(extras), tuple(groups or ())
    table = load(lock, Place(source), LOCK_LIMIT)
    _check_urls(table, source)
    project = load(pyproject, Place(f"the pyproject.toml beside {source}"), LOCK_LIMIT)
    _check_project(project, table, kinds, source)
    _check_workspace(project, source)
    check_in_step(project, table, source)
    exported = _export(
        lock, pyproject, [*_flags("--extra", chosen), *_flags("--group", kinds)], source, timeout
    )
    found = read_pylock(exported, source)
    entries = _entries(table)
    required = _required(entries)
    packages = tuple(each._replace(dependencies=required.get(each.name, ())) for each in found.packages)
    return found._replace(
        packages=packages,
        extras=chosen,
        groups=kinds,
        default_groups=kinds,
        roots=_roots(entries, chosen, kinds),
    )


def _entries(table: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = table.get("package")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _flags(option: str, names: Sequence[str]) -> list[str]:
    # One word, so that a name with '-' in front is no option.
    return [f"{option}={name}" for name in names]


def _check_urls(table: Mapping[str, Any], source: str) -> None:
    """Before uv says them in its errors."""
    for package in _entries(table):
        origin = package.get("source")
        for text in origin.values() if isinstance(origin, dict) else ():
            if isinstance(text, str) and checks.has_credentials(text):
                raise checks.credentials_error(f"{source}: {str(package.get('name'))[:80]!r}")


def _check_project(
    pyproject: Mapping[str, Any], table: Mapping[str, Any], groups: Sequence[str], source: str
) -> None:
    """uv exports an empty lock where there is no project: an image without its dependencies, and no error."""
    entries = _entries(table)
    if not isinstance(pyproject.get("project"), dict) and entries and (_roots(entries, (), ()) or not groups):
        raise InvalidInput(
            f"the pyproject.toml beside {source} has no [project], so nothing is exported",
            "commit the pyproject.toml of the project that was locked, or name dependency groups",
        )


def _check_workspace(pyproject: Mapping[str, Any], source: str) -> None:
    """uv lists the folders that the members of a workspace may be in: those of this machine are none of them."""
    found: Any = pyproject
    for key in ("tool", "uv", "workspace"):
        found = found.get(key) if isinstance(found, dict) else None
    for key in ("members", "exclude"):
        listed = found.get(key) if isinstance(found, dict) else None
        for each in listed if isinstance(listed, list) else ():
            if isinstance(each, str) and (each.startswith("/") or any(map(_UPWARDS.match, each.split("/")))):
                raise InvalidInput(
                    f"the pyproject.toml beside {source}: {each[:80]!r} in the {key} of its workspace is outside of it",
                    "name folders below the project",
                )


def _export(lock: bytes, pyproject: bytes, flags: Sequence[str], source: str, timeout: float) -> bytes:
    uv = find_uv()
    with tempfile.TemporaryDirectory(prefix="treeship-uv-") as own:
        folder = os.path.join(own, "project")
        os.mkdir(folder)
        files = (("pyproject.toml", _STOP), ("project/uv.lock", lock), ("project/pyproject.toml", pyproject))
        for name, data in files:
            with open(os.path.join(own, name), "wb") as file:
                file.write(data)
        return _run([uv, *_EXPORT, *flags], folder, source, timeout)


def find_uv() -> str:
    """The uv that was installed with treeship, else the one on PATH. Raises InvalidInput where there is none."""
    beside = os.path.join(os.path.dirname(sys.executable), "uv")
    found = beside if os.access(beside, os.X_OK) else shutil.which("uv")
    if not found:
        raise InvalidInput(
            "uv.lock needs uv, which is not installed",
            "pip install uv, or commit `uv export --format pylock.toml -o pylock.toml`",
        )
    return os.path.abspath(found)


def _run(argv: Sequence[str], folder: str, source: str, timeout: float) -> bytes:
    # Nothing is inherited: UV_*, proxies, credentials and configuration folders are the machine's, not the commit's.
    environment = {"HOME": folder, "TMPDIR": folder, "PATH": "", "LC_ALL": "C", "NO_COLOR": "1"}
    try:
        done = subprocess.run(
            argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"uv took more than {timeout:.0f} s to export {source}", "try again") from None
    except OSError as error:
        raise InvalidInput(f"uv cannot be started: {error.strerror}", f"look at {argv[0]}") from None
    if done.returncode:
        raise InvalidInput(
            f"uv cannot export {source}: {_said(done.stderr)}",
            "run `uv lock` and commit uv.lock and pyproject.toml",
        )
    return done.stdout


def _said(stderr: bytes) -> str:
    from buildkit.git.process import redact

    return redact(stderr.decode(errors="replace").strip())[:1000] or "without a message"


def _required(entries: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Who requires whom, which the export does not say."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        if isinstance(name := entry.get("name"), str):
            optional = entry.get("optional-dependencies")
            tables = optional.values() if isinstance(optional, dict) else ()
            below = [
                *_names(entry.get("dependencies")),
                *(each for table in tables for each in _names(table)),
            ]
            found.setdefault(name, []).extend(below)
    return {name: tuple(dict.fromkeys(below)) for name, below in found.items()}


def _names(requirements: object) -> list[str]:
    listed = requirements if isinstance(requirements, list) else []
    found = (each.get("name") for each in listed if isinstance(each, dict))
    return [name for name in found if isinstance(name, str)]


def _roots(
    entries: Iterable[Mapping[str, Any]], extras: Sequence[str], groups: Sequence[str]
) -> tuple[Root, ...]:
    """The project itself, with the extras and groups that were asked for."""
    roots: list[Root] = []
    for entry in entries:
        origin, name = entry.get("source"), entry.get("name")
        if not isinstance(origin, dict) or not isinstance(name, str):
            continue
        if "." in (origin.get("editable"), origin.get("virtual")):
            roots.append(Root(name, tuple(_names(entry.get("dependencies")))))
            roots.extend(_parts(entry.get("optional-dependencies"), name, extras))
            roots.extend(_parts(entry.get("dev-dependencies"), name, groups))
    return tuple(roots)


def _parts(table: object, name: str, chosen: Sequence[str]) -> list[Root]:
    tables = table if isinstance(table, dict) else {}
    return [Root(f"{name}[{each}]", tuple(_names(tables.get(each)))) for each in chosen]
