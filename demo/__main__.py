"""The demo, stage by stage.

1. `machine`     what can be shown here, and what is left out
2. `base_image`  Debian and Python as an OCI layout, made once and cached (tests/rigs)
3. `repository`  HEAD, and one more commit in a temporary clone
4. `builds`      both built, with a cache of their own; two tables
5. `peers`       the same two images by docker, buildah and crane, where these are installed
6. `about`       the image runs, and says which git tree it holds
7. `builds`      HEAD again, now with the wheels of its uv.lock; treeship runs in the image of itself
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

from buildkit import human
from demo.builds import Build, archived, build, side_by_side, wheels
from demo.peers import Timing, timings
from demo.repository import ROOT, Commits, two_commits
from tests.rigs import base_image
from tests.rigs.errors import CommandFailed, RigError, RigUnavailable
from tests.rigs.podman import Podman

LAYOUT = ROOT / ".treeship" / "demo"
# The exit code for a system outside that does not answer (docs/errors.md).
UNAVAILABLE = 4
IMPORTS = "import deflate, docker, msgspec, requests, rich; print(rich.__name__)"


def main() -> int:
    """0 when all that this machine can show was shown, and was right."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="treeship-demo-") as folder:
            right = show(Path(folder))
    except RigError as error:
        print(f"\nthe demo stopped: {error}", file=sys.stderr)
        return 1
    say(f"done in {time.monotonic() - began:.0f} s; `make clean` removes {LAYOUT.relative_to(ROOT)}")
    return 0 if right else 1


def show(scratch: Path) -> bool:
    """All stages; whether the images hold what git says."""
    shutil.rmtree(LAYOUT, ignore_errors=True)
    layout = base()
    say("two commits: HEAD of this repository, and one changed line in a temporary clone")
    commits = two_commits(scratch / "clone")
    first, second = build_both(commits, f"oci:{layout}:latest" if layout else "scratch", scratch)
    if layout is None:
        say(f"an image of {human.size(_size(second))} is in the OCI layout {LAYOUT.relative_to(ROOT)}")
        return True
    compare(commits, layout, scratch, (first, second))
    with Podman() as tools:
        right = run_both(tools, commits, scratch)
        return with_dependencies(tools, commits, layout, scratch) and right


def base() -> Path | None:
    """The base's layout; None, and the reason said, where it cannot be made."""
    say("the base: Debian and Python, by mmdebstrap (about 20 s the first time, then cached)")
    try:
        Podman.install()
        return base_image.layout()
    except RigUnavailable as reason:
        print(f"  left out here: {reason}")
        print("  so the image gets no base (`scratch`), and is neither run nor compared with other tools")
        return None


def build_both(commits: Commits, base: str, scratch: Path) -> tuple[Build, Build]:
    """Build both commits into the layout; say what each took."""
    say("treeship build, twice, of the code alone")
    first, second = (
        build(commits, commit, base, f"oci:{LAYOUT}:{commit}", scratch / "cache", "--no-dependencies")
        for commit in (commits.first, commits.second)
    )
    print(side_by_side(first, second))
    return first, second


def compare(commits: Commits, layout: Path, scratch: Path, ours: tuple[Build, Build]) -> None:
    """Print other tools' times beside ours."""
    say("the same with other tools, each to where its images live (one run; `make bench` measures properly)")
    print(f"  {'':<28}{'first':>9}{'changed':>9}")
    print(_timing(Timing("treeship build", ours[0].seconds, ours[1].seconds)))
    for found in timings(commits, layout, scratch):
        print(_timing(found) if isinstance(found, Timing) else f"  {found}")


def run_both(tools: Podman, commits: Commits, scratch: Path) -> bool:
    """Run a program of each commit in its image, and compare what it says with what git says."""
    say("the images run: each says which git tree its files are, with the standard library only")
    first = _runs_right(tools, commits, commits.first, scratch)
    return _runs_right(tools, commits, commits.second, scratch) and first


def with_dependencies(tools: Podman, commits: Commits, layout: Path, scratch: Path) -> bool:
    """Build HEAD with what its lock names, and run treeship in the image of itself."""
    say("with dependencies: the wheels of uv.lock become layers, made without pip and without a container")
    commit, tag = commits.first, f"{commits.first}-complete"
    try:
        built = build(commits, commit, f"oci:{layout}:latest", f"oci:{LAYOUT}:{tag}", scratch / "cache")
    except CommandFailed as error:
        if error.code != UNAVAILABLE:
            raise
        print(f"  left out here: no package index is reached\n  {error}")
        return True
    print(wheels(built))
    say("treeship runs in the image of itself, with these dependencies")
    said = _run(tools, scratch, tag, "python3", "-B", "-m", "ci", "inspect", "--help")
    right = "treeship inspect" in said and "rich" in _run(tools, scratch, tag, "python3", "-c", IMPORTS)
    print(f"  {said.splitlines()[0]}\n  {'it works' if right else 'IT DOES NOT WORK'}")
    return right


def _run(tools: Podman, scratch: Path, tag: str, *words: str) -> str:
    archive = archived(f"oci:{LAYOUT}:{tag}", scratch / f"{tag}.tar", tag[:12] + tag[40:])
    tools.podman("load", "--quiet", "--input", archive)
    return tools.podman("run", "--rm", "--network=none", f"{tag[:12]}{tag[40:]}:latest", *words).stdout


def _runs_right(tools: Podman, commits: Commits, commit: str, scratch: Path) -> bool:
    said = _run(tools, scratch, commit, "python3", "-B", "-m", "demo.about")
    right = said.split()[-1] == commits.tree(commit)
    print("".join(f"  {line}\n" for line in said.splitlines()), end="")
    print(f"  {'equal to' if right else 'DIFFERENT FROM'} `git rev-parse {commit[:12]}^{{tree}}`")
    return right


def say(text: str) -> None:
    """The headline of a stage."""
    print(f"\n== {text}", flush=True)


def _timing(timing: Timing) -> str:
    return f"  {timing.tool:<28}{timing.first:>7.2f} s{timing.second:>7.2f} s"


def _size(built: Build) -> int:
    return sum(layer["size"] for layer in built.result["layers"])


if __name__ == "__main__":
    sys.exit(main())
