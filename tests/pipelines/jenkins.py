"""`jenkins/Jenkinsfile`: its stages and steps, by brackets and quotes. Not Groovy; enough for a file this plain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.pipelines.commands import Job
from tests.sources import ROOT

FILE = ROOT / "jenkins" / "Jenkinsfile"
_TOKEN = re.compile(r"//[^\n]*|'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|[{}]")
_SECTIONS = {
    "pipeline",
    "agent",
    "options",
    "stages",
    "environment",
    "post",
    "steps",
    "when",
    "not",
    "always",
}


def read(file: Path = FILE) -> list[Job]:
    """The stages, in order."""
    text = file.read_text()
    check_brackets(text)
    return [_job(name, body) for name, body in _stages(without_comments(text))]


def check_brackets(text: str) -> None:
    """Every bracket closes, and every block has a name that a declarative pipeline knows."""
    depth = 0
    for match in _TOKEN.finditer(text):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        assert depth >= 0, f"a bracket too many in line {text.count(chr(10), 0, match.start()) + 1}"
    assert depth == 0, "a bracket too few"
    for name in re.findall(r"(\w+)\s*(?:\([^()]*\)\s*)?\{", without_comments(text)):
        assert name in _SECTIONS | {"stage"}, name


def without_comments(text: str) -> str:
    """The text without `//` comments; quoted slashes stay."""
    return _TOKEN.sub(lambda match: "" if match[0].startswith("//") else match[0], text)


def strings(text: str) -> Iterator[str]:
    """Every quoted string, with its quotes."""
    return (match[0] for match in _TOKEN.finditer(text) if match[0][0] in "'\"")


def _stages(text: str) -> Iterator[tuple[str, str]]:
    for match in re.finditer(r"stage\('([^']+)'\)\s*\{", text):
        depth, end = 1, match.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        yield match[1], text[match.end() : end]


def _job(name: str, body: str) -> Job:
    branch = re.search(r"\bbranch '([^']+)'", body)
    assert not branch or "not { changeRequest() }" in body, (
        "a pull request can come from a branch of any name"
    )
    assert not re.search(r"\bsh\s+[^']", body), "sh takes single quotes: Groovy must not put values into it"
    commands = tuple(re.findall(r"\bsh '([^']*)'", body))
    return Job(name.lower(), commands, "credentials(" in body, branch[1] if branch else "")
