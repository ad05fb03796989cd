"""uv.lock through a real uv, offline: this repository's own lock is the input."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from buildkit.errors import InvalidInput, Unavailable
from buildkit.wheels.locks.pylock import read_pylock
from buildkit.wheels.locks.select import select
from buildkit.wheels.locks.uvlock import find_uv, read_uv_lock
from tests.buildkit.wheels_locks.support import BASE, PYPROJECT, UV_LOCK, host

MORE = b"\n[tool.uv]\n"


def export(folder: Path, *words: str) -> bytes:
    """What uv itself says, asked in another way than the module does."""
    (folder / "uv.lock").write_bytes(UV_LOCK)
    (folder / "pyproject.toml").write_bytes(PYPROJECT)
    argv = [find_uv(), "export", "--frozen", "--offline", "--no-config", "--no-emit-project", *words]
    environment = {"HOME": str(folder), "UV_CACHE_DIR": str(folder / "cache")}
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("groups", "flags"), [((), ["--no-dev"]), (("test",), ["--no-dev", "--group=test"]), (("dev",), [])]
)
def test_the_selection_for_the_host_is_what_uv_lists(
    tmp_path: Path, groups: tuple[str, ...], flags: list[str]
) -> None:
    from packaging.requirements import Requirement

    listed = export(
        tmp_path, *flags, "--no-hashes", "--no-annotate", "--no-header", "--format=requirements.txt"
    )
    pins = [Requirement(line) for line in listed.decode().splitlines()]
    expected = {(pin.name, str(pin.specifier)[2:]) for pin in pins if not pin.marker or pin.marker.evaluate()}
    found = select(read_uv_lock(UV_LOCK, PYPROJECT, groups=groups), host())
    assert {(wheel.name, wheel.version) for wheel in found.wheels} == expected
    assert all(wheel.url and wheel.hashes for wheel in found.wheels)


def test_an_exported_pylock_selects_the_same(tmp_path: Path) -> None:
    exported = read_pylock(export(tmp_path, "--format=pylock.toml"))
    ours = read_uv_lock(UV_LOCK, PYPROJECT, groups=["dev"])
    assert select(exported, BASE).wheels == select(ours, BASE).wheels


def test_other_targets_get_other_wheels() -> None:
    lock = read_uv_lock(UV_LOCK, PYPROJECT)
    names = {wheel.filename for wheel in select(lock, BASE).wheels if "x86_64" in wheel.filename}
    arm = BASE._replace(python="3.13.0", platform=BASE.platform._replace(architecture="arm64"))
    others = {wheel.filename for wheel in select(lock, arm).wheels if "aarch64" in wheel.filename}
    assert names
    assert others
    assert all(
        "cp313" in name or "abi3" in name or re.search(r"py3-none|cp3\d-none", name) for name in others
    )


def test_why_names_the_project_and_its_groups() -> None:
    found = select(read_uv_lock(UV_LOCK, PYPROJECT, groups=["test"]), BASE)
    assert found.why("docker") == "treeship → docker"
    assert found.why("certifi") == "treeship → requests → certifi"
    assert found.why("execnet") == "treeship[test] → pytest-xdist → execnet"


def test_the_hosts_python_and_environment_have_no_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = read_uv_lock(UV_LOCK, PYPROJECT)
    (tmp_path / "uv.toml").write_text("nonsense")
    for name, value in {
        "UV_NO_DEV": "nonsense", "UV_INDEX_URL": "http://evil", "XDG_CONFIG_HOME": str(tmp_path),
        "UV_CONFIG_FILE": str(tmp_path / "uv.toml"), "HTTPS_PROXY": "http://evil", "UV_FROZEN": "0",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert read_uv_lock(UV_LOCK, PYPROJECT) == expected
    future = (
        re.sub(rb'requires-python = "[^"]*"', b'requires-python = ">=3.99"', data)
        for data in (UV_LOCK, PYPROJECT)
    )
    assert read_uv_lock(*future).requires_python == ">=3.99"


def test_the_commits_settings_for_uv_have_no_say(tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    settings = f'cache-dir = "{evil}"\nrequired-version = ">=99"\npython-downloads = "automatic"\n'
    assert read_uv_lock(UV_LOCK, PYPROJECT + MORE + settings.encode()) == read_uv_lock(UV_LOCK, PYPROJECT)
    assert not evil.exists()


def test_a_workspace_in_the_folders_above_has_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder for temporary files is everybody's: who writes a workspace there would choose the packages."""
    expected = read_uv_lock(UV_LOCK, PYPROJECT)
    members = '["treeship-uv-*", "treeship-uv-*/*", "**"]'
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "outer"\nversion = "1"\n[tool.uv.workspace]\nmembers = {members}\n'
    )
    (tmp_path / "uv.lock").write_text(
        'version = 1\nrevision = 3\nrequires-python = ">=3.9"\n[manifest]\nmembers = ["outer", "treeship"]\n'
        '[[package]]\nname = "outer"\nversion = "1"\nsource = { virtual = "." }\n'
        '[[package]]\nname = "treeship"\nversion = "1"\nsource = { virtual = "treeship-uv-x" }\n'
    )
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # it is asked for once
    assert tempfile.gettempdir() == str(tmp_path)
    assert read_uv_lock(UV_LOCK, PYPROJECT) == expected


