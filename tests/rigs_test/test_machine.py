"""Installing is quick and honest; binfmt, CPU models, the small disk and the fixtures do what they say."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rigs import cpu_models, golang
from tests.rigs.__main__ import RIGS
from tests.rigs.binfmt import KERNEL, Binfmt
from tests.rigs.cpu_models import MODELS, run_under
from tests.rigs.errors import RigError, RigUnavailable
from tests.rigs.fixtures import skipping
from tests.rigs.install import debian_packages, missing
from tests.rigs.process import run
from tests.rigs.small_disk import SmallDisk

ROOT = Path(__file__).parents[2]


@pytest.mark.rig
def test_installing_again_takes_no_time() -> None:
    for install, _ in RIGS.values():
        install()
    began = time.monotonic()
    for install, _ in RIGS.values():
        install()
    assert time.monotonic() - began < 0.05 * len(RIGS)


def test_the_command_names_the_rigs_and_refuses_others() -> None:
    module = [sys.executable, "-m", "tests.rigs"]
    assert all(name in run([*module, "list"], cwd=ROOT).stdout for name in RIGS)
    refused = run([*module, "install", "registery"], cwd=ROOT, check=False)
    assert refused.returncode == 2
    assert "no rig is called registery" in refused.stderr


def test_a_package_that_is_not_there_is_missing() -> None:
    assert missing(("base-files", "treeship-no-such-package")) == ["treeship-no-such-package"]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be an ordinary user for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_without_root_a_missing_package_makes_a_rig_unavailable() -> None:
    with as_nobody(), pytest.raises(RigUnavailable, match="treeship-no-such-package"):
        debian_packages("base-files", "treeship-no-such-package")
    with as_nobody(), pytest.raises(RigUnavailable, match="needs root"):
        SmallDisk.install()


def test_only_where_a_rig_may_be_unavailable_its_tests_skip() -> None:
    with as_nobody(), pytest.raises(pytest.skip.Exception, match="no root"), skipping():
        raise RigUnavailable("no root")
    with as_nobody(), pytest.raises(RigError, match="broken"), skipping():
        raise RigError("broken")


@pytest.mark.rig
def test_nothing_skips_on_debian_as_root() -> None:
    with pytest.raises(RigUnavailable, match="no reason"), skipping():
        raise RigUnavailable("no reason")


def test_an_archive_with_another_digest_is_refused(tmp_path: Path) -> None:
    run([sys.executable, "-m", "zipfile", "-c", tmp_path / "toolchain.zip", __file__])
    with pytest.raises(RigError, match="has the digest h1:"):
        golang.unpack_module(tmp_path / "toolchain.zip", tmp_path / "go", prefix="x/", digest="h1:x=")
    assert not (tmp_path / "go").exists()


@pytest.mark.rig
def test_binfmt_comes_and_goes_with_its_last_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RIGS_CACHE", str(tmp_path))  # Nobody else is a user there.
    before = KERNEL.joinpath("qemu-riscv64").exists()
    with Binfmt("riscv64"):
        with Binfmt("riscv64"):
            pass
        assert "flags: " in (KERNEL / "qemu-riscv64").read_text()
        assert "F" in (KERNEL / "qemu-riscv64").read_text().partition("flags: ")[2].partition("\n")[0]
    assert KERNEL.joinpath("qemu-riscv64").exists() == before


@pytest.mark.rig
def test_the_encoder_gives_equal_bytes_on_three_cpu_models() -> None:
    cpu_models.install()
    encode = (
        "import deflate, hashlib, random; r = random.Random(1); "
        "data = b''.join(r.choice((b'alpha', b'beta', r.randbytes(9))) for _ in range(40000)); "
        "print(hashlib.sha256(deflate.deflate_compress(data, 1)).hexdigest())"
    )
    shown = {model: run_under(model, [sys.executable, "-c", encode]).stdout for model in MODELS}
    assert set(shown.values()) == {run([sys.executable, "-c", encode]).stdout}


@pytest.mark.rig
def test_the_small_disk_is_soon_full(small_disk: SmallDisk) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        (small_disk.path / "big").write_bytes(bytes(9 << 20))
    assert caught.value.errno == errno.ENOSPC


FAILING = """\
import pytest
pytestmark = pytest.mark.rig
def test_fails(ggcr_registry):
    assert ggcr_registry.host == "elsewhere"
"""


@pytest.mark.rig
def test_a_failing_test_prints_the_logs(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FAILING)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.rigs.fixtures", "-p", "no:cacheprovider"]
    shown = subprocess.run(
        [*command, f"--rootdir={tmp_path}", "-c", os.devnull, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 1
    assert "log of crane" in shown.stdout
    assert "serving on port" in shown.stdout
