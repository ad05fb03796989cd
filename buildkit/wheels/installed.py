"""What one wheel installs, as a plan: each file's path in the image, its mode, and where its bytes come from.

archive (zip) → what describes the wheel → each member's place → scripts, INSTALLER, RECORD → files sorted by path.
Of the members only those that describe the wheel, and scripts that are to be rewritten, are read here.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from buildkit.errors import InvalidInput
from buildkit.git import tree
from buildkit.layers import system
from buildkit.wheels import payload, record
from buildkit.wheels import scheme as schemes
from buildkit.wheels.archive import Archive, Member, corrupt, invalid, refuse_path
from buildkit.wheels.record import EntryPoint, Hash, Metadata, Row
from buildkit.wheels.scheme import Place, Scheme

INSTALLER = b"treeship\n"
# Bytes of a file that is read into memory: bounds far above what wheels have.
_MOST_METADATA = 64 << 20
_MOST_SCRIPT = 16 << 20
# Written by installers, or signatures of the RECORD that is written anew: those of the wheel itself are left out.
_NOT_TAKEN = ("RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json")

Keep = Callable[[str, str], bool]
"""Whether a file is kept, by what it is (one of `scheme.KINDS`) and its path below the folder for that."""


class File(NamedTuple):
    """A file of the image: `path` without leading '/', and its bytes, or the member of the wheel that holds them."""

    path: bytes
    mode: int
    content: Member | bytes
    hash: Hash
    size: int


class Plan(NamedTuple):
    """What a wheel installs: files by path, the folders that are the base's, and what can be imported."""

    archive: Archive
    metadata: Metadata
    files: tuple[File, ...]
    roots: frozenset[bytes]
    top_level: tuple[str, ...]


class Merged(NamedTuple):
    """A file, and the plan that it is of."""

    file: File
    plan: Plan


class _Wheel(NamedTuple):
    """A wheel whose own description has been read: `root` is "purelib" or "platlib"."""

    archive: Archive
    dist_info: str
    metadata: Metadata
    root: str
    rows: dict[str, Row]
    commands: list[EntryPoint]

    @property
    def name(self) -> str:
        return self.archive.wheel


def plan(
    archive: Archive, scheme: Scheme, *, direct_url: bytes | None = None, keep: Keep | None = None
) -> Plan:
    """What this wheel installs. InvalidInput or CorruptContent, naming the wheel, where it cannot be.

    `direct_url` is the content of direct_url.json (PEP 610). What describes the wheel is kept whatever `keep` says.
    """
    wheel = _described(archive)
    placed = list(_placed(wheel, schemes.check(scheme), keep))
    placed += _commands(wheel, scheme)
    placed += _metadata(wheel, scheme, direct_url)
    placed.append(_record(wheel, scheme, [file for _, file in placed]))
    files = sorted((file for _, file in placed), key=lambda file: file.path)
    _refuse_clashes(wheel, files)
    roots = frozenset(path.strip("/").encode() for path in scheme[: len(schemes.KINDS)])
    return Plan(archive, wheel.metadata, tuple(files), roots, _top_level(where for where, _ in placed))


def merged(plans: Sequence[Plan]) -> list[Merged]:
    """The files of all plans, by path. InvalidInput where two wheels write one path, unless they write the same.

    The result does not depend on the order of the plans. Of two equal files one is kept, rather an executable one.
    """
    found: dict[bytes, Merged] = {}
    for each in sorted(plans, key=lambda plan: (plan.metadata, plan.archive.wheel)):
        for file in each.files:
            other = found.setdefault(file.path, Merged(file, each))
            if (other.file.hash, other.file.size) != (file.hash, file.size):
                raise _conflict(other, Merged(file, each))
            if file.mode > other.file.mode:
                found[file.path] = Merged(file, each)
    result = [found[path] for path in sorted(found)]
    for path, below in files_as_folders(found):
        raise _conflict(found[path], found[below])
    return result


def _described(archive: Archive) -> _Wheel:
    dist_info = _dist_info(archive)
    members = {member.name: member for member in archive.members}
    wheel = archive.wheel

    def read(name: str) -> bytes:
        member = members.get(f"{dist_info}/{name}")
        if member is None:
            raise invalid(wheel, f"it has no {dist_info}/{name}")
        return payload.whole(archive, member, most=_MOST_METADATA)

    metadata = record.parse_metadata(read("METADATA"), wheel)
    stem = dist_info.removesuffix(".dist-info").rpartition("-")[0]
    if record.normal(stem) != record.normal(metadata.name):
        raise invalid(wheel, f"its METADATA is that of {metadata.name}, its folder {dist_info}")
    root = "purelib" if record.is_purelib(read("WHEEL"), wheel) else "platlib"
    has_commands = f"{dist_info}/entry_points.txt" in members
    commands = record.parse_entry_points(read("entry_points.txt"), wheel) if has_commands else []
    return _Wheel(archive, dist_info, metadata, root, record.parse_record(read("RECORD"), wheel), commands)


def _dist_info(archive: Archive) -> str:
    folders = {name for name, slash, _ in (each.name.partition("/") for each in archive.members) if slash}
    found = sorted(folder for folder in folders if folder.endswith(".dist-info"))
    if len(found) != 1:
        raise invalid(archive.wheel, f"it has {len(found)} .dist-info folders, not one")
    return found[0]


