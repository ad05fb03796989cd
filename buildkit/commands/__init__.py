"""The verbs of the command line, one file each. `VERBS` is the table that `ci.__main__` builds the command from.

In: arguments and a `Console`. Out: an exit code (docs/errors.md). Start reading at `build.py`.
"""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """A verb (`build`) or a noun and its verb (`config show`). The module is imported when the verb is used."""

    words: str
    module: str
    summary: str


VERBS = (
    Verb("build", "buildkit.commands.build", "turn a commit into an image and send it where it goes"),
    Verb(
        "explain", "buildkit.commands.explain", "say what a build would do, layer by layer, and write nothing"
    ),
    Verb("check", "buildkit.commands.check", "compute an image again from git and compare"),
    Verb("inspect", "buildkit.commands.inspect", "describe an image wherever it is"),
    Verb("copy", "buildkit.commands.copy", "copy an image from one place to another, as it is"),
    Verb("rebase", "buildkit.commands.rebase", "swap the base under an image, without building it again"),
    Verb(
        "base list", "buildkit.commands.base_list", "list the bases of dockerfiles/, their parents and state"
    ),
    Verb("base build", "buildkit.commands.base_build", "build the bases whose inputs have changed"),
    Verb("base pin", "buildkit.commands.base_pin", "write the digests of the bases' parents into bases.lock"),
    Verb(
        "expire", "buildkit.commands.expire", "plan which old images of a repository may go, and remove them"
    ),
    Verb("base facts", "buildkit.commands.base_facts", "say what a base image holds, without running it"),
    Verb(
        "config show", "buildkit.commands.config_show", "show every setting, its value and where it came from"
    ),
)
