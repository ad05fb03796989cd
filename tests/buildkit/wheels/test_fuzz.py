"""Damaged and hostile wheels by the thousand: an error of ours, or a layer that holds what RECORD says, and no more.

Never a crash, a hang, a file outside of the folders of the scheme, or content that nothing vouches for.
"""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import posixpath
import random
import struct
import zipfile
import zlib
from collections import Counter
from functools import cache

import pytest

from buildkit.errors import CorruptContent, InvalidInput
from buildkit.wheels.archive import parse
from buildkit.wheels.estargz import write_estargz
from buildkit.wheels.installed import Plan, plan
from buildkit.wheels.scheme import Scheme
from buildkit.wheels.slim import slim
from buildkit.wheels.slim_rules import RULES
from buildkit.wheels.splice import SPLICED, write_wheels
from tests.buildkit.git.deadline import deadline
from tests.buildkit.wheels.mutations import MUTATIONS, hostile
from tests.buildkit.wheels.support import Part, Unpacked, layer, planned, row, unpacked, wheel_bytes, zipped

# All folders below one, so that a file outside of it is seen at once.
INSIDE = "opt/prefix"
SCHEME = Scheme(
    purelib=f"/{INSIDE}/lib/site",
    platlib=f"/{INSIDE}/lib/site",
    scripts=f"/{INSIDE}/bin",
    data=f"/{INSIDE}",
    headers=f"/{INSIDE}/include",
    interpreter=f"/{INSIDE}/bin/python",
)
NOISE = random.Random(11).randbytes(SPLICED + 2000)
# Seconds that one wheel of 70 KB may take on a busy machine.
LONGEST = 20.0
WHEEL = "pkg-1.0-py3-none-any.whl"
INFO = "pkg-1.0.dist-info"


@cache
def sound() -> tuple[bytes, ...]:
    """Small wheels that are sound, each with other features of the format."""
    code = {"pkg/__init__.py": b"", "pkg/a.py": b"print()\n" * 30, "pkg/é.txt": b"text"}
    mixed: dict[str, bytes | Part] = {
        **code, "pkg/b.so": Part(NOISE), "pkg/c": Part(NOISE[:50], method=0), "pkg/tests/test_a.py": b"1",
        "pkg-1.0.data/scripts/s": b"#!python\n", "pkg-1.0.data/data/share/x": b"x", "pkg-1.0.data/headers/h.h": b"y",
    }  # fmt: skip
    stored: dict[str, bytes | Part] = {
        path: Part(content, method=0) for path, content in {**code, "pkg/d": NOISE[:300]}.items()
    }
    commands = "[console_scripts]\nrun=pkg.a:main\n"
    rows = "".join(row(path, content, "sha512") for path, content in code.items())
    described = {
        f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n",
        f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n",
    }
    rows += "".join(row(path, content, "sha384") for path, content in described.items())
    return (
        wheel_bytes(mixed, entry_points=commands),
        wheel_bytes(stored),
        wheel_bytes({**code, **described}, record=rows),
        _streamed(wheel_bytes(code)),
        zipped(
            {"pkg/": Part(b"", 0o40755)}
            | {name: Part(data) for name, data in _members(wheel_bytes(code)).items()}
        ),
    )


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        return {name: source.read(name) for name in source.namelist()}


def _streamed(data: bytes) -> bytes:
    """The same with data descriptors and zip64 fields."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.parts: list[bytes] = []

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.parts.append(bytes(data))
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in _members(data).items():
            with target.open(zipfile.ZipInfo(name), "w", force_zip64=True) as stream:
                stream.write(content)
    return b"".join(pipe.parts)


def installed(data: bytes, *, slimmed: bool, lazy: bool) -> bytes | InvalidInput:
    """The layer of these bytes, or why they are refused."""
    parts: list[bytes] = []
    try:
        with deadline(LONGEST):
            read = parse(WHEEL, len(data), lambda at, length: data[at : at + length])
            found: Plan = plan(read, SCHEME)
            if slimmed:
                found = slim(found, RULES).plan
            (write_estargz if lazy else write_wheels)([found], parts.append)
    except InvalidInput as error:
        return error
    return b"".join(parts)


def check_error(error: InvalidInput) -> None:
    """That it is fit to be printed: it names the wheel, and nothing of the wheel can move a terminal's cursor."""
    assert error.what.startswith(WHEEL), error.what
    assert error.what.isprintable(), error.what
    assert error.remedy


