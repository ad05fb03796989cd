"""Plans: where files go, what is refused, what two wheels may share, and what slim rules leave out."""

from __future__ import annotations

import json

import pytest

from buildkit.errors import CorruptContent, InvalidInput
from buildkit.wheels.installed import Plan, merged, plan
from buildkit.wheels.record import parse_record
from buildkit.wheels.scheme import check
from tests.buildkit.wheels.support import (
    DEBIAN,
    SITE,
    SPLIT,
    WHEEL,
    Part,
    layer,
    parsed,
    planned,
    row,
    unpacked,
    wheel_bytes,
)  # fmt: skip

INFO = f"{SITE}/pkg-1.0.dist-info"


def paths(found: Plan) -> list[str]:
    return [file.path.decode() for file in found.files]


def test_files_are_sorted_and_described() -> None:
    data = wheel_bytes(
        {"pkg/b.py": b"2", "pkg/a.so": b"1", "one.py": b"", "x.abi3.so": b"", "notes.txt": b""}
    )
    found = planned(data)
    below = [path.removeprefix(SITE + "/") for path in paths(found)]
    assert below == ["notes.txt", "one.py", "pkg-1.0.dist-info/INSTALLER", "pkg-1.0.dist-info/METADATA",
                     "pkg-1.0.dist-info/RECORD", "pkg-1.0.dist-info/WHEEL",
                     "pkg/a.so", "pkg/b.py", "x.abi3.so"]  # fmt: skip
    assert found.top_level == ("one", "pkg", "x")
    assert found.metadata == ("pkg", "1.0")


def test_what_installers_write_is_not_taken_from_the_wheel() -> None:
    info = "pkg-1.0.dist-info"
    names = ("INSTALLER", "REQUESTED", "direct_url.json", "RECORD.jws", "RECORD.p7s")
    data = wheel_bytes({f"{info}/{name}": b"theirs" for name in names} | {"pkg/__pycache__/a.pyc": b"1"})
    written = unpacked(layer(planned(data))[1])
    assert written[f"{INFO}/INSTALLER"].content == b"treeship\n"
    assert sorted(written) == [f"{INFO}/{name}" for name in ("INSTALLER", "METADATA", "RECORD", "WHEEL")]


def test_direct_url_is_written_and_recorded() -> None:
    url = json.dumps({"url": "https://example.org/x.whl", "archive_info": {}}).encode()
    written = unpacked(layer(plan(parsed(wheel_bytes({})), DEBIAN, direct_url=url))[1])
    assert written[f"{INFO}/direct_url.json"].content == url
    assert b"direct_url.json,sha256=" in written[f"{INFO}/RECORD"].content


def test_slim_rules_leave_files_out_of_record_too() -> None:
    data = wheel_bytes({"pkg/a.py": b"1", "pkg/tests/t.py": b"2", "pkg-1.0.data/headers/h.h": b"3"})
    asked: list[tuple[str, str]] = []

    def keep(kind: str, path: str) -> bool:
        asked.append((kind, path))
        return "/tests/" not in path and kind != "headers"

    written = unpacked(layer(planned(data, keep=keep))[1])
    assert sorted(asked) == [("headers", "h.h"), ("purelib", "pkg/a.py"), ("purelib", "pkg/tests/t.py")]
    rows = parse_record(written[f"{INFO}/RECORD"].content, "w")
    assert sorted(f"{SITE}/{path}" for path in rows) == sorted(written)
    assert f"{SITE}/pkg/a.py" in written


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_other_hashes_are_checked_and_kept(algorithm: str) -> None:
    def built(said: bytes) -> bytes:
        text = "".join(
            row(name, content, algorithm)
            for name, content in (
                ("pkg/a", said),
                ("pkg-1.0.dist-info/METADATA", b"Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n"),
                ("pkg-1.0.dist-info/WHEEL", _wheel_file()),
            )
        )
        return wheel_bytes({"pkg/a": b"right"}, record=text)

    assert algorithm.encode() in unpacked(layer(planned(built(b"right")))[1])[f"{INFO}/RECORD"].content
    with pytest.raises(CorruptContent, match="pkg/a': its hash"):
        layer(planned(built(b"wrong")))
    with pytest.raises(CorruptContent, match="pkg/a': it has 5 bytes, and 6"):
        planned(built(b"longer"))


