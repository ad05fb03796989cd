"""An answer that is asked for now and needed later: a registry is slow to answer, git has work to do meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Later(Generic[Result]):
    """What a function gives, which a thread of its own calls at once.

    A run that ends before does not wait for it: the thread is a daemon, and nothing it raises is reported.
    """

    def __init__(self, ask: Callable[[], Result]) -> None:
        self._ask = ask
        self._answer: Result
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> Result:
        """The answer, when it is there; raises what the function raised. As often as it is needed."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._answer

    def _run(self) -> None:
        try:
            self._answer = self._ask()
        except BaseException as error:
            self._failure = error
