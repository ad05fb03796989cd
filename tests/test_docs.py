"""The documentation is true: its commands run, outputs are real, links lead somewhere, and tables are complete."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import buildkit
from buildkit import errors
from buildkit.testing.registry import InProcessRegistry
from buildkit.testing.repositories import ThrowAwayRepository
from tests import markdown
from tests.sources import ROOT, modules

DOCS = ROOT / "docs"
RUN = "sh run"
OUTPUT = "text output"
# Equal commits have equal ids, whenever a page makes them.
DATES = {"GIT_AUTHOR_DATE": "2024-01-01T12:00:00Z", "GIT_COMMITTER_DATE": "2024-01-01T12:00:00Z"}
# The project that the pages speak of. Its second commit is the one that they build.
PROJECT = {
    "train.py": b"epochs = 3\nprint('training for', epochs)\n",
    "features.py": b"columns = ['age', 'height']\n",
    "evaluate.py": b"print('evaluating')\n",
    "flows/nightly.py": b"print('a flow')\n",
    "data/labels.csv": b"id,label\n" + b"".join(b"%d,%d\n" % (n, n % 7) for n in range(2000)),
    "README.md": b"# A project\n",
    "pyproject.toml": b'[project]\nname = "project"\nversion = "1"\n',
}


class Sandbox(NamedTuple):
    """A work tree of the project, and a registry that the pages call registry.example."""

    folder: Path
    registry: InProcessRegistry

    def run(self, script: str) -> str:
        """What a block prints on stdout, in the page's own words."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script.replace("registry.example", self.registry.host)],
            cwd=self.folder,
            env=os.environ
            | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
            | DATES,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stderr}"
        return done.stdout.replace(self.registry.host, "registry.example")

    def json(self, words: str) -> dict[str, Any]:
        """What a verb prints with --json."""
        found = json.loads(self.run(f"treeship {words} --json"))
        assert isinstance(found, dict)
        return found


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """Two commits, and a base in the registry."""
    repository = ThrowAwayRepository(tmp_path / "project")
    first = repository.commit({**PROJECT, "features.py": b"columns = []\n"})
    repository.commit(PROJECT, parents=[first])
    with InProcessRegistry() as registry:
        sandbox = Sandbox(tmp_path / "project", registry)
        sandbox.run("git reset --quiet --hard")
        sandbox.run(
            "treeship build --base scratch --no-commit-tag --no-reuse --to docker://registry.example/bases/python:3.12"
        )
        yield sandbox


@pytest.mark.parametrize(
    "page",
    [page for page in markdown.pages() if RUN in page.read_text()],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_the_commands_of_a_page_run_and_print_what_it_says(page: Path, sandbox: Sandbox) -> None:
    printed = ""
    for block in markdown.blocks(page):
        if block.kind == RUN:
            printed = sandbox.run(block.text)
        elif block.kind == OUTPUT:
            assert steady(block.text) == steady(printed)


def test_the_readme_shows_a_plan_and_the_two_commands() -> None:
    kinds = [block.kind for block in markdown.blocks(ROOT / "README.md")]
    assert OUTPUT in kinds
    assert "make demo\nmake test\n" in [block.text for block in markdown.blocks(ROOT / "README.md")]


@pytest.mark.parametrize("page", markdown.pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in markdown.links(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in markdown.anchors(target), link


@pytest.mark.parametrize("page", markdown.pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_tests_that_are_named_exist(page: Path) -> None:
    for quoted in re.findall(r"`((?:buildkit|ci|tests|demo|benchmarks)/[\w./:\[\]-]*)`", page.read_text()):
        path, _, test = quoted.partition("::")
        assert (ROOT / path).exists(), quoted
        if test:
            assert f"def {test.partition('[')[0]}(" in (ROOT / path).read_text(), quoted


def test_the_architecture_names_every_stage_that_the_build_has() -> None:
    said = (DOCS / "architecture.md").read_text()
    stages = re.findall(r"^(\d)\. ", modules()["buildkit.build"].body[0].value.value, re.MULTILINE)  # type: ignore[attr-defined]
    assert stages == [str(number) for number in range(1, 10)]
    assert all(f"\n## {number}. " in said for number in stages)


def test_every_kind_of_error_has_a_section_and_a_code() -> None:
    page = DOCS / "errors.md"
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.TreeshipError)
    ]
    table = dict(re.findall(r"^\| (\d+) \|.*\|(.*)\|$", page.read_text(), re.MULTILINE))
    for kind in kinds:
        assert kind.anchor in markdown.anchors(page), kind
        assert f"(#{kind.anchor})" in table[str(kind.exit_code)], kind
        assert (ROOT / kind("what happened").docs.partition("#")[0]).exists()
    assert set(table) == {"0", "130", *(str(kind.exit_code) for kind in kinds)}


def test_an_error_leads_to_its_section(sandbox: Sandbox) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ci", "build", "nothing", "--repo", str(sandbox.folder), "--base", "scratch"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "docs/errors.md#not-found" in done.stderr
    assert "hint: " in done.stderr


def test_the_page_of_the_command_line_is_current() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ci.page"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    if sys.version_info < (3, 13):  # Later ones write `-h, --help` and metavars in other ways.
        assert done.stdout == (DOCS / "cli.md").read_text(), "run `make docs`"


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        (
            "build and explain",
            "build --base docker://registry.example/bases/python:3.12 --to docker://registry.example/app:x",
        ),
        ("build and explain", "explain --base docker://registry.example/bases/python:3.12"),
        ("check", "check docker://registry.example/app:x"),
        ("inspect", "inspect docker://registry.example/app:x"),
        ("base facts", "base facts docker://registry.example/bases/python:3.12"),
        ("copy", "copy docker://registry.example/app:x oci:copies:x"),
    ],
)
def test_the_keys_of_json_are_documented(sandbox: Sandbox, heading: str, words: str) -> None:
    sandbox.run(
        "treeship build --base docker://registry.example/bases/python:3.12 --to docker://registry.example/app:x"
    )
    printed = sandbox.json(words)
    keys = set(printed)
    if heading == "build and explain":
        keys |= {key for layer in printed["layers"] for key in layer}
    assert markdown.first_cells(markdown.section(DOCS / "json.md", heading)) == keys


def test_the_changelog_speaks_of_this_version() -> None:
    said = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in said or f"## [{buildkit.__version__}]" in said


def steady(text: str) -> str:
    """A text without what differs from run to run: times, and digests that depend on the registry's port."""
    return re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", re.sub(r"\d+\.\d\d s", "… s", text)).strip()