@pytest.mark.parametrize(
    "pattern", ["/usr/**", "../*", "a/../../x", ".*/*", ".?/.?/usr/**", ".[.]/x", "x/.*"]
)
@pytest.mark.parametrize("key", ["members", "exclude"])
def test_a_workspace_that_leads_out_of_the_commit_is_refused_before_uv_looks(key: str, pattern: str) -> None:
    workspace = f'\n[tool.uv.workspace]\n{key} = ["libs/*", "{pattern}"]\n'.encode()
    with pytest.raises(InvalidInput, match=f"in the {key} of its workspace is outside"):
        read_uv_lock(UV_LOCK, PYPROJECT + workspace)


def test_a_workspace_within_the_commit_is_left_to_uv() -> None:
    workspace = b'\n[tool.uv.workspace]\nmembers = ["libs/*", "./one", ".hidden"]\n'
    assert read_uv_lock(UV_LOCK, PYPROJECT + workspace).packages


def test_extras_and_groups_that_do_not_exist() -> None:
    for extras, groups in ((["nope"], []), ([], ["nope"]), ([], ["--help"]), (["--version"], [])):
        with pytest.raises(InvalidInput, match=r"uv cannot export uv\.lock"):
            read_uv_lock(UV_LOCK, PYPROJECT, extras=extras, groups=groups)


@pytest.mark.parametrize(
    ("lock", "pyproject"),
    [
        (b"", PYPROJECT),
        (b"version = 99", PYPROJECT),
        (b"version = 1\npackage = 5", PYPROJECT),
        (b'version = 1\n[[package]]\nname = "x"\nsource = 5', PYPROJECT),
        (b"= nonsense", PYPROJECT),
        (UV_LOCK, b"nonsense ="),
        (UV_LOCK, b""),
        (UV_LOCK, b" " * (16 * 1024 * 1024 + 1)),
        (b" " * (16 * 1024 * 1024 + 1), PYPROJECT),
    ],
)
def test_hostile_files_are_refused(lock: bytes, pyproject: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_uv_lock(lock, pyproject)
    assert caught.value.remedy


@pytest.mark.parametrize("place", [b"https://pypi.org/simple", b"https://files.pythonhosted.org"])
def test_credentials_are_refused_and_never_said(place: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_uv_lock(UV_LOCK.replace(place, place.replace(b"//", b"//bob:hunter2@")), PYPROJECT)
    assert "hunter2" not in str(caught.value)


def test_uv_that_takes_too_long_is_ended() -> None:
    with pytest.raises(Unavailable, match="took more than"):
        read_uv_lock(UV_LOCK, PYPROJECT, timeout=0.0001)
