"""Progress bars (rich), loaded only where there is a terminal to see them."""

from __future__ import annotations

import threading
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn


class Bars:
    """One bar a transfer; from any thread."""

    def __init__(self, stream: TextIO) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=Console(file=stream), transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def start(self, label: str, total: int) -> None:
        """A bar appears."""
        with self._lock:
            if not self._tasks:
                self._progress.start()
            self._tasks[label] = self._progress.add_task(label, total=total)

    def advance(self, label: str, count: int) -> None:
        """It grows."""
        self._progress.advance(self._tasks[label], count)

    def finish(self, label: str) -> None:
        """It goes; with the last one the display ends."""
        with self._lock:
            self._progress.remove_task(self._tasks.pop(label))
            if not self._tasks:
                self._progress.stop()
