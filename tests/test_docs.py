"""The documentation is true: its commands run, outputs are real, links lead somewhere, and tables are complete."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import buildkit
from buildkit import errors
from buildkit.config.holds import parse_holds
from buildkit.config.toml import TREESHIP_TOML
from tests import markdown
from tests.rigs.docker_engine import DockerEngine
from tests.sandbox import Sandbox, opened
from tests.sources import ROOT, modules

DOCS = ROOT / "docs"
RUN = "sh run"
OUTPUT = "text output"
BUILD = "treeship build --index https://packages.example/simple/ " \
    "--base docker://registry.example/bases/python:3.12 --to docker://registry.example/app:x"  # fmt: skip
DOCKERFILES = """
mkdir -p dockerfiles/service
echo '[service]
parent = "registry.example/bases/python:3.12"
platforms = ["linux/amd64"]' > dockerfiles/bases.toml
printf 'ARG PARENT\\nFROM ${PARENT}\\nUSER 10001\\n' > dockerfiles/service/Dockerfile
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """Of this test's own."""
    with opened(tmp_path) as found:
        yield found


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
    assert set(table) == {"0", "10", "130", *(str(kind.exit_code) for kind in kinds)}


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
        (
            "rebase",
            "rebase docker://registry.example/app:x --onto docker://registry.example/bases/python:3.12-next",
        ),
        ("expire", "expire docker://registry.example/app"),
        ("base list", "base list"),
        ("base pin", "base pin"),
    ],
)
def test_the_keys_of_json_are_documented(sandbox: Sandbox, heading: str, words: str) -> None:
    sandbox.run(DOCKERFILES)
    sandbox.run(f"git add pylock.toml; git commit --quiet --message locked; {BUILD}; git reset --quiet HEAD~")
    printed = sandbox.json(words)
    keys = set(printed)
    section = markdown.section(DOCS / "json.md", heading)
    if heading == "build and explain":
        keys |= {key for layer in printed["layers"] for key in layer}
    assert markdown.first_cells(section) == keys
    assert listed_keys(printed) <= markdown.quoted(section)


def test_the_keys_of_all_variants_and_of_fleets_and_applied_plans_are_documented(sandbox: Sandbox) -> None:
    sandbox.run(BUILD)
    sandbox.run("printf '[variants.ci]\\n[variants.devbox]\\n' > treeship.toml; git add treeship.toml")
    sandbox.run("git commit --quiet --message variants")
    base = "docker://registry.example/bases/python:3.12"
    said = {
        f"build --variant all --base {base} --to docker://registry.example/app:y": "build and explain",
        f"rebase --all-from {base} --onto {base}-next docker://registry.example/app": "rebase",
        "expire docker://registry.example/app --out plan.jsonl": "expire",
        "expire --apply plan.jsonl": "expire",
    }
    for words, heading in said.items():
        printed = sandbox.json(words)
        found = set(printed) | listed_keys(printed)
        for each in printed.get("variants", {}).values():
            found |= set(each)
        assert found <= markdown.quoted(markdown.section(DOCS / "json.md", heading)), words


def test_the_keys_of_base_build_are_documented(sandbox: Sandbox, docker_engine: DockerEngine) -> None:
    variables = " ".join(f"{name}={value}" for name, value in docker_engine.env.items())
    sandbox.run(DOCKERFILES)
    words = "base build service --platform linux/amd64 --to docker://registry.example/bases/service:main"
    printed = json.loads(sandbox.run(f"{variables} treeship {words} --json"))
    section = markdown.section(DOCS / "json.md", "base build")
    assert markdown.first_cells(section) == set(printed)
    assert listed_keys(printed) <= markdown.quoted(section)


@pytest.mark.parametrize("page", markdown.pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_that_are_shown_are_settings(page: Path) -> None:
    for block in markdown.blocks(page):
        if block.kind == "toml":
            parse_holds({TREESHIP_TOML: block.text.encode()}, "the page")


def test_the_changelog_speaks_of_this_version() -> None:
    said = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in said or f"## [{buildkit.__version__}]" in said


def listed_keys(value: object) -> set[str]:
    """The keys of all objects in lists; those of other objects are names."""
    if isinstance(value, dict):
        return {key for each in value.values() for key in listed_keys(each)}
    if not isinstance(value, list):
        return set()
    keys = {key for each in value if isinstance(each, dict) for key in each}
    return keys.union(*map(listed_keys, value))


def steady(text: str) -> str:
    """A text without what differs from run to run: times, requests, ages; digests and ids that depend on the
    registry's port, and the columns of tables with its name in them."""
    text = re.sub(r"\b[0-9a-f]{12,64}\b", "…", text)
    text = re.sub(r"\d+\.\d\d s|\d+ days|\d+ requests", "…", text)
    return re.sub(r"  +", "  ", text).strip()
