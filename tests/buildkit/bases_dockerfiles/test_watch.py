"""What people see while an engine builds."""

from __future__ import annotations

import io

from buildkit.bases.dockerfiles.steps import Said
from buildkit.commands.steps import Log, Status, watch
from buildkit.terminal import Console

STEPS = (
    Said("FROM x", 1, 3),
    Said("---> abc"),
    Said("RUN echo   \\\n  a\x1b[2J", 2, 3),
    Said("a line"),
    Said("LABEL a=b", 3, 3),
)


class Terminal(io.StringIO):
    """Somebody looks at it."""

    def isatty(self) -> bool:
        return True


def test_a_log_has_a_line_for_each_step_and_nothing_that_moves() -> None:
    stream = io.StringIO()
    log = watch(Console(err=stream, environ={}))
    assert isinstance(log, Log)
    for said in STEPS:
        log.said("slim", said)
    log.done()
    assert stream.getvalue() == "slim [1/3] FROM x\nslim [2/3] RUN echo \\ a [2J\n"


def test_a_terminal_has_one_line_that_is_gone_at_the_end() -> None:
    stream = Terminal()
    status = watch(Console(err=stream, environ={}))
    assert isinstance(status, Status)
    for said in STEPS[:4]:
        status.said("slim", said)
    status.done()
    written = stream.getvalue().split("\r\033[K")
    assert written == ["", "slim [1/3] FROM x", "slim [1/3] FROM x  ---> abc", "slim [2/3] RUN echo \\ a [2J",
                       "slim [2/3] RUN echo \\ a [2J  a line", ""]  # fmt: skip
