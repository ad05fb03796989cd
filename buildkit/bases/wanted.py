"""Which paths of a base matter, and how much of their content: all others leave no trace in memory."""

from __future__ import annotations

import re
from typing import NamedTuple


class Wanted(NamedTuple):
    """Of a file: its first `limit` bytes, or (with `search`) only what matches in these, a line each."""

    limit: int = 0
    search: re.Pattern[bytes] | None = None


PRESENCE = Wanted()
STDLIB = (
    "asyncio/__init__", "concurrent/futures/__init__", "ctypes/__init__", "email/__init__", "http/client",
    "importlib/metadata/__init__", "json/__init__", "logging/__init__", "multiprocessing/__init__", "os",
    "sqlite3/__init__", "ssl", "tarfile", "tempfile", "unittest/__init__", "urllib/request", "uuid",
    "xml/etree/ElementTree", "zipfile",
)  # fmt: skip
MODULES = ("boto3", "pip", "requests")

_KIB, _MIB = 1024, 1024 * 1024
_TEXT, _HEAD = Wanted(256 * _KIB), Wanted(16 * _KIB)
_LIBC = Wanted(16 * _MIB, re.compile(rb"GNU C Library [^\n\0]{0,80} release version (\d{1,3}\.\d{1,3})"))
_PYTHON = Wanted(256 * _MIB, re.compile(rb"\0(3\.\d{1,2}\.\d{1,2}(?:(?:a|b|rc)\d{1,2})?)\+?(?=\0)"))
_SITE = Wanted(_MIB, re.compile(rb"(dist-packages|[\"']/usr/local[\"'])"))

_EXACT = {
    "etc/os-release": _HEAD,
    "usr/lib/os-release": _HEAD,
    "etc/passwd": _TEXT,
    "etc/group": _TEXT,
    "var/lib/dpkg/status": Wanted(16 * _MIB),
    "lib/apk/db/installed": Wanted(16 * _MIB),
    "usr/lib/apk/db/installed": Wanted(16 * _MIB),
}
_NAMES = {
    "pyvenv.cfg": _HEAD, "EXTERNALLY-MANAGED": PRESENCE, "METADATA": _HEAD, "PKG-INFO": _HEAD, "INSTALLER": _HEAD,
    "site.py": _SITE, "patchlevel.h": _HEAD, "libc.so.6": _LIBC, "version.json": _HEAD, "version.txt": _HEAD,
}  # fmt: skip
# The second part of a pair is what the path must have, too.
_BELOW = {
    "METADATA": ".dist-info/", "INSTALLER": ".dist-info/", "PKG-INFO": ".egg-info/", "site.py": "/python3.",
    "patchlevel.h": "include/python3.", "version.json": "cuda", "version.txt": "cuda",
}  # fmt: skip
_PATTERNS: tuple[tuple[re.Pattern[str], Wanted], ...] = (
    (re.compile(r"python\d?(\.\d+)?t?"), _PYTHON),
    (re.compile(r"libpython3\.\d+t?\.so(\.[\d.]+)?"), _PYTHON),
    (re.compile(r"libc-2\.\d+\.so"), _LIBC),
    (re.compile(r"(sh|bash|dash|busybox|tar|bsdtar|pip[\d.]*|ld-musl-[\w-]+\.so\.1|libcudart\.so\.[\d.]+)"), PRESENCE),
    (re.compile(r"_sysconfigdata\w*[\w-]*\.py"), _TEXT),
    (re.compile(r"[^/]+\.egg-info"), _HEAD),
    (re.compile(r"python-3[\w.-]*\.json"), PRESENCE),
)  # fmt: skip
_PROBE = re.compile(
    r"(?:^|/)(?:lib-dynload/[^/]+\.so"
    r"|python3\.\d+t?/(?:" + "|".join(STDLIB) + r")\.pyc?"
    r"|python3\d+\.zip"
    r"|(?:" + "|".join(MODULES) + r")/__init__\.pyc?"
    r"|var/lib/dpkg/status\.d/[^/]+"
    r"|s?bin/[^/]+)"
)  # fmt: skip


def wanted(path: str) -> Wanted | None:
    """What to keep of a file at this path (relative to the root); None for nothing, not even that it is there."""
    found = _EXACT.get(path)
    if found is not None:
        return found
    name = path[path.rfind("/") + 1 :]
    found = _NAMES.get(name)
    if found is not None and _BELOW.get(name, "") in path:
        return found
    for pattern, what in _PATTERNS:
        if pattern.fullmatch(name):
            return what
    if _PROBE.search(path) is None or path.endswith("/"):
        return None
    return _HEAD if "/status.d/" in path else PRESENCE


def wanted_folder(path: str) -> bool:
    """Whether a directory matters by being there: those of the root are, since they may be links elsewhere."""
    return "/" not in path