def check(data: bytes, blob: bytes, original: dict[str, bytes]) -> None:
    """That the layer holds nothing but what its own RECORD and that of the wheel vouch for, below the prefix."""
    files = unpacked(blob)
    for name in (".no.prefetch.landmark", "stargz.index.json"):
        files.pop(name, None)
    for path in files:
        assert path.startswith(f"{INSIDE}/"), path
        assert posixpath.normpath(path) == path
        assert "/.wh." not in path
    record = next(path for path in files if path.endswith(".dist-info/RECORD"))
    rows = _rows(files[record].content)
    site = posixpath.dirname(posixpath.dirname(record))
    assert {posixpath.normpath(f"{site}/{path}") for path in rows} == files.keys()
    for path, value in rows.items():
        content = files[posixpath.normpath(f"{site}/{path}")].content
        assert not value or _matches(value, content), path
    _check_content(data, files, site, original)


def _check_content(data: bytes, files: dict[str, Unpacked], site: str, original: dict[str, bytes]) -> None:
    """What lies where a member of the sound wheel belongs is that member, unless RECORD was changed with it."""
    for name, content in original.items():
        found = files.get(f"{site}/{name}")
        if found and found.content != content and not name.startswith(INFO):
            with zipfile.ZipFile(io.BytesIO(data)) as source:
                assert _matches(_rows(source.read(f"{INFO}/RECORD"))[name], found.content), name


def _rows(record: bytes) -> dict[str, str]:
    return {path: value for path, value, _ in csv.reader(io.StringIO(record.decode(), newline=""))}


def _matches(value: str, content: bytes) -> bool:
    algorithm, _, text = value.partition("=")
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).decode().rstrip("=")
    return digest == text.rstrip("=")


def fuzz(seed: int, count: int) -> Counter[str]:
    """How many were accepted and refused, by mutation."""
    chance = random.Random(seed)
    tally: Counter[str] = Counter()
    originals = [_members(each) for each in sound()]
    for turn in range(count):
        number = chance.randrange(len(originals))
        change = MUTATIONS[turn % len(MUTATIONS)]
        data = change(sound()[number], chance)
        try:
            found = installed(data, slimmed=chance.random() < 0.2, lazy=chance.random() < 0.3)
            if isinstance(found, bytes):
                check(data, found, {} if change is hostile else originals[number])
            else:
                check_error(found)
        except Exception as error:
            raise AssertionError(f"seed {seed}, turn {turn}, {change.__name__}: {error!r}") from error
        tally[f"{change.__name__} {'accepted' if isinstance(found, bytes) else 'refused'}"] += 1
    return tally


def test_sound_wheels_are_accepted() -> None:
    """Else the rest would say nothing."""
    for data in sound():
        for lazy in (False, True):
            blob = installed(data, slimmed=False, lazy=lazy)
            assert isinstance(blob, bytes)
            check(data, blob, _members(data))
            gzip.decompress(blob)


@pytest.mark.parametrize("seed", range(2))
def test_damaged_wheels_give_the_right_content_or_an_error_of_ours(seed: int) -> None:
    tally = fuzz(seed, 260)
    for change in {each.__name__ for each in MUTATIONS}:
        assert tally[f"{change} refused"], f"{change} does no damage"
    assert sum(count for name, count in tally.items() if name.endswith("accepted")) > 5


@pytest.mark.large
@pytest.mark.parametrize("seed", range(100, 110))
def test_ten_thousand_damaged_wheels(seed: int) -> None:
    tally = fuzz(seed, 1000)
    print(dict(sorted(tally.items())))
    assert tally.total() == 1000


def test_other_content_with_the_right_crc_is_refused() -> None:
    """What only RECORD can tell, in each way that a layer is written."""
    data = wheel_bytes({"pkg/a": Part(b"right", method=0)})
    crc, other = (struct.pack("<I", zlib.crc32(content)) for content in (b"right", b"wrong"))
    bad = data.replace(b"right", b"wrong").replace(crc, other)
    assert zipfile.ZipFile(io.BytesIO(bad)).read("pkg/a") == b"wrong"
    assert layer(planned(data))
    for lazy in (False, True):
        error = installed(bad, slimmed=False, lazy=lazy)
        assert isinstance(error, CorruptContent)
        assert "its hash is not the one in RECORD" in error.what
