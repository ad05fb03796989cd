"""Which paths of a tree are meant: include and exclude patterns with the meaning of gitignore(5). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from buildkit.config.wildmatch import Matcher, Pattern, parse_pattern

Selection = Callable[[bytes], bool]


class _Rules(NamedTuple):
    """Neighbouring patterns of one sign: since they say the same, their order does not matter."""

    verdict: bool
    file: Matcher
    directory: Matcher


class PatternSet:
    """A list of gitignore patterns. `matches` is about files: bytes, from the root, without a leading slash.

    As with git, the last pattern that fits decides, and below a directory that matches everything matches:
    a `!pattern` cannot take a file out again. Matching costs one or two regex calls a path, whatever the
    number of patterns; verdicts on directories are kept.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._rules = tuple(reversed(list(_grouped(patterns))))
        self._directories: dict[bytes, bool] = {b"": False}

    def matches(self, path: bytes) -> bool:
        """Whether the file at `path` matches, by itself or by a directory above it."""
        above, _, name = path.rpartition(b"/")
        if self._directory(above):
            return True
        for rules in self._rules:
            if rules.file(path, name):
                return rules.verdict
        return False

    def _directory(self, path: bytes) -> bool:
        known = self._directories.get(path)
        if known is not None:
            return known
        # Not by recursion: a path may have two thousand parts.
        unknown = [path]
        while (path := path.rpartition(b"/")[0]) not in self._directories:
            unknown.append(path)
        verdict = self._directories[path]
        for directory in reversed(unknown):
            verdict = self._directories[directory] = verdict or self._judge_directory(directory)
        return verdict

    def _judge_directory(self, path: bytes) -> bool:
        name = path.rpartition(b"/")[2]
        for rules in self._rules:
            if rules.directory(path, name):
                return rules.verdict
        return False


def select(include: Sequence[str], exclude: Sequence[str]) -> Selection:
    """A test for paths of files: matched by `include` (empty: all are) and not matched by `exclude`."""
    if not include and not exclude:
        return _everything
    if not include:
        excluded = PatternSet(exclude).matches
        return lambda path: not excluded(path)
    included = PatternSet(include).matches
    if not exclude:
        return included
    excluded = PatternSet(exclude).matches
    return lambda path: included(path) and not excluded(path)


def _everything(path: bytes) -> bool:
    return bool(path)


def _grouped(patterns: Iterable[str]) -> Iterable[_Rules]:
    group: list[Pattern] = []
    sign = True
    for text in patterns:
        positive = not text.startswith("!")
        if positive != sign and group:
            yield _rules(sign, group)
            group = []
        sign = positive
        group.append(parse_pattern(_line(text.removeprefix("!"))))
    if group:
        yield _rules(sign, group)


def _line(text: str) -> bytes:
    """Without trailing spaces, except one that a backslash keeps."""
    stripped = text.rstrip(" ")
    escaped = (len(stripped) - len(stripped.rstrip("\\"))) % 2
    return text[: len(stripped) + (escaped and stripped != text)].encode("utf-8", "surrogateescape")


def _rules(verdict: bool, patterns: Sequence[Pattern]) -> _Rules:
    return _Rules(verdict, Matcher(p for p in patterns if not p.only_directories), Matcher(patterns))
