"""Layers by hand: entries in the order given, so that odd ones can be had."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping

from buildkit.bases.facts import Facts
from buildkit.bases.findings import find
from buildkit.bases.scan import scan
from buildkit.bases.tree import File, Link, Node, Tree
from buildkit.bases.wanted import PRESENCE

Entry = tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]
PYTHON = b"\x7fELF..\0%s\0..GCC: (Debian 12.2.0)\0"
LIBC = b"..GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\n.."
STDLIB = (
    "os.py", "ssl.py", "tarfile.py", "tempfile.py", "uuid.py", "zipfile.py", "asyncio/__init__.py",
    "concurrent/futures/__init__.py", "ctypes/__init__.py", "email/__init__.py", "http/client.py",
    "importlib/metadata/__init__.py", "json/__init__.py", "logging/__init__.py", "multiprocessing/__init__.py",
    "sqlite3/__init__.py", "unittest/__init__.py", "urllib/request.py", "xml/etree/ElementTree.py",
)  # fmt: skip


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, *, target: str = "", mode: int = 0o755
) -> tarfile.TarInfo:
    """A header."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, target, mode
    return member


def file(name: str, data: bytes = b"", *, mode: int = 0o755) -> Entry:
    """A regular file."""
    member = entry(name, mode=mode)
    member.size = len(data)
    return member, data


def link(name: str, target: str) -> Entry:
    """A symbolic link."""
    return entry(name, tarfile.SYMTYPE, target=target)


def hard(name: str, target: str) -> Entry:
    """A hard link."""
    return entry(name, tarfile.LNKTYPE, target=target)


def folder(name: str) -> Entry:
    """A directory."""
    return entry(name, tarfile.DIRTYPE)


def tar(*entries: Entry) -> bytes:
    """Plain."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for each in entries:
            member, data = each if isinstance(each, tuple) else (each, b"")
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def tree_of(*layers: bytes) -> Tree:
    """With every path kept."""
    return scan(_named(layers), lambda _: PRESENCE, lambda _: True)


def wanted_of(*layers: bytes) -> Tree:
    """With the paths that matter."""
    return scan(_named(layers))


def facts_in(*layers: bytes, env: Mapping[str, str] | None = None) -> Facts:
    """What is found in layers."""
    return find(wanted_of(*layers), env or {}, "amd64")


def shown(tree: Tree) -> dict[str, str]:
    """Each path, with what it is."""
    return {path: _kind(node) for path, node in tree.walk()}


def python_files(prefix: str = "usr/local", minor: str = "3.12", version: str = "3.12.4") -> list[Entry]:
    """An installation with a whole standard library."""
    names = [f"{prefix}/lib/python{minor}/{name}" for name in STDLIB]
    digits = minor.replace(".", "")
    return [
        file(f"{prefix}/bin/python{minor}", PYTHON % version.encode()),
        link(f"{prefix}/bin/python3", f"python{minor}"),
        link(f"{prefix}/bin/python", "python3"),
        *(file(name) for name in names),
        file(f"{prefix}/lib/python{minor}/site.py", b"nothing of note"),
        file(f"{prefix}/lib/python{minor}/lib-dynload/_json.cpython-{digits}-x86_64-linux-gnu.so"),
    ]


def distribution(site: str, name: str, version: str, installer: str = "pip") -> list[Entry]:
    """An installed one, with a module."""
    info = f"{site}/{name.replace('-', '_')}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not this\n"
    return [
        file(f"{info}/METADATA", metadata.encode()),
        file(f"{info}/INSTALLER", f"{installer}\n".encode()),
        file(f"{site}/{name}/__init__.py"),
    ]


def _named(layers: tuple[bytes, ...]) -> list[tuple[str, io.BytesIO]]:
    """Every other one compressed."""
    packed = [gzip.compress(raw, 1) if number % 2 else raw for number, raw in enumerate(layers)]
    return [(f"layer {number}", io.BytesIO(raw)) for number, raw in enumerate(packed)]


def _kind(node: Node) -> str:
    if isinstance(node, Link):
        return f"-> {node.target}"
    return ("file" if node.regular else "device") if isinstance(node, File) else "folder"
