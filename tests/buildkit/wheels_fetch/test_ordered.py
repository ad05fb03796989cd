"""Work on several threads, with the results and the error that one thread would have."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit.errors import NotFound
from buildkit.wheels.fetch.ordered import in_order


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), max_size=12), st.integers(1, 5))
def test_results_are_in_order_and_the_error_is_the_first(good: list[bool], threads: int) -> None:
    def act(at: int, proceed: Callable[[], None]) -> int:
        proceed()
        if not good[at]:
            raise NotFound(str(at))
        return at

    numbers = list(range(len(good)))
    if all(good):
        assert in_order(numbers, act, threads) == numbers
    else:
        with pytest.raises(NotFound, match=f"^{good.index(False)}$"):
            in_order(numbers, act, threads)


def test_long_work_behind_an_error_is_given_up_and_before_it_finished() -> None:
    done: list[int] = []
    given_up = threading.Event()

    def act(at: int, proceed: Callable[[], None]) -> None:
        if at == 1:
            time.sleep(0.02)
            raise NotFound("1")
        try:
            for _ in range(20):
                time.sleep(0.005)
                proceed()
        except BaseException:
            given_up.set()
            raise
        done.append(at)

    with pytest.raises(NotFound, match="1"):
        in_order(range(9), act, 3)
    assert done == [0]
    assert given_up.is_set()


def test_a_bug_is_raised_as_it_is() -> None:
    def act(at: int, _proceed: Callable[[], None]) -> None:
        raise ZeroDivisionError(at)

    with pytest.raises(ZeroDivisionError):
        in_order(range(3), act, 2)
