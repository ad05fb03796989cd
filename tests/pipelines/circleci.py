"""`.circleci/config.yml`, as far as this repository uses the language; anything else is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.pipelines.commands import Job
from tests.sources import ROOT

FILE = ROOT / ".circleci" / "config.yml"
_STEPS = {"checkout", "run", "store_test_results"}


def read(file: Path = FILE) -> list[Job]:
    """The jobs of the one workflow, in the order of its list."""
    config = yaml.safe_load(file.read_text())
    assert set(config) == {"version", "executors", "jobs", "workflows"}
    (workflow,) = config["workflows"].values()
    jobs = [_job(entry, config) for entry in workflow["jobs"]]
    assert {job.name for job in jobs} == set(config["jobs"]), "every job is in the workflow"
    return jobs


def requirements(file: Path = FILE) -> dict[str, list[str]]:
    """Which jobs each job waits for."""
    (workflow,) = yaml.safe_load(file.read_text())["workflows"].values()
    return {name: entry.get("requires", []) for name, entry in map(_named, workflow["jobs"])}


def _job(entry: Any, config: dict[str, Any]) -> Job:
    name, options = _named(entry)
    assert set(options) <= {"requires", "context", "filters"}, name
    job = config["jobs"][name]
    assert set(job) == {"executor", "steps"}, name
    assert job["executor"] in config["executors"], name
    steps: list[dict[str, Any]] = [{step: None} if isinstance(step, str) else step for step in job["steps"]]
    assert {kind for step in steps for kind in step} <= _STEPS, name
    assert "checkout" in steps[0], name
    branch = options.get("filters", {}).get("branches", {}).get("only", "")
    return Job(name, tuple(step["run"] for step in steps if "run" in step), "context" in options, branch)


def _named(entry: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(entry, str):
        return entry, {}
    ((name, options),) = entry.items()
    return name, options
