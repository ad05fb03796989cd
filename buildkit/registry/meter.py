"""Counting from many threads: `+=` on an attribute is three steps, between which another thread may run."""

from __future__ import annotations

import threading

from buildkit.endpoints import Traffic


class Meter:
    """Adds to a run's Traffic under a lock."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._lock = threading.Lock()

    def request(self) -> None:
        """One more request."""
        with self._lock:
            self._traffic.requests += 1

    def sent(self, count: int) -> None:
        """`count` bytes went out."""
        with self._lock:
            self._traffic.sent += count

    def received(self, count: int) -> None:
        """`count` bytes came in."""
        with self._lock:
            self._traffic.received += count
