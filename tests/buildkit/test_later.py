"""An answer that is asked for now and needed later."""

from __future__ import annotations

import threading

import pytest

from buildkit.errors import NotFound
from buildkit.later import Later


def test_the_function_runs_while_the_caller_goes_on() -> None:
    go, began = threading.Event(), threading.Event()

    def ask() -> int:
        began.set()
        assert go.wait(10)
        return 7

    later = Later(ask)
    assert began.wait(10)
    go.set()
    assert later.result() == 7
    assert later.result() == 7


def test_what_it_raises_is_raised_where_the_answer_is_needed() -> None:
    def ask() -> int:
        raise NotFound("no such base", "name another")

    later = Later(ask)
    for _ in range(2):
        with pytest.raises(NotFound, match="no such base"):
            later.result()
