"""Two commits to build: this repository's HEAD, and one more in a temporary clone."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.rigs.process import run

ROOT = Path(__file__).parent.parent
EDITED = "README.md"
IDENTITY = (
    "-c",
    "user.name=treeship demo",
    "-c",
    "user.email=demo@example.invalid",
    "-c",
    "commit.gpgSign=false",
)


class Commits(NamedTuple):
    """A clone of this repository, and what to build of it."""

    clone: Path
    first: str
    second: str

    def tree(self, commit: str) -> str:
        """The id of the commit's tree."""
        return git(self.clone, "rev-parse", f"{commit}^{{tree}}")


def git(folder: Path, *words: str) -> str:
    """What git prints."""
    return run(["git", "-C", folder, *words]).stdout.strip()


def two_commits(folder: Path) -> Commits:
    """Clone this repository into FOLDER, edit one file there, and commit it."""
    run(["git", "clone", "--quiet", "--no-hardlinks", "--", ROOT, folder])
    first = git(folder, "rev-parse", "HEAD")
    with (folder / EDITED).open("a") as page:
        page.write("\nThis line was added by `make demo`.\n")
    git(folder, *IDENTITY, "commit", "--quiet", "--no-verify", "--all", "--message=Add a line")
    return Commits(folder, first, git(folder, "rev-parse", "HEAD"))
