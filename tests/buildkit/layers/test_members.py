"""The thread behind a layer: in order, a few pieces behind, and what goes wrong in it comes out."""

from __future__ import annotations

import threading

import pytest

from buildkit.layers.members import Worker

LONG = 30  # seconds; nothing here takes one


def fail(_: object) -> None:
    raise OSError("the disk is full")


def test_pieces_are_done_in_order() -> None:
    done: list[object] = []
    with Worker() as worker:
        for number in range(100):
            worker.give(done.append, number)
        worker.mark()()
        assert done == list(range(100))


def test_a_failure_comes_out_of_every_way_to_wait() -> None:
    done: list[object] = []
    worker = Worker()
    worker.give(fail, None)
    with pytest.raises(OSError, match="the disk is full"):
        worker.mark()()
    with pytest.raises(OSError, match="the disk is full"):
        worker.give(done.append, None)
    with pytest.raises(OSError, match="the disk is full"):
        worker.end()
    assert not done, "nothing is done after a failure"


def test_however_often_a_failed_worker_is_given_more_it_answers() -> None:
    worker = Worker()
    worker.give(fail, None)
    with pytest.raises(OSError, match="full"):
        worker.mark()()
    raised: list[OSError] = []

    def give_more() -> None:
        for _ in range(20):
            try:
                worker.give(fail, None)
            except OSError as error:
                raised.append(error)

    giver = threading.Thread(target=give_more, daemon=True)
    giver.start()
    giver.join(LONG)
    assert len(raised) == 20
    with pytest.raises(OSError, match="full"):
        worker.end()
