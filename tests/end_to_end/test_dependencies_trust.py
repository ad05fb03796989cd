"""Whose word is taken for a layer of wheels: the lock's hashes, this machine's memory, and images that are trusted."""

from __future__ import annotations

import json
from pathlib import Path

from buildkit.image.annotations import LAYER_KEY
from tests.end_to_end.complaints import complains
from tests.end_to_end.helpers import Json
from tests.end_to_end.house import REFUSED
from tests.end_to_end.locked import CODE, Watched, Yard, digests, of_wheels, pylock, small_lock

DIFFERENT = 3
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def _lied(yard: Yard, commit: str) -> str:
    """In the image of `commit`, a layer that was made of other wheels takes the place and the annotations of one."""
    stored = yard.registry.store.repository("team/app")
    manifest = stored.manifest(commit)
    assert manifest is not None
    fields: Json = json.loads(manifest.raw)
    first, other = [layer for layer in fields["layers"] if LAYER_KEY in layer.get("annotations", {})][:2]
    first["digest"], first["size"] = other["digest"], other["size"]
    yard.registry.store.add_manifest("team/app", json.dumps(fields).encode(), MANIFEST, commit)
    return str(first["digest"])


def _next(yard: Yard) -> None:
    """A commit on top with the same tree."""
    tree, parent = (yard.repository.git("rev-parse", name).decode() for name in ("HEAD^{tree}", "HEAD"))
    yard.repository.commit_tree(tree, parent, seconds=1_800_000_000)


def test_a_lie_where_the_image_goes_is_ignored_and_where_it_is_trusted_check_names_it(
    yard: Yard, tmp_path: Path
) -> None:
    """Anybody may push there; who names a repository with --reuse-from says that nobody bad can."""
    parent = yard.commit(small_lock())
    honest = digests(of_wheels(yard.build()))
    lie = _lied(yard, parent)
    _next(yard)
    careful = yard.elsewhere(tmp_path / "careful")
    result = careful.build("--retag")
    assert digests(of_wheels(result)) == honest
    careful.check("team/app:main")
    trusting = yard.elsewhere(tmp_path / "trusting")
    believed = trusting.build("--reuse-from", f"{yard.at('team/app')}:{parent}", to="taken/in:main")
    assert of_wheels(believed)["wheel-alpha"]["digest"] == lie
    words = (
        "check",
        yard.at("taken/in:main"),
        "--repo",
        yard.repository.directory,
        "--wheel-host",
        yard.index.host,
    )
    verdict = yard.treeship(*words, "--json", code=DIFFERENT).json
    assert verdict["verdict"] == "different"
    assert "wheel-alpha" in json.dumps(verdict["differences"])


def test_what_a_trusted_image_said_is_not_remembered(yard: Yard, tmp_path: Path) -> None:
    """The next build without --reuse-from makes the layer itself."""
    yard.commit(small_lock())
    honest = digests(of_wheels(yard.build()))
    _next(yard)
    elsewhere = yard.elsewhere(tmp_path / "elsewhere")
    elsewhere.build("--reuse-from", yard.at("team/app:main"), to="other/app:main")
    with Watched(yard.index) as index:
        alone = elsewhere.build(to="third/app:main")
    assert {layer["reason"] for layer in of_wheels(alone).values()} == {"new"}
    assert len(index.files) == len(small_lock())
    assert digests(of_wheels(alone)) == honest


def test_two_trusted_images_are_not_one_that_has_all_wheels(yard: Yard, tmp_path: Path) -> None:
    """Wheels that no image has had together are held against each other, for which they are fetched."""
    wheels = small_lock()
    yard.commit(wheels[:1])
    yard.build(to="one/app:main")
    yard.commit(wheels[1:])
    yard.build(to="two/app:main")
    yard.commit(wheels)
    elsewhere = yard.elsewhere(tmp_path / "elsewhere")
    trusted = [f"--reuse-from={yard.at(f'{name}/app:main')}" for name in ("one", "two")]
    with Watched(yard.index) as index:
        result = elsewhere.build(*trusted, to="both/app:main")
    assert {layer["reason"] for layer in of_wheels(result).values()} == {"ancestor"}
    assert len(index.files) == len(wheels)


def test_the_commit_cannot_say_whom_to_ask(yard: Yard) -> None:
    """Neither hosts nor an index, before it is merged."""
    head = CODE["treeship.toml"]
    assert isinstance(head, bytes)
    said = f'[wheels]\nhosts = ["{yard.index.host}"]\nindex = "{yard.index.url}"\n'.encode()
    yard.commit(small_lock())
    lock = pylock(f"http://{yard.index.host}/files/", small_lock())
    files = {**CODE, "pylock.toml": lock, "treeship.toml": head + said}
    commit = yard.repository.commit(files, parents=["refs/heads/main"], branch="change")
    with Watched(yard.index) as index:
        ran = yard.treeship(*yard.words("build", commit, named=False), code=None)
    complains(
        ran, REFUSED, f"wheels.hosts in treeship.toml at commit {commit[:12]} is ignored", yard.index.host
    )
    assert index.requests == []
    yard.repository.git("update-ref", "refs/heads/main", commit)
    assert len(of_wheels(yard.treeship(*yard.words("build", commit, named=False)).json)) == 5
