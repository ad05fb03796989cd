"""What every error has to be, whatever it is about."""

from __future__ import annotations

from buildkit.testing.repositories import File
from tests.end_to_end.helpers import Ran

FILES: dict[str, bytes | File] = {"train.py": b"print('hello')\n", "data/a.txt": b"a\n"}


def complains(ran: Ran, code: int, *says: str) -> None:
    """The error is one for a person: this code, these words, a way out, and nothing for a machine to misread."""
    said = f"exit code {ran.code}\n{ran.out}\n{ran.err}"
    assert ran.code == code, said
    assert ran.out == "", said
    assert "Traceback" not in ran.err, said
    assert "a bug of treeship" not in ran.err, said
    assert "error: " in ran.err, said
    assert "hint: " in ran.err or "usage: " in ran.err, said
    for words in says:
        assert words in ran.err, f"{words!r} is missing: {said}"
