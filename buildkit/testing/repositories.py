"""Throw-away git repositories: commits from plain mappings, and trees that git's own porcelain would refuse.

    repository = ThrowAwayRepository(tmp_path / "repository")
    first = repository.commit({"train.py": b"print(1)\\n", "run.sh": executable(b"#!/bin/sh\\n")})

Nothing of the user's or the machine's git settings counts, and equal calls give equal commit ids anywhere.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

SECONDS = 1_700_000_000
"""The time of commits that are given none: 14 November 2023."""

_IDENTITY = b"A Tester <tester@treeship.example>"
_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


class File(NamedTuple):
    """What a path holds: `content` is the target of a link, and the commit id (in hex) of a submodule."""

    content: bytes
    mode: bytes = b"100644"


Files = Mapping[str, bytes | File] | Mapping[bytes, bytes | File]


class TreeItem(NamedTuple):
    """One line of a tree object, whether git would write it or not."""

    mode: bytes
    name: bytes
    oid: str


def executable(content: bytes) -> File:
    """A file with the executable bit."""
    return File(content, b"100755")


def link(target: bytes) -> File:
    """A symbolic link."""
    return File(target, b"120000")


def submodule(commit: str) -> File:
    """A link to a commit of another repository."""
    return File(commit.encode(), b"160000")


class ThrowAwayRepository:
    """A repository of its own in `directory`, which is made. `object_format` is sha1 or sha256."""

    def __init__(self, directory: Path, *, bare: bool = False, object_format: str = "sha1") -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        kind = ["--bare"] if bare else []
        self.git("init", "-q", "-b", "main", f"--object-format={object_format}", *kind)

    @property
    def url(self) -> str:
        """For clones by git's own transport, which a plain path would go around."""
        return f"file://{self.directory}"

    def git(self, *arguments: str | bytes, stdin: bytes = b"") -> bytes:
        """The output of a git command, without its final newline. Raises CalledProcessError, stderr in a note."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(
            ["git", *arguments], cwd=self.directory, env=environment | _ENVIRONMENT, input=stdin,
            capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            error = subprocess.CalledProcessError(done.returncode, ["git", *map(os.fsdecode, arguments)])
            error.add_note(done.stderr.decode(errors="replace"))
            raise error
        return done.stdout.removesuffix(b"\n")

    def commit(
        self,
        files: Files,
        *,
        parents: Sequence[str] | None = None,
        branch: str = "main",
        seconds: int = SECONDS,
        message: str = "a commit",
    ) -> str:
        """A commit that holds `files` and nothing else; its id. By default it goes on top of the branch."""
        if parents is None:
            parents = self._tip(branch)
        parts = [
            b"commit refs/heads/%s\nmark :1\n" % branch.encode(),
            _signature(seconds),
            _data(message.encode()),
        ]
        parts += [b"%s %s\n" % (word, oid.encode()) for word, oid in zip(_words(), parents, strict=False)]
        if not parents:  # else fast-import would go on from the branch
            parts.insert(0, b"reset refs/heads/%s\n" % branch.encode())
        parts.append(b"deleteall\n")
        parts += [_line(path, content) for path, content in files.items()]
        parts.append(b"get-mark :1\n")
        return self.git("fast-import", "--quiet", "--force", stdin=b"".join(parts)).decode()

    def blob(self, content: bytes) -> str:
        """The id of a new blob."""
        return self.git("hash-object", "-w", "-t", "blob", "--stdin", stdin=content).decode()

    def tree(self, items: Iterable[TreeItem | tuple[bytes, bytes, str]]) -> str:
        """The id of a new tree of exactly these items in this order, however hostile."""
        raw = b"".join(b"%s %s\0%s" % (mode, name, bytes.fromhex(oid)) for mode, name, oid in items)
        return self.literal("tree", raw)

    def literal(self, kind: str, raw: bytes) -> str:
        """The id of a new object of any kind with any content."""
        return self.git("hash-object", "-w", "-t", kind, "--literally", "--stdin", stdin=raw).decode()

    def commit_tree(self, tree: str, *parents: str, branch: str = "main", seconds: int = SECONDS) -> str:
        """The id of a new commit of a tree, to which the branch is moved."""
        lines = [f"tree {tree}", *(f"parent {oid}" for oid in parents)]
        signature = b"%s %d +0000" % (_IDENTITY, seconds)
        text = "\n".join(lines).encode() + b"\nauthor %s\ncommitter %s\n\na commit\n" % (signature, signature)
        oid = self.literal("commit", text)
        self.git("update-ref", f"refs/heads/{branch}", oid)
        return oid

    def _tip(self, branch: str) -> list[str]:
        found = self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        return found.decode().split()


def _words() -> list[bytes]:
    return [b"from", *[b"merge"] * 64]


def _signature(seconds: int) -> bytes:
    return b"".join(b"%s %s %d +0000\n" % (role, _IDENTITY, seconds) for role in (b"author", b"committer"))


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _line(path: str | bytes, content: bytes | File) -> bytes:
    """One file in fast-import's language, where any byte of a path can be written in octal."""
    name = path.encode(errors="surrogateescape") if isinstance(path, str) else path
    quoted = b'"%s"' % b"".join(b"\\%03o" % byte for byte in name)
    file = content if isinstance(content, File) else File(content)
    if file.mode == b"160000":
        return b"M 160000 %s %s\n" % (file.content, quoted)
    return b"M %s inline %s\n%s" % (file.mode, quoted, _data(file.content))
