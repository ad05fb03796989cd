"""What a layer unpacks to is what `installer` (pypa) makes of the same wheel."""

from __future__ import annotations

import csv
import io
import posixpath
import random
import stat
import tempfile
import warnings
import zipfile
from pathlib import Path

import installer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from installer.destinations import SchemeDictionaryDestination
from installer.scripts import Script
from installer.sources import WheelFile

from buildkit.errors import InvalidInput
from buildkit.wheels.record import EntryPoint
from buildkit.wheels.scheme import Scheme, script
from tests.buildkit.wheels.support import DEBIAN, SPLIT, Part, Unpacked, layer, planned, unpacked, wheel_bytes

NOISE = random.Random(3).randbytes(200_000)
names = st.text("abXY_-. é,\"'", min_size=1, max_size=8).filter(lambda name: name.strip(".") != "")
folders = st.sampled_from(
    ["", "pkg/", "pkg/deep/er/", "pkg-1.0.data/purelib/", "pkg-1.0.data/platlib/p/", "pkg-1.0.data/scripts/",
     "pkg-1.0.data/data/share/", "pkg-1.0.data/headers/", "pkg-1.0.dist-info/licenses/", "pkg/__pycache__/"]
)  # fmt: skip
contents = (
    st.binary(max_size=200)
    | st.sampled_from([b"", b"#!python\nprint(1)\n", b"#!pythonw -E\r\nx", b"#!python", b"#!/bin/sh\nls\n"])
    | st.integers(1, 199_000).map(lambda size: NOISE[:size])
    | st.integers(1, 3000).map(lambda times: b"some text, again and again\n" * times)
    | st.sampled_from([1 << 20, (3 << 20) + 5]).map(bytes)
)
modes = st.sampled_from(
    [0, 0o755, stat.S_IFREG | 0o644, stat.S_IFREG | 0o755, stat.S_IFREG | 0o601, stat.S_IFREG | 0o777]
)
parts = st.builds(Part, contents, modes, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
members = st.dictionaries(
    st.builds(str.__add__, folders, names.map(lambda name: "f" + name)), parts, max_size=8
)
commands = st.sampled_from(
    [None, "[console_scripts]\nrun=pkg.cli:main\n", "[gui_scripts]\nw = pkg:App.run [x]\n[other]\na=%\n",
     "[console_scripts]\na-b.c = pkg : f\nd=e.f:g.h\n\n[gui_scripts]\nz=z:z\n"]
)  # fmt: skip


def installed(data: bytes, scheme: Scheme) -> dict[str, Unpacked]:
    """What `installer` makes of it; but all scripts are executable, which it leaves to the wheel."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        path = Path(folder, "pkg-1.0-py3-none-any.whl")
        path.write_bytes(data)
        root = Path(folder, "root")
        places = {**scheme._asdict(), "headers": f"{scheme.headers}/pkg"}
        interpreter = places.pop("interpreter")
        destination = SchemeDictionaryDestination(places, interpreter, "posix", destdir=str(root))
        with WheelFile.open(path) as source:
            installer.install(source, destination, {"INSTALLER": b"treeship\n"})
        scripts = scheme.scripts.lstrip("/") + "/"
        found = {}
        for file in root.rglob("*"):
            name = str(file.relative_to(root))
            if file.is_file():
                executable = bool(file.stat().st_mode & 0o100) or name.startswith(scripts)
                found[name] = Unpacked(file.read_bytes(), executable)
        return found


def rows(record: bytes) -> list[tuple[str, ...]]:
    """Sorted, with `./` left out, which installer has where purelib and platlib are one folder."""
    read = csv.reader(io.StringIO(record.decode()))
    return sorted((posixpath.normpath(path), *rest) for path, *rest in read)


@settings(max_examples=60, deadline=None)
@given(members, commands, st.booleans(), st.sampled_from([DEBIAN, SPLIT]))
def test_a_layer_holds_what_installer_installs(
    members: dict[str, Part], commands: str | None, purelib: bool, scheme: Scheme
) -> None:
    data = wheel_bytes(members, entry_points=commands, purelib=purelib)
    try:
        expected = installed(data, scheme)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        with pytest.raises(InvalidInput, match=r"two of its files|a file and a folder"):
            planned(data, scheme)
        return
    _, blob = layer(planned(data, scheme))
    found = unpacked(blob)
    root = scheme.purelib if purelib else scheme.platlib
    record = f"{root}/pkg-1.0.dist-info/RECORD".lstrip("/")
    assert rows(found.pop(record).content) == rows(expected.pop(record).content)
    assert found == expected
    assert layer(planned(data, scheme))[1] == blob


@pytest.mark.parametrize(
    "interpreter",
    ["/usr/bin/python3", "/with space/python", "/" + "x" * 130, "/it's/py thon", "/" + "y" * 123],
)
@pytest.mark.parametrize("attr", ["main", "App.run"])
def test_scripts_are_those_of_installer(interpreter: str, attr: str) -> None:
    _, expected = Script("run", "pkg.cli", attr, "console").generate(interpreter, "posix")
    assert script(EntryPoint("run", "pkg.cli", attr), interpreter) == expected
