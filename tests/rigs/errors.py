"""What may go wrong with a rig, and what each kind means to a test."""

from collections.abc import Sequence


class RigError(Exception):
    """A rig is broken on a machine that should carry it: the test fails."""


class RigUnavailable(RigError):
    """This machine cannot carry the rig (not Debian, not root): the test is skipped with this reason."""


class CommandFailed(RigError):
    """A command ended with a code other than 0."""

    def __init__(self, argv: Sequence[str], code: int, output: str) -> None:
        super().__init__(f"{' '.join(argv)}\nended with code {code}\n{output}")
        self.argv = tuple(argv)
        self.code = code
        self.output = output
