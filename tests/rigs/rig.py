"""What all rigs share: install, start, be used, and vanish, in this order, as a `with` block."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.rigs.process import Daemon
from tests.rigs.workspace import Workspace


class Rig(ABC):
    """A component in a workspace of its own. A start that fails half-way leaves nothing behind either."""

    workspace: Workspace
    _ending: ExitStack

    @classmethod
    @abstractmethod
    def install(cls) -> None:
        """Put all that a start needs on the machine; quick when it is there. May raise RigUnavailable."""

    @abstractmethod
    def _start(self, ending: ExitStack) -> None:
        """Start it, ready for use at return; whatever must happen at its end goes onto ENDING."""

    def __enter__(self) -> Self:
        self.install()
        with ExitStack() as stack:
            self.workspace = stack.enter_context(Workspace())
            self._start(stack)
            self._ending = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    def _daemon(
        self, ending: ExitStack, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None
    ) -> Daemon:
        """Start a process that ends with the rig."""
        log = self.workspace.folder("logs") / f"{Path(argv[0]).name}.log"
        return ending.enter_context(Daemon(argv, log=log, token=self.workspace.token, env=env))
