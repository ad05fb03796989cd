"""docs/cli.md from the command line itself: `python -m ci.page`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from ci.__main__ import VERBS, parser_of, usage

_HEAD = """\
# The command line

<!-- Made by `python -m ci.page`; edit the verbs in buildkit/commands/ instead. -->

Data goes to stdout, talk to stderr. `--json` prints one object, whose keys stay. Every flag is also a setting
([settings.md](settings.md)); the exit codes are the same for every verb ([errors.md](errors.md)).
"""


def cli_page() -> str:
    """The page."""
    return _HEAD + "".join(_sections())


def _sections() -> Iterator[str]:
    yield _section("treeship", usage())
    for verb in VERBS:
        yield _section(f"treeship {verb.words}", parser_of(verb).format_help())


def _section(title: str, text: str) -> str:
    return f"\n## {title}\n\n```text\n{text.rstrip()}\n```\n"


if __name__ == "__main__":
    # argparse wraps at the width of the terminal, and newer ones paint.
    os.environ |= {"COLUMNS": "110", "NO_COLOR": "1"}
    sys.stdout.write(cli_page())
