"""What a benchmark says: a table, budgets that are met or missed, and the same for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Budget(NamedTuple):
    """A number and its limits: `floor` must hold, `goal` is what we aim at."""

    what: str
    measured: float
    floor: float | None
    goal: float | None = None
    at_least: bool = False
    unit: str = "x"

    def verdict(self, limit: float | None) -> str:
        """PASS or MISS; nothing where there is no limit."""
        if limit is None:
            return ""
        return "PASS" if (self.measured >= limit if self.at_least else self.measured <= limit) else "MISS"

    def row(self) -> list[str]:
        """For a person."""
        sign = ">=" if self.at_least else "<="
        limits = (("floor", self.floor), ("goal", self.goal))
        verdicts = [
            "" if limit is None else f"{name} {sign} {limit:g} {self.verdict(limit)}"
            for name, limit in limits
        ]
        return [self.what, f"{self.measured:.3g} {self.unit}", *verdicts]

    def to_json(self) -> dict[str, Any]:
        """For the results."""
        verdicts = {"floor_met": self.verdict(self.floor), "goal_met": self.verdict(self.goal)}
        return {**self._asdict(), **{name: said == "PASS" for name, said in verdicts.items() if said}}


class Result(NamedTuple):
    """One benchmark's. The first of `rows` is their headline; `data` is what JSON has beside the budgets."""

    name: str
    title: str
    rows: Sequence[Sequence[str]]
    budgets: Sequence[Budget]
    data: dict[str, Any]

    def text(self) -> str:
        """For a person."""
        verdicts = table([budget.row() for budget in self.budgets])
        return "\n".join([f"== {self.name}: {self.title}", *table(self.rows), "", *verdicts])

    def to_json(self) -> dict[str, Any]:
        """For the results."""
        return {"title": self.title, **self.data, "budgets": [budget.to_json() for budget in self.budgets]}


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns in line: the first to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]
