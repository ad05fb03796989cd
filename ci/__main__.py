"""The one command: the verbs of `buildkit.commands` and `ci.commands`.

Only the module of the verb that is used is imported: `treeship --help` imports none.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from buildkit.commands import VERBS as BUILD_VERBS
from buildkit.commands import Verb
from ci import streams
from ci.commands import VERBS as DELIVERY_VERBS

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

VERBS = (*BUILD_VERBS, *DELIVERY_VERBS)
_USAGE = 2
_BUG = 70
_INTERRUPTED = 130
_SWITCH_SECONDS = 0.0005
_WIDE = 80


def run() -> NoReturn:
    """The process of the console script: `main` without what Python would do before and after it in vain.

    Looking for cycles, and clearing every module at the end, take a seventh of the time of a small build; threads that
    only wait for an answer would wait up to 5 ms more for their turn.
    """
    gc.disable()
    sys.setswitchinterval(_SWITCH_SECONDS)
    code = main()
    atexit._run_exitfuncs()
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code (docs/errors.md)."""
    streams.prepare()
    try:
        code = _dispatch(list(sys.argv[1:] if argv is None else argv))
    except SystemExit as ended:  # argparse has said what there is to say
        code = ended.code if isinstance(ended.code, int) else 0
    except (KeyboardInterrupt, BrokenPipeError):
        code = _INTERRUPTED
    return streams.finish(code)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else _USAGE
    if words[0] == "--version":
        from buildkit import __version__

        print(f"treeship {__version__}")
        return 0
    verb = find(words)
    if verb is None:
        return _unknown(words)
    return _run(verb, words[len(verb.words.split()) :])


def usage() -> str:
    """The help of the command itself."""
    width = max(len(verb.words) for verb in VERBS)
    rows = (f"  {verb.words.ljust(width)}  {verb.summary}" for verb in VERBS)
    return "\n".join([
        "usage: treeship VERB [ARGUMENT]...",
        "",
        "A commit's git tree becomes the image; the image becomes the workflow.",
        "",
        *rows,
        "",
        "example: treeship build --base docker://registry.example/python:3.11 --to docker://registry.example/app:main",
        "         treeship VERB --help says more of each; treeship --version",
    ])  # fmt: skip


def find(words: Sequence[str]) -> Verb | None:
    """The verb that these words begin with; the longest where several do."""
    fitting = (verb for verb in VERBS if list(words[: len(verb.words.split())]) == verb.words.split())
    return max(fitting, key=lambda verb: len(verb.words), default=None)


def _unknown(words: Sequence[str]) -> int:
    from difflib import get_close_matches

    below = [verb.words for verb in VERBS if verb.words.split()[0] == words[0]]
    near = (
        below
        or get_close_matches(" ".join(words[:2]), [v.words for v in VERBS], n=1)
        or get_close_matches(words[0], [v.words for v in VERBS], n=1)
    )
    guess = f"; did you mean `treeship {near[0]}`?" if near else ""
    print(
        f"error: treeship has no verb {words[0]!r}{guess}\nhint: treeship --help lists them", file=sys.stderr
    )
    return _USAGE


def parser_of(verb: Verb) -> ArgumentParser:
    """The parser of one verb's arguments; loads the verb."""
    from argparse import ArgumentParser, RawDescriptionHelpFormatter

    module = import_module(verb.module)
    parser = ArgumentParser(
        prog=f"treeship {verb.words}",
        description=verb.summary[0].upper() + verb.summary[1:] + ".",
        epilog=f"example: {module.EXAMPLE}",
        formatter_class=partial(RawDescriptionHelpFormatter, width=_columns() - 2),
        allow_abbrev=False,
    )
    module.configure(parser)
    return parser


def _columns() -> int:
    """The width of the terminal. argparse would ask shutil, which loads every compression there is."""
    try:
        asked = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        asked = 0
    try:
        return asked if asked > 0 else os.get_terminal_size(sys.stdout.fileno()).columns or _WIDE
    except (AttributeError, OSError, ValueError):  # no terminal; no stdout, or one that is not a file
        return _WIDE


def _parse(verb: Verb, words: Sequence[str]) -> Namespace:
    """The arguments; what is left over is refused with the nearest flag there is."""
    parser = parser_of(verb)
    arguments, strange = parser.parse_known_args(words)
    if not strange:
        return arguments
    from difflib import get_close_matches

    from buildkit.errors import InvalidInput

    near = get_close_matches(
        strange[0].partition("=")[0], parser.format_usage().replace("[", " ").split(), n=1
    )
    guess = f"; did you mean {near[0]}?" if near else ""
    raise InvalidInput(
        f"treeship {verb.words} does not take {strange[0]!r}{guess}",
        f"treeship {verb.words} --help lists what it takes",
    )


def _run(verb: Verb, words: Sequence[str]) -> int:
    from buildkit.errors import TreeshipError
    from buildkit.terminal import Console

    console = Console()
    try:
        return int(import_module(verb.module).run(_parse(verb, words), console))
    except TreeshipError as error:
        console.error(error)
        return error.exit_code
    except BrokenPipeError:
        raise  # to `main`: who read our output has gone, and so has the reason to go on
    except Exception as error:  # the last line of defence: no traceback in a CI log without its explanation
        return _bug(error)


def _bug(error: Exception) -> int:
    """Where it happened and its kind; not its text or the values around, which may hold secrets."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    where = "\n".join(f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-6:])
    print(
        f"error: a bug of treeship: {type(error).__name__}\n{where}\nhint: report it with these lines",
        file=sys.stderr,
    )
    if os.environ.get("TREESHIP_DEBUG"):
        traceback.print_exception(error)
    return _BUG


if __name__ == "__main__":
    run()
