"""A push that ends at any request leaves nothing half-written, and the next one finishes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from buildkit.endpoints import Blob
from buildkit.registry.parallel import each
from buildkit.testing.registry import Exchange, InProcessRegistry, faults
from tests.buildkit.registry.support import IMAGE, Client, Serve, at, blob, work

PUSH = """
import sys
from buildkit.registry import Registries
from tests.buildkit.registry.support import IMAGE, at
with Registries() as registries:
    registries.sink(at(sys.argv[1])).publish(IMAGE)
"""
REQUESTS = 10


@pytest.mark.parametrize("last", [1, 3, 5, 8, REQUESTS])
def test_a_process_killed_at_a_request_is_followed_by_one_that_finishes(
    client: Client, registry: InProcessRegistry, last: int
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    ready = threading.Event()

    def kill(number: int, _exchange: Exchange) -> None:
        if number == last:
            assert ready.wait(10)
            started[0].kill()
            started[0].wait()

    registry.on_request(kill)
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", PUSH, registry.host], cwd=root) as process:
        started.append(process)
        ready.set()

    assert registry.store.incomplete() == []
    client().sink(at(registry.host)).publish(IMAGE)
    assert registry.store.repository("team/app").tags == {"v1": IMAGE.target.digest}


@pytest.mark.parametrize("verb", ["HEAD blob", "POST uploads", "PUT upload", "PUT manifest"])
@pytest.mark.parametrize("skip", [0, 1, 2])
def test_a_push_that_fails_at_a_request_is_finished_by_the_next(
    client: Client, serve: Serve, verb: str, skip: int
) -> None:
    registry = serve(faults=[faults.Status(400, verb, skip=skip, times=1)])
    sink = client(parallel=1).sink(at(registry.host))
    try:
        sink.publish(IMAGE)
    except Exception:
        assert registry.store.repository("team/app").tags == {}

    sink.publish(IMAGE)

    assert registry.store.repository("team/app").tags == {"v1": IMAGE.target.digest}


def test_after_one_blob_failed_no_other_begins(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.Status(403, "HEAD blob", times=1)])
    layers = [blob(bytes([n]) * 100) for n in range(100)]

    with pytest.raises(Exception, match="HTTP 403"):
        client(parallel=2).sink(at(registry.host)).publish(work(*layers))

    assert registry.count("PUT manifest") == 0
    assert registry.count("HEAD blob") < 20


def test_an_interrupt_ends_the_push(client: Client, registry: InProcessRegistry) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    layer = Blob(blob(b"x").descriptor, interrupted)  # type: ignore[arg-type]

    with pytest.raises(KeyboardInterrupt):
        client().sink(at(registry.host)).publish(work(layer, blob(b"y")))

    assert registry.store.repository("team/app").tags == {}


def test_results_come_in_the_order_of_the_items() -> None:
    assert each([3, 1, 2], lambda item, stop: item * 10, 2) == [30, 10, 20]
    assert each([], lambda item, stop: item, 2) == []


def test_long_work_ends_when_another_fails() -> None:
    began = threading.Event()
    ended: list[str] = []

    def act(item: int, stop: object) -> int:
        assert callable(stop)
        if item == 0:
            assert began.wait(5)
            raise ValueError("first")
        began.set()
        try:
            for _ in range(500):
                stop()
                threading.Event().wait(0.01)
        finally:
            ended.append("early")
        return item

    with pytest.raises(ValueError, match="first"):
        each([0, 1], act, 2)

    assert ended == ["early"]


def test_two_pushes_at_once_are_both_right(client: Client, registry: InProcessRegistry) -> None:
    images = {
        f"v{n}": work(blob(b"shared" * 999), blob(bytes([n]) * 999), tags=(f"v{n}",), text=str(n))
        for n in range(8)
    }
    sink = client().sink(at(registry.host))

    each(list(images.values()), lambda image, stop: sink.publish(image), len(images))

    tags = registry.store.repository("team/app").tags
    assert tags == {tag: image.target.digest for tag, image in images.items()}
