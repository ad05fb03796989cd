"""The same tree gives the same bytes: under any settings of a process, two encoder builds, three CPU models."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from buildkit.layers.gzip import LIBDEFLATE, STORED
from tests.rigs import cpu_models
from tests.rigs.cache import cached
from tests.rigs.fixtures import skipping

OLD_ENCODER = "deflate==0.8.0"

PROGRAM = """
import random
from buildkit.layers import gzip, key
from tests.buildkit.layers.support import ODD, entries_of, layer

dice = random.Random(7)
words = [dice.randbytes(dice.randrange(2, 9)).hex().encode() for _ in range(500)]
files = {**ODD, b"text": b" ".join(dice.choices(words, k=400_000)), b"noise": dice.randbytes(1_500_000)}
written, raw = layer(files)
print(gzip.recipe(), key.layer_key("/app", key.statement(entries_of(files))), *written)
"""


def built(
    root: Path, environment: Mapping[str, str] | None = None, *, first: Path | None = None, umask: int = 0o022
) -> list[str]:
    """What a new process builds; `first` is searched for modules before all else."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd="/", umask=umask, capture_output=True, text=True, check=False,
        env={**python_environment(root, first), **(environment or {})},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def python_environment(root: Path, first: Path | None = None) -> dict[str, str]:
    paths = [str(path) for path in (first, root) if path]
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def expected(root: Path) -> list[str]:
    found = built(root)
    assert found[0] == LIBDEFLATE
    return found


@pytest.mark.parametrize(
    "environment",
    [
        {"TZ": "Asia/Kathmandu"}, {"LC_ALL": "C"}, {"LC_ALL": "tr_TR.UTF-8"}, {"PYTHONUTF8": "0", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2"}, {"SOURCE_DATE_EPOCH": "1"}, {"PYTHONOPTIMIZE": "2"},
    ],
    ids=lambda environment: " ".join("=".join(pair) for pair in environment.items()),
)  # fmt: skip
def test_no_setting_of_the_process_reaches_the_bytes(
    root: Path, expected: list[str], environment: dict[str, str]
) -> None:
    assert built(root, environment) == expected


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_no_umask_reaches_the_bytes(root: Path, expected: list[str], umask: int) -> None:
    assert built(root, umask=umask) == expected


FAKES = {
    "other bytes": "import zlib\ndef deflate_compress(data, level):\n    return zlib.compress(data, 1, -15)\n",
    "not installed": "raise ImportError('no such library')\n",
    "another package of that name": "def compress(data):\n    return data\n",
}


@pytest.mark.parametrize("fake", FAKES)
def test_an_encoder_that_gives_other_bytes_is_not_used_and_its_layers_have_other_keys(
    root: Path, expected: list[str], tmp_path: Path, fake: str
) -> None:
    (tmp_path / "deflate.py").write_text(FAKES[fake])
    recipe, key, digest, diff_id, size = built(root, first=tmp_path)
    assert recipe == STORED
    assert diff_id == expected[3]
    assert (key != expected[1], digest != expected[2], int(size) > int(expected[4])) == (True, True, True)
    (tmp_path / "deflate.py").write_text(FAKES["not installed"])
    assert built(root, first=tmp_path) == [recipe, key, digest, diff_id, size]


def install_old_encoder(folder: Path) -> None:
    command = [
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--only-binary=:all:",
        "--target",
        str(folder),
        OLD_ENCODER,
    ]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no {OLD_ENCODER}: {done.stderr[-300:]}")


@pytest.mark.rig
def test_an_older_build_of_the_encoder_gives_the_same_bytes(root: Path, expected: list[str]) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    old = cached(f"{OLD_ENCODER}-python{version}", install_old_encoder)
    check = "import deflate; print(deflate.__file__, getattr(deflate, '__version__', ''))"
    loaded = subprocess.run(
        [sys.executable, "-c", check],
        capture_output=True,
        text=True,
        check=True,
        env=python_environment(root, old),
    )
    assert loaded.stdout.startswith(str(old))
    assert built(root, first=old) == expected


@pytest.mark.rig
@pytest.mark.slow
@pytest.mark.parametrize("model", cpu_models.MODELS)
def test_no_cpu_model_reaches_the_bytes(root: Path, expected: list[str], model: str) -> None:
    with skipping():
        cpu_models.install()
    done = cpu_models.run_under(
        model, [sys.executable, "-c", PROGRAM], env=python_environment(root), cwd=root
    )
    assert done.stdout.split() == expected
