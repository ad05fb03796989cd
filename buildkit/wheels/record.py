"""The files that describe a wheel (packaging.python.org: binary distribution format, recording installed projects).

RECORD, METADATA, WHEEL and entry_points.txt, from their bytes. Nothing here knows of paths in an image.
"""

from __future__ import annotations

import base64
import binascii
import configparser
import csv
import hashlib
import io
import re
from collections.abc import Iterable
from typing import NamedTuple

from buildkit.wheels.archive import invalid

# The digest sizes, in bytes, of what RECORD may use.
_ALGORITHMS = {"sha256": 32, "sha384": 48, "sha512": 64}
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_ENTRY_POINT = re.compile(r"(?P<module>[\w.]+)\s*:\s*(?P<attr>[\w.]+)\s*(?:\[[^\[\]]*\])?")
_SCRIPT_NAME = re.compile(r"[\w.+@-](?:[\w.+@ -]*[\w.+@-])?")
_SCRIPT_SECTIONS = ("console_scripts", "gui_scripts")


class Hash(NamedTuple):
    """A hash as RECORD has it."""

    algorithm: str
    digest: bytes

    @classmethod
    def of(cls, data: bytes) -> Hash:
        """The sha256 of these bytes."""
        return cls("sha256", hashlib.sha256(data).digest())

    def __str__(self) -> str:
        return f"{self.algorithm}={base64.urlsafe_b64encode(self.digest).decode().rstrip('=')}"


class Row(NamedTuple):
    """A line of RECORD; hash and size (bytes) lack for RECORD itself."""

    path: str
    hash: Hash | None = None
    size: int | None = None


class Metadata(NamedTuple):
    """Of METADATA: the name and version of the project, as written there."""

    name: str
    version: str


class EntryPoint(NamedTuple):
    """A command that an installer makes: its name, the module to import and what to call in it."""

    name: str
    module: str
    attr: str


def parse_record(data: bytes, wheel: str) -> dict[str, Row]:
    """The rows of RECORD by path, which has '/' in it even where Windows wrote it. InvalidInput for anything else."""
    rows: dict[str, Row] = {}
    reader = csv.reader(io.StringIO(_text(data, wheel, "RECORD"), newline=""), strict=True)
    try:
        for fields in reader:
            if len(fields) != 3:
                raise invalid(wheel, f"line {reader.line_num} of RECORD has {len(fields)} fields, not 3")
            row = Row(fields[0].replace("\\", "/"), _hash(fields[1], wheel), _size(fields[2], wheel))
            if not row.path or rows.setdefault(row.path, row) != row:
                raise invalid(wheel, f"RECORD says two things of {row.path[:200]!r}")
    except csv.Error as error:
        raise invalid(wheel, f"RECORD is no table of comma-separated values ({error})") from None
    return rows


def write_record(rows: Iterable[Row]) -> bytes:
    """RECORD with these rows, sorted by path."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for path, digest, size in sorted(rows, key=lambda row: row.path):
        writer.writerow((path, digest or "", "" if size is None else size))
    return text.getvalue().encode()


def parse_metadata(data: bytes, wheel: str) -> Metadata:
    """Name and version. InvalidInput where one lacks, is there twice, or is none."""
    fields = _fields(data, wheel, "METADATA")
    name, version = _one(fields, "name", wheel, "METADATA"), _one(fields, "version", wheel, "METADATA")
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise invalid(wheel, f"METADATA names no project: {name[:100]!r} {version[:100]!r}")
    return Metadata(name, version)


def is_purelib(data: bytes, wheel: str) -> bool:
    """What WHEEL says of the root of the wheel. InvalidInput where its version is not one that is known here."""
    fields = _fields(data, wheel, "WHEEL")
    version = _one(fields, "wheel-version", wheel, "WHEEL")
    if not re.fullmatch(r"1\.[0-9]+", version):
        raise invalid(wheel, f"Wheel-Version {version[:20]!r}, and only 1.x is known")
    answer = _one(fields, "root-is-purelib", wheel, "WHEEL").lower()
    if answer not in ("true", "false"):
        raise invalid(wheel, f"Root-Is-Purelib is {answer[:20]!r}")
    return answer == "true"


def parse_entry_points(data: bytes, wheel: str) -> list[EntryPoint]:
    """The commands, those of consoles first. InvalidInput for a name, module or function that is none."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(_text(data, wheel, "entry_points.txt"))
    except configparser.Error as error:
        first = str(error).splitlines()[0]
        raise invalid(wheel, f"entry_points.txt cannot be read ({first})") from None
    sections = [section for section in _SCRIPT_SECTIONS if parser.has_section(section)]
    return [_entry_point(*item, wheel) for section in sections for item in parser.items(section)]


def normal(name: str) -> str:
    """The name that is equal for all spellings of one project (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def same_version(one: str, other: str) -> bool:
    """Whether both are one version, however it is written (PEP 440: 1.0, v1.0.0); what is no version, to the letter."""
    if one == other:
        return True
    from packaging.version import InvalidVersion, Version

    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return False


def _entry_point(name: str, value: str, wheel: str) -> EntryPoint:
    """Both end in a script: what is no plain name could be any code, and any path."""
    match = _ENTRY_POINT.fullmatch(value.strip())
    if not match or not _SCRIPT_NAME.fullmatch(name) or name in (".", "..") or name.startswith(".wh."):
        raise invalid(wheel, f"entry_points.txt has no command in {name[:100]!r} = {value[:100]!r}")
    module, attr = match["module"], match["attr"]
    if not all(part.isidentifier() for part in (*module.split("."), *attr.split("."))):
        raise invalid(wheel, f"entry_points.txt names no function in {name[:100]!r} = {value[:100]!r}")
    return EntryPoint(name, module, attr)


def _hash(text: str, wheel: str) -> Hash | None:
    if not text:
        return None
    algorithm, _, value = text.partition("=")
    value = value.rstrip("=")
    try:
        digest = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if _ALGORITHMS.get(algorithm) != len(digest):
        raise invalid(wheel, f"RECORD has no sha256, sha384 or sha512 in {text[:100]!r}")
    return Hash(algorithm, digest)


def _size(text: str, wheel: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise invalid(wheel, f"RECORD has no size in {text[:100]!r}")
    return int(text)


def _fields(data: bytes, wheel: str, file: str) -> dict[str, list[str]]:
    """The headers, with lower-case keys, up to the first empty line; lines that go on are left out."""
    fields: dict[str, list[str]] = {}
    for line in re.split(r"\r\n|\r|\n", _text(data, wheel, file)):
        if not line:
            break
        key, colon, value = line.partition(":")
        if colon and not key[0:1].isspace():
            fields.setdefault(key.strip().lower(), []).append(value.strip())
    return fields


def _one(fields: dict[str, list[str]], key: str, wheel: str, file: str) -> str:
    values = fields.get(key, [])
    if len(values) != 1:
        raise invalid(wheel, f"{file} says {len(values)} times what its {key!r} is, not once")
    return values[0]


def _text(data: bytes, wheel: str, file: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise invalid(wheel, f"{file} is no UTF-8") from None
