"""Where an installer puts the members of a wheel, and the scripts that it writes itself. Text in, text out.

Scripts have the bytes that `installer` (pypa) gives them.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from typing import NamedTuple

from buildkit.errors import InvalidInput
from buildkit.wheels.archive import invalid
from buildkit.wheels.record import EntryPoint, normal

KINDS = ("purelib", "platlib", "scripts", "data", "headers")
SCRIPT_START = b"#!python"
# The bound that installer and distlib use.
_LONGEST_SHEBANG = 127

_SCRIPT = """\
# -*- coding: utf-8 -*-
import re
import sys
from {module} import {name}
if __name__ == "__main__":
    sys.argv[0] = re.sub(r"(-script\\.pyw|\\.exe)?$", "", sys.argv[0])
    sys.exit({attr}())
"""


class Scheme(NamedTuple):
    """Where a Python keeps what is installed: absolute paths in the image, `interpreter` the one of scripts.

    `headers` is the folder that has one for each project in it.
    """

    purelib: str
    platlib: str
    scripts: str
    data: str
    headers: str
    interpreter: str


class Place(NamedTuple):
    """What a member is (one of `KINDS`), and its path below the folder for that."""

    kind: str
    path: str


def check(scheme: Scheme) -> Scheme:
    """The same scheme; InvalidInput where a path of it is not absolute and normal."""
    for kind, path in scheme._asdict().items():
        if (
            not path.startswith("/")
            or posixpath.normpath("/" + path.lstrip("/")) != path
            or _has_control(path)
        ):
            raise InvalidInput(
                f"{kind} of the base's Python is {path[:200]!r}",
                "give a path from the root of the image, without '..', '//', or a final '/'",
            )
    return scheme


def place(member: str, *, dist_info: str, root: str, wheel: str) -> Place:
    """Where a member goes, in a wheel with this dist-info folder and whose root goes to `root`. Raises InvalidInput."""
    folder, _, inner = member.partition("/")
    if not (folder.endswith(".data") and _is_of(folder.removesuffix(".data"), dist_info)):
        return Place(root, member)
    kind, _, path = inner.partition("/")
    if kind not in KINDS or not path:
        raise invalid(wheel, f"its .data folder may hold {', '.join(KINDS)}, and files in them", member)
    return Place(kind, path)


def target(scheme: Scheme, where: Place, project: str) -> bytes:
    """The path in the image, without the leading '/'."""
    folder = getattr(scheme, where.kind)
    if where.kind == "headers":
        folder = posixpath.join(folder, project)
    return posixpath.join(folder, where.path).lstrip("/").encode()


def script(entry: EntryPoint, interpreter: str) -> bytes:
    """The script that runs an entry point."""
    code = _SCRIPT.format(module=entry.module, name=entry.attr.split(".")[0], attr=entry.attr)
    return _shebang(interpreter) + b"\n" + code.encode()


def rewritten(data: bytes, interpreter: str) -> bytes:
    """A script of the wheel that begins with `#!python`, with the interpreter in place of that line."""
    _, _, rest = data.partition(b"\n")
    return _shebang(interpreter) + b"\n" + rest


def _shebang(interpreter: str) -> bytes:
    """With /bin/sh, where the system could not run the interpreter's path; Python sees a string then."""
    path = interpreter.encode()
    if b" " not in path and len(path) + 3 <= _LONGEST_SHEBANG:
        return b"#!" + path
    return b"#!/bin/sh\n'''exec' " + shlex.quote(interpreter).encode() + b' "$0" "$@"\n' + b"' '''"


def _is_of(stem: str, dist_info: str) -> bool:
    """Whether X.data belongs to X.dist-info: some tools have spelled the name in two ways."""
    return normal(stem) == normal(dist_info.removesuffix(".dist-info"))


def _has_control(path: str) -> bool:
    return bool(re.search(r"[\x00-\x1f\x7f]", path))
