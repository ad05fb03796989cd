"""The command line itself: help that is true, output for terminals and for logs, a quick start."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import random
import re
import shlex
import struct
import subprocess
import termios
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

from buildkit import __version__
from buildkit.testing.registry import InProcessRegistry
from buildkit.testing.repositories import ThrowAwayRepository
from ci.__main__ import VERBS, find, parser_of
from tests.end_to_end.helpers import Treeship, build_words

ESCAPE = "\033"
# What a quick start cannot pay for.
HEAVY = {"asyncio", "boto3", "docker", "email", "git", "http", "kubernetes", "msgspec", "requests", "rich", "ssl",
         "subprocess", "tomllib", "urllib", "argparse", "json", "pathlib"}  # fmt: skip


@pytest.fixture
def made(repository: ThrowAwayRepository) -> ThrowAwayRepository:
    """A repository with one commit, most of it large enough for a bar."""
    repository.git("config", "core.compression", "0")
    repository.commit({"train.py": b"print(1)\n", "big": random.Random(1).randbytes(18 << 20)})
    return repository


@pytest.mark.parametrize("words", [verb.words for verb in VERBS])
def test_the_help_of_every_verb_has_an_example_that_parses(words: str, treeship: Treeship) -> None:
    """It is what people copy; and whatever the help names is a flag."""
    shown = treeship(*words.split(), "--help")
    assert shown.err == ""
    (line,) = re.findall(r"^example: treeship (.*)$", shown.out, re.MULTILINE)
    example = shlex.split(line)
    verb = find(example)
    assert verb is not None
    assert verb.words == words
    parser_of(verb).parse_args(example[len(words.split()) :])
    assert ESCAPE not in shown.out


def test_the_help_of_the_command_lists_every_verb_and_its_example_parses(treeship: Treeship) -> None:
    """With nothing, it is shown too, but that is wrong usage."""
    shown = treeship("--help").out
    for verb in VERBS:
        assert f"  {verb.words}" in shown
        assert verb.summary in shown
    (line,) = re.findall(r"^example: treeship (.*)$", shown, re.MULTILINE)
    example = shlex.split(line)
    found = find(example)
    assert found is not None
    parser_of(found).parse_args(example[1:])
    assert treeship("-h").out == treeship("help").out == shown
    assert treeship(code=2).out == shown
    assert max(map(len, shown.splitlines())) <= 120


def test_the_version_is_the_package_s(treeship: Treeship) -> None:
    """On stdout, alone."""
    assert treeship("--version") == (0, f"treeship {__version__}\n", "")


@pytest.mark.parametrize("words", ["--help", "--version", "biuld"])
def test_help_imports_next_to_nothing(words: str, treeship: Treeship) -> None:
    """No verb, no library; what Python itself has loaded does not count."""
    program = """
import sys
before = set(sys.modules)
from ci.__main__ import main
main(sys.argv[1:])
print(*sorted(set(sys.modules) - before), file=sys.stderr)
"""
    done = subprocess.run(
        [treeship.argv[0], "-P", "-c", program, words],
        capture_output=True, text=True, check=False, env=treeship.environment(),
    )  # fmt: skip
    loaded = {name.partition(".")[0] for name in done.stderr.split("\n")[-2].split()}
    allowed = {"difflib"} if words == "biuld" else set()
    assert loaded & HEAVY <= allowed, loaded
    assert not any(verb.module in done.stderr for verb in VERBS)


def test_every_verb_is_a_module_with_the_three_things_that_a_verb_has() -> None:
    """EXAMPLE, configure and run; and a summary that fits into a line."""
    for verb in VERBS:
        module = import_module(verb.module)
        assert {"EXAMPLE", "configure", "run"} <= vars(module).keys()
        assert len(verb.summary) < 80
        assert verb.summary[0].islower()
        assert not verb.summary.endswith(".")


# What is said where


def test_a_log_has_neither_bars_nor_colours(
    treeship: Treeship, made: ThrowAwayRepository, registry: InProcessRegistry
) -> None:
    """Data on stdout, talk on stderr; a large transfer is one line."""
    ran = treeship(*build_words(made, to=f"{registry.host}/app:x"), env={"TERM": "xterm-256color"})
    for text in (ran.out, ran.err):
        assert ESCAPE not in text
        assert "\r" not in text
    assert "pushed 18.9 MB" in ran.out
    assert re.search(r"^push [0-9a-f]{12}, 18.9 MB$", ran.err, re.MULTILINE)
    failed = treeship("build", "nothing", "--repo", made.directory, env={"TERM": "xterm-256color"}, code=2)
    assert ESCAPE not in failed.err


def test_json_is_one_object_on_one_line_and_all_of_stdout(
    treeship: Treeship, made: ThrowAwayRepository
) -> None:
    """Of every verb that has it; notes go to stderr."""
    to = f"oci:{treeship.home}/oci:x"
    built = treeship("build", "--repo", made.directory, "--to", to, "--json")
    assert "note: " in built.err
    runs = [
        built,
        treeship("explain", "--repo", made.directory, "--to", to, "--json"),
        treeship("inspect", to, "--json"),
        treeship("copy", to, f"oci:{treeship.home}/other:x", "--json"),
        treeship("check", to, "--repo", made.directory, "--json"),
        treeship("config", "show", "--repo", made.directory, "--json"),
    ]
    for ran in runs:
        assert ran.out.count("\n") == 1
        assert ran.out.isascii()
        assert isinstance(json.loads(ran.out), dict)


class Seen(NamedTuple):
    """What a terminal got, and how the command ended."""

    code: int
    text: str


def on_terminal(
    treeship: Treeship, *words: str | Path, columns: int = 80, rows: int = 24, env: Mapping[str, str]
) -> Seen:
    """Run it with a terminal of this size for all three streams."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        [*treeship.argv, *map(str, words)], cwd=treeship.home, stdin=follower, stdout=follower, stderr=follower,
        env={"TERM": "xterm-256color", **treeship.environment(), **env}, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    parts = []
    try:
        while data := os.read(leader, 65536):
            parts.append(data)
    except OSError:  # Linux's way of saying that the other end is closed
        pass
    os.close(leader)
    return Seen(process.wait(timeout=60), b"".join(parts).decode(errors="replace"))


