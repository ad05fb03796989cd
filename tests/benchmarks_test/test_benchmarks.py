"""Each benchmark runs, on small inputs and without the engines: what it measures here means nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.processes import Pipeline, command, seconds
from benchmarks.results import Budget, Result, table
from benchmarks.table import BENCHMARKS
from tests.rigs.errors import CommandFailed
from tests.rigs.fixtures import skipping


@pytest.mark.rig
@pytest.mark.slow
def test_every_benchmark_runs_and_says_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, kept = tmp_path / "found.json", tmp_path / "kept"
    with skipping():
        assert main(["--tiny", "--rounds", "1", "--json", str(file), "--keep", str(kept)]) == 0
    found = json.loads(file.read_text())["benchmarks"]
    assert list(found) == list(BENCHMARKS)
    said = capsys.readouterr().out
    for name, result in found.items():
        assert f"== {name}: {result['title']}" in said
        assert result["budgets"], name
    assert all(pushed > 0 for series in found["one_file_changed"]["series"] for pushed in series["pushed"])
    assert {"treeship", "git"} <= set(found["memory"]["programs"])


def test_a_name_that_is_unknown_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["nothing-of-this-name"])
    assert "one_file_changed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("measured", "at_least", "floor", "goal"),
    [(5.0, True, "PASS", "MISS"), (12.0, True, "PASS", "PASS"), (12.0, False, "MISS", "MISS")],
)
def test_a_budget_says_whether_it_holds(measured: float, at_least: bool, floor: str, goal: str) -> None:
    budget = Budget("what", measured, 4, 10, at_least=at_least)
    assert [budget.verdict(budget.floor), budget.verdict(budget.goal)] == [floor, goal]
    assert budget.to_json()["floor_met"] is (floor == "PASS")
    result = Result("name", "title", [["head", "x"], ["one", "10"]], [budget], {"more": 1})
    assert result.to_json()["more"] == 1
    assert f"{floor}" in result.text()


def test_a_budget_without_floor_or_goal_has_no_verdict_for_it() -> None:
    assert Budget("what", 1, None, 2).row() == ["what", "1 x", "", "goal <= 2 PASS"]
    assert "floor_met" not in Budget("what", 1, None, 2).to_json()


def test_columns_are_in_line() -> None:
    assert table([["a", "long"], ["long", "b"]]) == ["a     long", "long     b"]


def test_a_command_that_fails_is_not_measured() -> None:
    with pytest.raises(CommandFailed, match="no such thing"):
        seconds([command("sh", "-c", "echo no such thing >&2; exit 3")])


def test_a_pipeline_passes_on_what_is_printed_and_every_part_must_succeed() -> None:
    assert seconds([Pipeline((("echo", "word"), ("grep", "-q", "word")))]) > 0
    with pytest.raises(CommandFailed):
        seconds([Pipeline((("sh", "-c", "echo word; exit 1"), ("cat",)))])


def test_what_changes_how_python_starts_reaches_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    seconds([command("sh", "-c", 'test -z "$PYTHONDONTWRITEBYTECODE"')])