def _wheel_file() -> bytes:
    return (WHEEL % "true").encode()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (wheel_bytes({"pkg/a": b"1"}, record="pkg-1.0.dist-info/RECORD,,\n"), "RECORD has no hash for it"),
        (wheel_bytes({"other-1.dist-info/METADATA": b""}), "2 .dist-info folders"),
        (
            wheel_bytes({"pkg-1.0.dist-info/METADATA": b"Name: evil\nVersion: 1.0\n"}),
            "METADATA is that of evil",
        ),
        (wheel_bytes({"pkg-1.0.data/other/a": b""}), "its .data folder may hold"),
        (wheel_bytes({"pkg-1.0.data/purelib": b""}), "its .data folder may hold"),
        (wheel_bytes({"pkg/a": b"", "pkg-1.0.data/purelib/pkg/a": b""}), "two of its files would be"),
        (wheel_bytes({"pkg": b"", "pkg-1.0.data/purelib/pkg/a": b""}), "a file and a folder"),
        (
            wheel_bytes({"pkg-1.0.data/scripts/a": b""}, entry_points="[console_scripts]\na=b:c\n"),
            "two of its",
        ),
        (wheel_bytes({"pkg-1.0.data/data/bin/a": b"1", "pkg-1.0.data/scripts/a": b"2"}), "two of its files"),
        (
            wheel_bytes({}, entry_points="[console_scripts]\na=b:c\n[gui_scripts]\na=b:c\n"),
            "two of its files",
        ),
    ],
)
def test_wheels_that_cannot_be_installed(data: bytes, what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        planned(data)


def test_the_base_is_not_hidden() -> None:
    with pytest.raises(InvalidInput, match="would hide the base's own /lib"):
        planned(wheel_bytes({"pkg-1.0.data/data/lib/x": b""}), SPLIT._replace(data="/"))


@pytest.mark.parametrize("path", ["usr", "", "/usr/", "/usr/../etc", "//usr", "/usr//x", "/us\nr"])
def test_schemes_are_absolute_and_normal(path: str) -> None:
    assert check(DEBIAN) == DEBIAN
    with pytest.raises(InvalidInput, match="purelib"):
        check(DEBIAN._replace(purelib=path))


def wheel(name: str, parts: dict[str, bytes | Part]) -> Plan:
    return planned(wheel_bytes(parts, name=name), wheel=f"{name}-1.0-py3-none-any.whl")


def test_two_wheels_that_write_other_bytes_to_one_path() -> None:
    one, two = wheel("one", {"ns/__init__.py": b"1"}), wheel("two", {"ns/__init__.py": b"2"})
    for order in ((one, two), (two, one)):
        with pytest.raises(InvalidInput, match=f"one-1.0.*two-1.0.* both write /{SITE}/ns/__init__.py"):
            merged(order)


def test_two_wheels_a_file_of_one_being_a_folder_of_the_other() -> None:
    with pytest.raises(InvalidInput, match=f"both write /{SITE}/ns,"):
        merged([wheel("one", {"ns": b"1"}), wheel("two", {"ns/a": b"2"})])


def test_what_two_wheels_share_is_kept_once_in_any_order() -> None:
    one = wheel("one", {"ns/__init__.py": b"1", "ns/a": b"1"})
    two = wheel("two", {"ns/__init__.py": Part(b"1", 0o100755), "ns/b": b"2"})
    assert layer(one, two) == layer(two, one)
    assert unpacked(layer(one, two)[1])[f"{SITE}/ns/__init__.py"] == (b"1", True)
    assert layer(one, one) == layer(one)
