"""docs/settings.md, made from the table: `python -m buildkit.config.page > docs/settings.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from buildkit.config.table import HOLDS, PLACES, Setting

_HEAD = """\
# Settings

<!-- Made by `python -m buildkit.config.page`; edit buildkit/config/table.py instead. -->

Settings have two halves, and a file may have both:

- *What an image holds* is read from the commit that is built, never from the working directory.
- *Where it goes and what is trusted* is never read from that commit, which a pull request may have written.
  It comes from flags, the environment, the user's file, or the protected branch, in this order.

A commit and the protected branch have their settings in `treeship.toml` at the root, or in `[tool.treeship]`
of `pyproject.toml`; in both is an error. The user's file is `$TREESHIP_CONFIG`, else
`$XDG_CONFIG_HOME/treeship/treeship.toml`, else `~/.config/treeship/treeship.toml`.
`treeship config show` prints every setting, its value, and where it is from.

```toml
base = "registry.example/bases/python:3.12"
exclude = ["notebooks/", "*.md"]
pythonpath = ["src"]
entrypoint = ["python", "-m", "flow"]
to = ["docker://registry.example/team/flow:latest"]  # counts on the protected branch only

[environment]
OMP_NUM_THREADS = "1"

[lfs]
include = ["models/*.bin"]

[variants.training]
base = "registry.example/bases/training:3.12"
groups = ["train"]
```

Unknown keys, wrong types, files of more than 1 MiB and paths with `..` are refused. In variables, the items
of a list are separated by white space.

What each kind of setting is for: [dependencies.md](dependencies.md), [variants.md](variants.md),
[retention.md](retention.md).

"""
_HOLDS_HEAD = """\
## What an image holds

Patterns are those of gitignore(5): the last one that fits decides, `!` takes back, and what lies below a
directory that matches cannot be taken back. A variant, `[variants.NAME]`, may have the settings marked so;
`--variant NAME` builds it. An entry point or command of the base is kept only where neither of the two is
set.

The wheels of the commit's lock are part of what it holds, and so is how they are written:

```toml
lock = "locks/pylock.toml"
extras = ["cuda"]
slim = ["tests", "headers"]
slim_keep = ["/scipy/stats/tests/"]

[variants.devbox]
groups = ["dev"]
```

"""
_PLACES_HEAD = """\

## Where it goes and what is trusted

Whoever wrote a lock wrote its URLs. So where wheels come from is told here, in your own file for instance:

```toml
[wheels]
index = "https://packages.example/simple/"
hosts = ["files.packages.example"]   # where that index keeps its files
wheelhouse = ["/srv/wheels"]

[expire]
keep = ["registry.example/team/app:production", "v*"]
```

Lists of `expire.keep` add up over all places; of every other setting, the strongest place is all that counts.

"""


def settings_page() -> str:
    """The whole page."""
    holds = _table(("setting", "is", "default", "flag", "in variants"), (_holds_row(s) for s in HOLDS))
    places = _table(
        ("setting", "is", "default", "flag", "variable", "from"), (_places_row(s) for s in PLACES)
    )
    return _HEAD + _HOLDS_HEAD + holds + _details(HOLDS) + _PLACES_HEAD + places + _details(PLACES)


def _holds_row(setting: Setting) -> tuple[str, ...]:
    said = _code(setting.name), _kind(setting), setting.default
    return *said, _code(setting.flag), "yes" if setting.in_variants else ""


def _places_row(setting: Setting) -> tuple[str, ...]:
    said = _code(setting.name), _kind(setting), setting.default
    return *said, _code(setting.flag), _code(setting.variable), ", ".join(setting.sources)


def _kind(setting: Setting) -> str:
    return " or ".join(map(_code, setting.choices)) if setting.choices else setting.kind


def _details(settings: Iterable[Setting]) -> str:
    return "\n" + "".join(f"- **{setting.name}**: {setting.doc}\n" for setting in settings)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (heads, ("---",) * len(heads), *rows))


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    sys.stdout.write(settings_page())
