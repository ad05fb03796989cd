"""The same for each item, on a few threads. concurrent.futures costs start-up time and stops nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Stopped(Exception):
    """Another thread has failed: this one's work is no longer wanted."""


def each(
    items: Sequence[Item], act: Callable[[Item, Callable[[], None]], Result], limit: int
) -> list[Result]:
    """Results in the order of the items; after the first error nothing new begins, and it is raised.

    The calling thread works too, so one item starts no thread. `act` gets a function to call between the
    steps of long work: it raises where that work should end.
    """
    crew = _Crew(items, act)
    threads = [threading.Thread(target=crew.work, daemon=True) for _ in range(min(limit, len(items)) - 1)]
    for thread in threads:
        thread.start()
    crew.work()
    for thread in threads:
        crew.wait(thread)
    if crew.failure is not None:
        raise crew.failure
    return [crew.results[at] for at in range(len(items))]


class _Crew(Generic[Item, Result]):
    """What the threads share."""

    def __init__(self, items: Sequence[Item], act: Callable[[Item, Callable[[], None]], Result]) -> None:
        self.results: dict[int, Result] = {}
        self.failure: BaseException | None = None
        self._items = items
        self._act = act
        self._left = list(range(len(items) - 1, -1, -1))
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Raise where the work is no longer wanted."""
        if self.failure is not None:
            raise Stopped

    @property
    def interrupted(self) -> bool:
        """Whether somebody wants the whole run to end."""
        return self.failure is not None and not isinstance(self.failure, Exception)

    def work(self) -> None:
        """Take items until there are none."""
        while (at := self._next()) is not None:
            try:
                self.results[at] = self._act(self._items[at], self.stop)
            except Stopped:
                return
            except BaseException as error:  # an interrupt too: it is raised in the calling thread
                self._fail(error)

    def wait(self, thread: threading.Thread) -> None:
        """For its end. After an interrupt nobody is waited for: a thread may hang on a silent server."""
        while thread.is_alive() and not self.interrupted:
            try:
                thread.join()
            except BaseException as error:
                self._fail(error)

    def _next(self) -> int | None:
        with self._lock:
            return self._left.pop() if self._left and self.failure is None else None

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self.failure is None or not isinstance(error, Exception):
                self.failure = error


class Ahead(Generic[Item, Result]):
    """Work on items as they come, on a few threads, while the caller makes more of them."""

    def __init__(self, act: Callable[[Item, Callable[[], None]], Result], limit: int) -> None:
        self._act = act
        self._items: SimpleQueue[Item | None] = SimpleQueue()
        self._results: list[Result] = []
        self._failure: BaseException | None = None
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(limit)]
        for thread in self._threads:
            thread.start()

    def give(self, item: Item) -> None:
        """One more; raises what went wrong with an earlier one."""
        if self._failure is not None:
            raise self._failure
        self._items.put(item)

    def finish(self) -> list[Result]:
        """All results, in any order, when the last is there; raises what went wrong."""
        for _ in self._threads:
            self._items.put(None)
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure
        return self._results

    def _stop(self) -> None:
        if self._failure is not None:
            raise Stopped

    def _work(self) -> None:
        while (item := self._items.get()) is not None:
            try:
                self._stop()
                self._results.append(self._act(item, self._stop))
            except Stopped:
                continue
            except BaseException as error:
                self._failure = error
