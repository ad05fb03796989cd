"""What faults are: values that act before or after the registry."""

from __future__ import annotations

import threading

from buildkit.testing.registry.exchange import Exchange, Reply
from buildkit.testing.registry.store import Store

ALWAYS = 1_000_000


class Fault:
    """Does nothing: the base of those that do. `verb` is what it acts on (`PUT upload`); empty for all."""

    def __init__(self, verb: str = "", *, times: int = ALWAYS, skip: int = 0) -> None:
        self.verb = verb
        self._skip = skip
        self._left = times
        self._lock = threading.Lock()

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        """An answer in place of the registry's."""
        return None

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        """The registry's answer, or another one."""
        return reply

    def strikes(self, exchange: Exchange) -> bool:
        """Whether this request is one of those; counts it."""
        if self.verb and exchange.verb != self.verb:
            return False
        with self._lock:
            if self._skip:
                self._skip -= 1
                return False
            self._left -= 1
            return self._left >= 0
