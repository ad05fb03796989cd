"""What a benchmark says: a table, budgets that are met or missed, and the same for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Budget(NamedTuple):
    """A number and its limit; `floor` must hold, a goal is what we aim at."""

    what: str
    measured: float
    limit: float
    at_least: bool = False
    unit: str = "x"
    kind: str = "floor"

    @property
    def met(self) -> bool:
        """Whether it holds."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def line(self) -> str:
        """For a person."""
        sign = ">=" if self.at_least else "<="
        verdict = "PASS" if self.met else "MISS"
        return (
            f"{verdict}  {self.kind:<5}  {self.what}: {self.measured:.3g} {self.unit} ({sign} {self.limit:g})"
        )

    def to_json(self) -> dict[str, Any]:
        """For the results."""
        return {**self._asdict(), "met": self.met}


class Result(NamedTuple):
    """One benchmark's. The first row of `rows` is the headline; `data` is what JSON has beside it."""

    name: str
    title: str
    rows: Sequence[Sequence[str]]
    budgets: Sequence[Budget]
    data: dict[str, Any]

    def text(self) -> str:
        """For a person."""
        lines = [f"== {self.name}: {self.title}", *table(self.rows)]
        return "\n".join([*lines, *(budget.line() for budget in self.budgets)])

    def to_json(self) -> dict[str, Any]:
        """For the results."""
        return {"title": self.title, **self.data, "budgets": [budget.to_json() for budget in self.budgets]}


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns in line: the first to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]