def _placed(wheel: _Wheel, scheme: Scheme, keep: Keep | None) -> Iterator[tuple[Place, File]]:
    """The members that are installed. Bytecode is not: Python would run it in place of the source next to it."""
    left_out = {f"{wheel.dist_info}/{name}" for name in _NOT_TAKEN}
    for member in wheel.archive.members:
        if member.name in left_out or "__pycache__" in member.name.split("/")[:-1]:
            continue
        where = schemes.place(member.name, dist_info=wheel.dist_info, root=wheel.root, wheel=wheel.name)
        described = member.name.startswith(wheel.dist_info + "/")
        expected = _expected(wheel, member)
        if described or keep is None or keep(where.kind, where.path):
            yield where, _file(wheel, scheme, where, member, expected)


def _expected(wheel: _Wheel, member: Member) -> Hash:
    """The hash that RECORD has for this member; it must have one."""
    row = wheel.rows.get(member.name)
    if row is None or row.hash is None:
        raise invalid(wheel.name, "RECORD has no hash for it", member.name)
    if row.size not in (None, member.size):
        raise corrupt(wheel.name, f"it has {member.size} bytes, and {row.size} in RECORD", member.name)
    return row.hash


def _file(wheel: _Wheel, scheme: Scheme, where: Place, member: Member, expected: Hash) -> File:
    path = schemes.target(scheme, where, wheel.metadata.name)
    is_script = where.kind == "scripts"
    mode = 0o755 if is_script or member.executable else 0o644
    if is_script and payload.begins_with(wheel.archive, member, schemes.SCRIPT_START):
        data = payload.whole(wheel.archive, member, expected, most=_MOST_SCRIPT)
        return _literal(path, schemes.rewritten(data, scheme.interpreter), mode)
    return File(path, mode, member, expected, member.size)


def _literal(path: bytes, data: bytes, mode: int = 0o644) -> File:
    return File(path, mode, data, Hash.of(data), len(data))


def _commands(wheel: _Wheel, scheme: Scheme) -> Iterator[tuple[Place, File]]:
    for entry in wheel.commands:
        where = Place("scripts", entry.name)
        refuse_path(wheel.name, entry.name, entry.name)
        path = schemes.target(scheme, where, wheel.metadata.name)
        yield where, _literal(path, schemes.script(entry, scheme.interpreter), 0o755)


def _metadata(wheel: _Wheel, scheme: Scheme, direct_url: bytes | None) -> Iterator[tuple[Place, File]]:
    written = {"INSTALLER": INSTALLER} | ({} if direct_url is None else {"direct_url.json": direct_url})
    for name, data in written.items():
        where = Place(wheel.root, f"{wheel.dist_info}/{name}")
        yield where, _literal(schemes.target(scheme, where, wheel.metadata.name), data)


def _record(wheel: _Wheel, scheme: Scheme, files: Iterable[File]) -> tuple[Place, File]:
    """RECORD with what is installed, its paths relative to the folder that the wheel's root went to."""
    where = Place(wheel.root, f"{wheel.dist_info}/RECORD")
    path = schemes.target(scheme, where, wheel.metadata.name)
    start = "/" + path.decode().removesuffix(where.path)
    rows = [Row(_relative(file.path, start), file.hash, file.size) for file in files]
    return where, _literal(path, record.write_record([*rows, Row(where.path)]))


def _relative(path: bytes, start: str) -> str:
    return posixpath.relpath("/" + path.decode(), start)


def _refuse_clashes(wheel: _Wheel, files: list[File]) -> None:
    """InvalidInput for paths that are there twice, are also folders, or would hide something of the base."""
    seen: set[bytes] = set()
    for file in files:
        if file.path in seen:
            raise invalid(wheel.name, f"two of its files would be /{tree.show(file.path)}")
        seen.add(file.path)
        if len(file.path) > tree.LONGEST:
            raise invalid(wheel.name, f"/{tree.show(file.path[:200])}… is too long for Linux")
        system.refuse_within_system(file.path)
    for path, _ in files_as_folders(seen):
        raise invalid(wheel.name, f"/{tree.show(path)} would be a file and a folder")


def files_as_folders(paths: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Paths that others lie below, each with the first of these."""
    files, seen = set(paths), set()
    for path in sorted(files):
        folder = path.rpartition(b"/")[0]
        while folder and folder not in seen:
            seen.add(folder)
            if folder in files:
                yield folder, path
            folder = folder.rpartition(b"/")[0]


def conflict(one: str, other: str, path: bytes) -> InvalidInput:
    """The error for two wheels that write the same path."""
    return InvalidInput(
        f"{one} and {other} both write /{tree.show(path)}, and not the same",
        "lock only one of them, or leave one's file out with a slim rule",
    )


def _conflict(one: Merged, other: Merged) -> InvalidInput:
    return conflict(one.plan.archive.wheel, other.plan.archive.wheel, one.file.path)


def _top_level(places: Iterable[Place]) -> tuple[str, ...]:
    """The names that can be imported: folders and modules at the root of purelib and platlib."""
    names: set[str] = set()
    for kind, path in places:
        first, below, _ = path.partition("/")
        if kind not in ("purelib", "platlib") or first.endswith(".dist-info"):
            continue
        module = first if below else first.partition(".")[0] if first.endswith((".py", ".so")) else ""
        if module.isidentifier():
            names.add(module)
    return tuple(sorted(names))
