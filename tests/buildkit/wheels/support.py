"""Wheels made for a test, and what is in a layer."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import stat
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from buildkit.image.digest import Digest
from buildkit.layers.layer import Written
from buildkit.wheels import archive
from buildkit.wheels.archive import Archive
from buildkit.wheels.installed import Keep, Plan, plan
from buildkit.wheels.scheme import Scheme
from buildkit.wheels.splice import write_known, write_wheels

DEBIAN = Scheme(
    purelib="/usr/local/lib/python3.11/site-packages",
    platlib="/usr/local/lib/python3.11/site-packages",
    scripts="/usr/local/bin",
    data="/usr/local",
    headers="/usr/local/include/python3.11",
    interpreter="/usr/local/bin/python3.11",
)
SPLIT = Scheme(
    purelib="/venv/lib/pure",
    platlib="/venv/lib64/plat",
    scripts="/venv/bin",
    data="/venv",
    headers="/venv/include/site",
    interpreter="/venv/bin/python",
)
SITE = "usr/local/lib/python3.11/site-packages"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: %s\nTag: py3-none-any\n"


class Part(NamedTuple):
    """A member to be: its content, mode as Unix has it, and method."""

    content: bytes
    mode: int = stat.S_IFREG | 0o644
    method: int = zipfile.ZIP_DEFLATED


class Unpacked(NamedTuple):
    """A file of a layer."""

    content: bytes
    executable: bool


def row(path: str, content: bytes, algorithm: str = "sha256") -> str:
    """A line of RECORD."""
    value = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).decode().rstrip("=")
    quoted = '"{}"'.format(path.replace('"', '""')) if set(path) & set(',"') else path
    return f"{quoted},{algorithm}={value},{len(content)}\n"


def wheel_bytes(
    parts: Mapping[str, bytes | Part],
    *,
    name: str = "pkg",
    version: str = "1.0",
    purelib: bool = True,
    entry_points: str | None = None,
    record: str | None = None,
) -> bytes:
    """A wheel with these members, and those that every wheel has unless they are among them."""
    info = f"{name}-{version}.dist-info"
    described: dict[str, bytes | Part] = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": (WHEEL % str(purelib).lower()).encode(),
    }
    if entry_points is not None:
        described[f"{info}/entry_points.txt"] = entry_points.encode()
    members = {
        path: each if isinstance(each, Part) else Part(each) for path, each in {**described, **parts}.items()
    }
    rows = "".join(row(path, each.content) for path, each in members.items())
    listed = rows + f"{info}/RECORD,,\n" if record is None else record
    return zipped({**members, f"{info}/RECORD": Part(listed.encode())})


def zipped(members: Mapping[str, Part]) -> bytes:
    """A zip with these members, in this order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for path, part in members.items():
            info = zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0))
            info.external_attr, info.compress_type = part.mode << 16, part.method
            target.writestr(info, part.content)
    return buffer.getvalue()


def parsed(data: bytes, wheel: str = "pkg-1.0-py3-none-any.whl") -> Archive:
    """The wheel of these bytes."""
    return archive.parse(wheel, len(data), lambda offset, length: data[offset : offset + length])


def planned(
    data: bytes, scheme: Scheme = DEBIAN, *, wheel: str = "pkg-1.0-py3-none-any.whl", keep: Keep | None = None
) -> Plan:
    """What the wheel of these bytes installs."""
    return plan(parsed(data, wheel), scheme, keep=keep)


def layer(*plans: Plan) -> tuple[Written, bytes]:
    """The layer of these plans; that it is what it says, and the same without inflating, is checked."""
    parts: list[bytes] = []
    written = write_wheels(plans, parts.append)
    blob = b"".join(parts)
    assert written.digest == Digest.of(blob)
    assert written.size == len(blob)
    assert written.diff_id == Digest.of(gzip.decompress(blob))
    again: list[bytes] = []
    assert write_known(plans, again.append, diff_id=written.diff_id) == written
    assert b"".join(again) == blob
    return written, blob


def unpacked(blob: bytes) -> dict[str, Unpacked]:
    """The files of a layer."""
    found: dict[str, Unpacked] = {}
    for member, content in entries(blob):
        if member.isfile():
            assert member.name not in found
            assert member.mode in (0o644, 0o755)
            found[member.name] = Unpacked(content, member.mode == 0o755)
        else:
            assert member.isdir()
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
    return found


def entries(blob: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    """All entries of a layer."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob)), encoding="utf-8") as tar:
        return [
            (each, (tar.extractfile(each) or io.BytesIO()).read() if each.isfile() else b"") for each in tar
        ]


def open_all(stack: ExitStack, paths: Sequence[Path]) -> list[Archive]:
    """These wheels, until the stack is left."""
    return [stack.enter_context(archive.opened(str(path))) for path in paths]
