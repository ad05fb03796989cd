"""The same for each item on a few threads, with the error that one thread would have met first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from buildkit.errors import TreeshipError
from buildkit.registry.parallel import each

Item = TypeVar("Item")
Result = TypeVar("Result")
Proceed = Callable[[], None]


class _Given(Exception):
    """An earlier item has failed: this one's work is no longer wanted."""


def in_order(items: Sequence[Item], act: Callable[[Item, Proceed], Result], limit: int) -> list[Result]:
    """Results in the order of the items, or the error of the first item that has one.

    What comes after an item that failed is given up; what comes before is finished, since it may fail too. So the
    error does not depend on which thread was faster. `act` gets a function to call between the steps of long work.
    """
    run = _Run(act)
    each(list(enumerate(items)), run.one, limit)
    if run.failures:
        raise run.failures[min(run.failures)]
    return [run.results[at] for at in range(len(items))]


class _Run(Generic[Item, Result]):
    def __init__(self, act: Callable[[Item, Proceed], Result]) -> None:
        self._act = act
        self.results: dict[int, Result] = {}
        self.failures: dict[int, TreeshipError] = {}

    def one(self, numbered: tuple[int, Item], stop: Proceed) -> None:
        at, item = numbered

        def proceed() -> None:
            stop()
            if any(failed < at for failed in tuple(self.failures)):
                raise _Given

        try:
            proceed()
            self.results[at] = self._act(item, proceed)
        except _Given:
            return
        except TreeshipError as error:
            self.failures[at] = error