PLAIN = {"TERM": "xterm-256color"}


def test_a_terminal_has_bars_for_large_transfers_and_colours(
    treeship: Treeship, made: ThrowAwayRepository, registry: InProcessRegistry
) -> None:
    """And they are gone when it is over: what stays is the table."""
    registry.on_request(lambda _number, exchange: registry.wait(0.4 if exchange.verb == "PUT upload" else 0))
    seen = on_terminal(treeship, *build_words(made, to=f"{registry.host}/app:x"), columns=120, env=PLAIN)
    assert seen.code == 0, seen.text
    assert "push " in seen.text
    assert "━" in seen.text
    assert f"{ESCAPE}[2m" in seen.text
    assert seen.text.rstrip().endswith(registry.store.repository("app").tags["x"])


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (2, 1), (10, 2), (0, 0), (500, 200)])
def test_a_terminal_of_any_size_will_do(
    columns: int, rows: int, treeship: Treeship, made: ThrowAwayRepository, registry: InProcessRegistry
) -> None:
    """One column is silly, and no reason to fail a build."""
    seen = on_terminal(
        treeship, *build_words(made, to=f"{registry.host}/app:x"), columns=columns, rows=rows, env=PLAIN
    )
    assert seen.code == 0, seen.text
    assert on_terminal(treeship, "build", "--help", columns=columns, rows=rows, env=PLAIN).code == 0


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_declined(env: dict[str, str], treeship: Treeship, made: ThrowAwayRepository) -> None:
    """By no-color.org's variable, and by a terminal that says that it has none."""
    for words, code in (
        (("build", "--repo", made.directory), 0),
        (("build", "nothing", "--repo", made.directory), 2),
    ):
        seen = on_terminal(treeship, *words, env=env)
        assert seen.code == code
        assert not re.search(r"\033\[[0-9;]*[1-9][0-9;]*m", seen.text), seen.text


def test_what_a_terminal_would_obey_is_shown_instead(
    treeship: Treeship, repository: ThrowAwayRepository
) -> None:
    """Paths, labels and settings may be anybody's: no title is set, nothing is deleted, no line is forged."""
    evil = "\033]0;owned\007\033[2J\rok"
    label = evil.replace("\033", "\\u001b").replace("\007", "\\u0007").replace("\r", "\\r")
    repository.commit({
        f"{evil}.py": b"1", "version https": b"x", "treeship.toml": f'[labels]\n"a" = "{label}"\n'.encode(),
    })  # fmt: skip
    to = f"oci:{treeship.home}/oci:x"
    for words in (
        ("build", "--repo", repository.directory, "--to", to),
        ("explain", "--repo", repository.directory, "--to", to),
        ("inspect", to),
        ("check", to, "--repo", repository.directory),
        ("config", "show", "--repo", repository.directory),
        ("build", f"no{evil}", "--repo", repository.directory),
        (f"no{evil}",),
    ):
        ran = treeship(*words, code=None)
        assert ran.code in (0, 2)
        assert not set("\033\007\r") & set(ran.out + ran.err), words


def test_a_folder_called_ci_in_the_repository_is_not_taken_for_ours(
    treeship: Treeship, made: ThrowAwayRepository
) -> None:
    """Users have such folders, and `treeship` runs among them."""
    for name in ("ci", "buildkit"):
        (made.directory / name).mkdir()
        (made.directory / name / "__init__.py").write_text("raise SystemExit('not ours')\n")
    assert treeship("--version", cwd=made.directory).out.startswith("treeship ")
    assert treeship("build", "--base", "scratch", "--json", cwd=made.directory).json["digest"]
