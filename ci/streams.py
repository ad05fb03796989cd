"""The standard streams: closed ones, narrow encodings, readers that go away, disks that are full."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

_UNAVAILABLE = 4
_INTERRUPTED = 130


def prepare() -> None:
    """Both output streams are there and take any text."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Closed by who started us: the next file that is opened would stand in for it.
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - as long as the process
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def finish(code: int) -> int:
    """Write what is still to be written; the exit code, which a failure to do so changes from 0."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return _lost(error, code)
    return code


def _lost(error: OSError, code: int) -> int:
    """130 where the reader has gone, and with it the reason to go on; 4 where there is no room."""
    # Or Python would try it again at its end, and complain in its own words.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if code or isinstance(error, BrokenPipeError):
        return code or _INTERRUPTED
    print(
        f"error: cannot write to standard output: {error.strerror}\nhint: free some space there",
        file=sys.stderr,
    )
    return _UNAVAILABLE
