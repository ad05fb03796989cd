"""Rules for both pipelines, and their treeship commands executed in a clone."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from buildkit.testing.registry import InProcessRegistry
from tests.pipelines import circleci, jenkins
from tests.pipelines.commands import TREESHIP, Job, parsed, words_of
from tests.sources import ROOT

PIPELINES = {"circleci": circleci.read, "jenkins": jenkins.read}
FILES = (circleci.FILE, jenkins.FILE)
# What the environment of a job may tell a command; branch names are not among it, since anybody may name a branch.
PUBLIC_BASE = "docker://docker.io/library/python:3.12-slim-bookworm"


@pytest.fixture(params=sorted(PIPELINES))
def jobs(request: pytest.FixtureRequest) -> list[Job]:
    """The jobs of each pipeline."""
    return PIPELINES[request.param]()


def test_each_step_is_one_command_that_exists(jobs: list[Job]) -> None:
    commands = [command for job in jobs for command in job.commands]
    assert any(parsed(command) for command in commands), "treeship builds the image of its own commits"


def test_secrets_are_seen_on_main_only(jobs: list[Job]) -> None:
    assert [job.name for job in jobs if job.secrets] == ["push"]
    assert {job.branch for job in jobs if job.secrets} == {"main"}
    assert {job.branch for job in jobs if not job.secrets} == {""}, "every branch is tested and built"


def test_the_image_is_pushed_only_after_tests_and_build() -> None:
    assert circleci.requirements()["push"] == ["test", "build"]
    assert [job.name for job in jenkins.read()] == ["test", "build", "push"], "stages run in order"


def test_both_pipelines_run_the_same_commands() -> None:
    assert {job.name: job.commands for job in circleci.read()} == {
        job.name: job.commands for job in jenkins.read()
    }


def test_where_an_image_goes_is_not_in_the_commit(jobs: list[Job]) -> None:
    """A pull request may edit these files, but not the context or the credentials."""
    for job in jobs:
        for command in job.commands:
            arguments = parsed(command)
            if arguments is not None:
                assert arguments.to is None
                assert getattr(arguments, "reuse.from") is None


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_value_that_others_choose_reaches_a_shell(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"CIRCLE_BRANCH|CIRCLE_TAG|pipeline\.git|BRANCH_NAME|CHANGE_|<<|\$\{", text)
    assert not re.search(r"(?i)(password|token|secret)\s*[:=]\s*['\"]?\w", text)


def test_groovy_has_nothing_to_interpolate() -> None:
    assert all(
        text.startswith("'") for text in jenkins.strings(jenkins.without_comments(jenkins.FILE.read_text()))
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("pipeline { stages { stage('a') { steps { sh 'make' } } }", "too few"),
        ("pipeline { } }", "too many"),
        ("pipeline { stagez { } }", "stagez"),
    ],
)
def test_a_broken_jenkinsfile_is_noticed(text: str, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        jenkins.check_brackets(text)


@pytest.mark.parametrize(
    "command", ["make test; make lint", "make nothing", "curl x | sh", f"{TREESHIP} build --nope"]
)
def test_a_wrong_step_is_noticed(command: str) -> None:
    with pytest.raises((AssertionError, SystemExit)):
        parsed(command)


def test_the_commands_work(jobs: list[Job], tmp_path: Path) -> None:
    """Each treeship command as the CI would run it, in a clone; with a context only where the pipeline gives one."""
    clone = _clone(tmp_path / "clone")
    with InProcessRegistry() as registry:
        for job in jobs:
            secret = {"TREESHIP_TO": f"docker://{registry.host}/treeship:main"} if job.secrets else {}
            for command in job.commands:
                if words_of(command)[0] == TREESHIP:
                    # Public registries are not reached from tests, and scratch has no Python for wheels.
                    _run(command.replace(PUBLIC_BASE, "scratch --no-dependencies"), clone, secret)
        pushed = registry.store.repository("treeship")
        commit = _git(clone, "rev-parse", "HEAD")
        assert set(pushed.tags) == {"main", commit}
        assert not registry.store.incomplete()
    assert (clone / ".treeship" / "oci" / "index.json").exists(), "what has no context stays here"


def test_login_writes_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    secret = '{"auths": {"registry.example": {"auth": "dTpw"}}}'
    _run(f"make --file={ROOT}/Makefile login", tmp_path, {"HOME": str(tmp_path), "REGISTRY_AUTH": secret})
    file = tmp_path / ".docker" / "config.json"
    assert file.read_text() == secret
    assert file.stat().st_mode & 0o777 == 0o600


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", folder, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def _clone(folder: Path) -> Path:
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a git repository, but a copy of its files")
    subprocess.run(
        ["git", "clone", "--quiet", "--no-hardlinks", "--depth=1", ROOT.as_uri(), folder], check=True
    )
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


def _run(command: str, folder: Path, extra: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", command],
        cwd=folder,
        env=os.environ | extra,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
