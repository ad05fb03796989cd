"""The index for tests is one to pip, and a real index is one to us."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from buildkit.cache import Cache
from buildkit.testing.index import InProcessIndex
from buildkit.wheels.fetch.fetcher import Fetcher
from buildkit.wheels.fetch.model import Network, Place
from buildkit.wheels.fetch.store import WheelStore
from buildkit.wheels.fetch.trust import PYPI
from buildkit.wheels.fetch.verified import opened
from buildkit.wheels.locks.select import select
from buildkit.wheels.locks.uvlock import find_uv, read_uv_lock
from tests.buildkit.wheels_fetch.support import DEMO, Notes, content, digest, fetcher, of_index
from tests.buildkit.wheels_locks.support import host

PROJECT = '[project]\nname = "small"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = [%s]\n'
PIP = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "--no-input"]


def run(*words: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("html_only", [False, True])
def test_pip_fetches_from_the_index_for_tests_what_we_do(tmp_path: Path, html_only: bool) -> None:
    files = {DEMO: content("demo"), "demo-2.0-py3-none-any.whl": content("demo", "2.0")}
    with InProcessIndex(files, html_only=html_only) as index:
        requirements = tmp_path / "requirements.txt"
        requirements.write_text(f"demo==1.0 --hash={digest(files[DEMO])}\n")
        target = tmp_path / "pip"
        run(*PIP, "download", "--no-deps", "--no-cache-dir", "--index-url", index.url, "-d", str(target),
            "--require-hashes", "-r", str(requirements))  # fmt: skip
        theirs = [entry.path.partition("?")[0] for entry in index.log]
        index.log.clear()
        with fetcher(tmp_path, index=index.url) as fetch:
            [found] = fetch.fetch([each for each in of_index(index) if each.filename == DEMO])
    assert (target / DEMO).read_bytes() == Path(found.path).read_bytes()
    assert index.paths() == theirs == ["/simple/demo/", f"/files/{DEMO}"]


def test_pip_says_the_same_of_yanked_files_and_other_hashes(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: content("demo")}) as index:
        index.yanked[DEMO] = "it broke things"
        words = [
            *PIP,
            "download",
            "--no-deps",
            "--no-cache-dir",
            "--index-url",
            index.url,
            "-d",
            str(tmp_path),
        ]
        done = subprocess.run([*words, "demo==1.0"], capture_output=True, text=True, check=False)
        assert (done.returncode, "it broke things" in done.stdout + done.stderr) == (0, True)
        with fetcher(tmp_path, index=index.url, notes=(notes := Notes())) as fetch:
            fetch.fetch(of_index(index))
        assert "it broke things" in notes[0]


def configured_index() -> str:
    """The index that this machine's pip or uv uses."""
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if os.environ.get(name):
            return os.environ[name]
    words = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    return found.stdout.strip() if not found.returncode else PYPI


@pytest.fixture(scope="module")
def real_lock(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A uv.lock of small packages, and its pyproject.toml; made now, from the index that this machine has."""
    folder = tmp_path_factory.mktemp("lock")
    (folder / "pyproject.toml").write_text(PROJECT % '"idna", "certifi", "markupsafe"')
    done = subprocess.run(
        [find_uv(), "lock", "--no-config", "--default-index", configured_index()],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no package index can be reached: {done.stderr.strip()[-200:]}")
    return (folder / "uv.lock").read_bytes(), (folder / "pyproject.toml").read_bytes()


@pytest.mark.parametrize("by_index", [False, True])
def test_a_real_lock_from_a_real_index(
    tmp_path: Path, real_lock: tuple[bytes, bytes], by_index: bool
) -> None:
    wheels = select(read_uv_lock(*real_lock), host()).wheels
    assert len(wheels) == 3
    index = configured_index()
    hosts = tuple({each.url.split("/")[2] for each in wheels})
    if by_index:
        wheels = tuple(each._replace(url="") for each in wheels)
    network = Network(hosts, index if by_index else "")
    with Fetcher(WheelStore(str(tmp_path), Cache(tmp_path)), network=network) as fetch:
        found = fetch.fetch(wheels)
        assert {each.place for each in found} == {Place.INDEX if by_index else Place.URL}
        for each in found:
            assert digest(Path(each.path).read_bytes()) in each.wheel.hashes
            with opened(each) as archive:
                assert any(member.name.endswith("/RECORD") for member in archive.members)
        assert {each.place for each in fetch.fetch(wheels)} == {Place.STORE}
