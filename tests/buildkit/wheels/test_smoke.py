"""The import smoke test: which modules it takes, and that real wheels import with all slim rules on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from buildkit.testing.smoke import command, modules
from buildkit.wheels.installed import Plan, merged, plan
from buildkit.wheels.slim import Slimmed, slim
from buildkit.wheels.slim_rules import RULES
from tests.buildkit.wheels.support import DEBIAN, SITE, layer, open_all, planned, unpacked, wheel_bytes
from tests.rigs.fixtures import skipping
from tests.rigs.wheels import wheel

WHEELS = ("numpy==2.3.4", "six==1.17.0", "attrs==25.4.0")


def of(*paths: str) -> tuple[str, ...]:
    return modules([planned(wheel_bytes(dict.fromkeys(paths, b"")))])


def test_packages_modules_and_what_namespaces_hold() -> None:
    assert of("a/__init__.py", "a/b.py", "a/c/__init__.py", "six.py", "_x.abi3.so", "_y.cpython-311-x86.so") == (
        "_x", "_y", "a", "six")  # fmt: skip
    assert of("google/cloud/one/__init__.py", "google/cloud/one/x/__init__.py", "google/two.py") == (
        "google.cloud.one", "google.two")  # fmt: skip
    assert of("sourceless/__init__.pyc", "sourceless/a.py") == ("sourceless",)


def test_what_is_no_module_is_not_imported() -> None:
    paths = ("nvidia/lib/libcublas.so", "nvidia/lib/libx.so.12", "libtop.so", "a-b/__init__.py", "numpy.libs/x.so",
             "pkg-stubs/a.py", "data/x.txt", "pkg-1.0.data/data/share/y.py", "pkg-1.0.data/scripts/z.py")  # fmt: skip
    assert of(*paths) == ()


def run(words: list[str], folder: Path) -> tuple[int, dict[str, str]]:
    """Exit code and failures, where the tree in this folder is all that is there beside the standard library."""
    isolated = [
        words[0],
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(folder)!r})\n{words[2]}",
        *words[3:],
    ]
    done = subprocess.run(isolated, capture_output=True, text=True, check=False, cwd="/")
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_failures_are_named(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("print('talks')")
    (tmp_path / "bad.py").write_text("import missing_for_sure")
    (tmp_path / "leaves.py").write_text("raise SystemExit(0)")
    code, failed = run(command(sys.executable, ["good", "bad", "leaves"]), tmp_path)
    assert code == 1
    assert failed == {
        "bad": "ModuleNotFoundError: No module named 'missing_for_sure'",
        "leaves": "SystemExit: 0",
    }
    assert run(command(sys.executable, ["good"]), tmp_path) == (0, {})


def unpack(plans: list[Plan], folder: Path) -> None:
    """The site-packages of these plans."""
    for path, file in unpacked(layer(*plans)[1]).items():
        if path.startswith(SITE + "/"):
            target = folder / path.removeprefix(SITE + "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.content)


@pytest.fixture(scope="module")
def real() -> list[Path]:
    """Wheels as they are published."""
    with skipping():
        return [wheel(requirement) for requirement in WHEELS]


@pytest.mark.rig
def test_real_wheels_import_with_all_rules_on(real: list[Path], tmp_path: Path) -> None:
    with ExitStack() as stack:
        slimmed: list[Slimmed] = [slim(plan(each, DEBIAN), RULES) for each in open_all(stack, real)]
        plans = [each.plan for each in slimmed]
        assert modules(plans) == ("attr", "attrs", "numpy", "six")
        unpack(plans, tmp_path)
        left = sum(each.file.size for each in merged(plans))
    gone = Counter({each.rule: 0 for one in slimmed for each in one.removed})
    for each in (each for one in slimmed for each in one.removed):
        gone[each.rule] += each.size
    assert gone.keys() == {"tests", "headers", "sources", "static-libraries", "stubs"}
    assert gone.total() > left // 10
    names = [*modules(plans), "numpy.testing", "numpy.random", "numpy.linalg", "numpy.fft", "numpy.ma"]
    assert run(command(sys.executable, names), tmp_path) == (0, {})
    code, failed = run(command(sys.executable, ["numpy.tests", "numpy.f2py.tests"]), tmp_path)
    assert (code, len(failed)) == (1, 2)
