"""Two commits to build: this repository's HEAD, and one more in a temporary clone."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from git import Actor, Repo

ROOT = Path(__file__).parent.parent
EDITED = "README.md"
# An identity of its own: the demo must run where nobody has told git a name.
IDENTITY = Actor("treeship demo", "demo@example.invalid")


class Commits(NamedTuple):
    """A clone of this repository, and what to build of it."""

    clone: Path
    first: str
    second: str

    def tree(self, commit: str) -> str:
        """The id of the commit's tree."""
        with Repo(self.clone) as repository:
            return repository.commit(commit).tree.hexsha

    def check_out(self, commit: str) -> None:
        """Put the commit's files into the clone, where tools that need files find them."""
        with Repo(self.clone) as repository:
            repository.git.checkout("--quiet", "--detach", commit)

    def archive(self, commit: str, to: Path) -> None:
        """The commit's files as an uncompressed tar below `app/`."""
        with Repo(self.clone) as repository, to.open("wb") as file:
            repository.archive(file, commit, prefix="app/", format="tar")


def two_commits(folder: Path) -> Commits:
    """Clone this repository into `folder`, edit one file there, and commit it."""
    with Repo.clone_from(str(ROOT), folder, multi_options=["--no-hardlinks"]) as repository:
        first = repository.head.commit.hexsha
        with (folder / EDITED).open("a") as page:
            page.write("\nThis line was added by `make demo`.\n")
        repository.index.add([EDITED])
        second = repository.index.commit("Add a line", author=IDENTITY, committer=IDENTITY, skip_hooks=True)
        return Commits(folder, first, second.hexsha)
