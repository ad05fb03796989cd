"""What pip makes of the same wheels on the same base, file by file; and the few ways in which an image may differ."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

# Prints every file and link below /usr/local, and every distribution. Standard library only.
LOOK = """\
import hashlib, importlib.metadata, json, os, stat
found = {}
for parent, folders, names in os.walk("/usr/local"):
    for name in names + [name for name in folders if os.path.islink(os.path.join(parent, name))]:
        path = os.path.join(parent, name)
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            found[path] = ["link", os.readlink(path)]
            continue
        with open(path, "rb") as file:
            data = file.read()
        text = data.decode("latin-1") if path.endswith("/RECORD") or data[:2] == b"#!" else ""
        found[path] = [oct(stat.S_IMODE(mode)), hashlib.sha256(data).hexdigest(), text]
named = sorted(f"{each.metadata['Name']}=={each.version}" for each in importlib.metadata.distributions())
print(json.dumps({"files": found, "distributions": named}))
"""
# pip itself comes out of its wheel: the base has none.
INSTALL = (
    "set -e; cp -r /wheels /tmp/wheels; pip=$(echo /tmp/wheels/pip-*.whl); "
    "python3 $pip/pip install --quiet --no-compile --no-deps --no-index --no-cache-dir --break-system-packages "
    "--root-user-action=ignore --disable-pip-version-check --require-hashes --find-links=/tmp/wheels "
    "-r /lock/requirements.txt; python3 -B /lock/look.py"
)


class Seen(NamedTuple):
    """Files by path, each with its mode, sha256 and (RECORD and scripts alone) text; and `name==version`s."""

    files: Mapping[str, tuple[str, ...]]
    distributions: list[str]

    @classmethod
    def of(cls, said: str) -> Seen:
        """From what LOOK prints."""
        found = json.loads(said)
        return cls({path: tuple(each) for path, each in found["files"].items()}, found["distributions"])


# Paths (below /, as a pattern) that an image has otherwise than pip's, and why.
EXCEPTIONS = {
    r".*\.dist-info/REQUESTED": "pip marks what its command line names; a lock says nothing of the kind",
    r".*\.dist-info/INSTALLER": "it says who installed",
    r".*\.dist-info/RECORD": "it has the hashes of the others; compared line by line, without their lines",
    r"usr/local/bin/pip3\.\d+": "pip makes it only for itself, and for whom else is not written in its wheel",
    r"usr/local/bin/.*": "the shebang names the same interpreter by another link, and pip's launchers are written "
    "otherwise; compared by what they call",
}
_RECORD = re.compile(r".*\.dist-info/RECORD")
_SHEBANG = re.compile(r"#!/usr/bin/python3(?:\.11)?\n")
_CALLS = re.compile(r"^(from \S+ import \S+)$.*sys\.exit\((\S+\(\))\)\n", re.MULTILINE | re.DOTALL)


def differences(ours: Seen, theirs: Seen) -> dict[str, str]:
    """What an image has otherwise than pip's, but for EXCEPTIONS."""
    found = {}
    for path in sorted(ours.files.keys() | theirs.files.keys()):
        mine, pips = ours.files.get(path), theirs.files.get(path)
        if mine != pips and not _excepted(path.removeprefix("/")):
            found[path] = f"{_short(mine)} here, {_short(pips)} by pip"
    for path in (path for path in ours.files if _RECORD.fullmatch(path)):
        if left := _lines(ours, path) ^ _lines(theirs, path):
            found[path] = str(sorted(left)[:4])
    return found


def scripts(seen: Seen) -> dict[str, tuple[str, ...]]:
    """The programs, by name, each with its mode and what it does, however its launcher says it."""
    found = {}
    for path, (mode, _, *text) in seen.files.items():
        folder, _, name = path.rpartition("/")
        if folder == "/usr/local/bin" and not re.fullmatch(r"pip3\.\d+", name):
            begun = _SHEBANG.match(text[0])
            assert begun, f"{path} begins with {text[0][:80]!r}"
            body = text[0][begun.end() :]
            calls = _CALLS.search(body)
            found[name] = (mode, *(calls.groups() if calls else (body,)))
    return found


def _excepted(path: str) -> bool:
    return any(re.fullmatch(pattern, path) for pattern in EXCEPTIONS)


def _lines(seen: Seen, path: str) -> set[str]:
    """The lines of a RECORD, without those of the exceptions and of itself."""
    text = seen.files[path][2] if path in seen.files else ""
    site = path.rpartition("/")[0].rpartition("/")[0]
    lines = {
        os.path.normpath(f"{site}/{line.partition(',')[0]}").lstrip("/"): line for line in text.splitlines()
    }
    return {line for place, line in lines.items() if not _excepted(place)}


def _short(found: tuple[str, ...] | None) -> str:
    return " ".join(part[:60] for part in found[:2]) if found else "absent"


def by_pip(run: Callable[..., str], image: str, requirements: Path, house: Path, folder: Path) -> Seen:
    """What pip makes of the wheels in `house` in a container of `image`; `run` is an engine's `run`."""
    folder.mkdir(parents=True)
    (folder / "look.py").write_text(LOOK)
    (folder / "requirements.txt").write_bytes(requirements.read_bytes())
    return Seen.of(run("-v", f"{house}:/wheels:ro", "-v", f"{folder}:/lock:ro", image, "sh", "-c", INSTALL))
