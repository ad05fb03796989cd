"""OCI layouts: what is written, what is refused, and what survives."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit import files
from buildkit.endpoints import Action, Blob
from buildkit.errors import CorruptContent, InvalidInput, Locked, NotFound, Unavailable
from buildkit.image import media
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.reference import LayoutReference
from buildkit.layout import LOCK, LayoutSink, LayoutSource
from buildkit.layoutindex import REF_NAME, pointed
from tests.buildkit import images
from tests.buildkit.images import Made
from tests.rigs.podman import Podman
from tests.rigs.small_disk import SmallDisk

ONE = images.image(images.layer({"hello": b"one"}))
TWO = images.image(images.layer({"hello": b"two"}), images.layer({"more": b"of it"}))


def sink(folder: Path) -> LayoutSink:
    return LayoutSink(LayoutReference(str(folder)))


def source(folder: Path, tag: str = "", digest: Digest | None = None) -> LayoutSource:
    return LayoutSource(LayoutReference(str(folder), tag, digest))


def entries(folder: Path) -> list[Any]:
    found = json.loads((folder / "index.json").read_text())["manifests"]
    assert isinstance(found, list)
    return found


def file_of(folder: Path, digest: Digest) -> Path:
    return folder / "blobs" / "sha256" / digest.hex


def leftovers(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(files.TEMPORARY)]


# What is written


def test_an_image_comes_back_as_it_went_in(tmp_path: Path) -> None:
    images.publish(tmp_path / "new" / "layout", TWO, "v1")
    reader = source(tmp_path / "new" / "layout", "v1")
    assert reader.document().raw == TWO.target.raw
    assert {part.digest: images.read(reader, part) for part in TWO.parts} == TWO.blobs


def test_the_files_are_those_of_the_specification(tmp_path: Path) -> None:
    images.publish(tmp_path, ONE, "v1")
    assert json.loads((tmp_path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    digests = {ONE.target.digest, *ONE.blobs}
    assert set(os.listdir(tmp_path / "blobs" / "sha256")) == {digest.hex for digest in digests}
    assert set(os.listdir(tmp_path)) == {"blobs", "index.json", "oci-layout", LOCK}
    assert stat.S_IMODE(file_of(tmp_path, ONE.target.digest).stat().st_mode) == 0o444
    assert entries(tmp_path)[0]["annotations"] == {REF_NAME: "v1"}


def test_a_survey_says_what_publishing_does_and_writes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "layout"
    before = sink(folder).survey(ONE.work("v1"))
    assert not folder.exists()
    assert before == sink(folder).publish(ONE.work("v1"))
    assert set(before.actions.values()) == {Action.PUSH}
    listing = sorted(os.stat(path).st_mtime_ns for path in folder.rglob("*"))
    assert set(sink(folder).survey(ONE.work("v2")).actions.values()) == {Action.REUSE}
    assert listing == sorted(os.stat(path).st_mtime_ns for path in folder.rglob("*"))


def test_blobs_that_are_there_are_not_opened(tmp_path: Path) -> None:
    images.publish(tmp_path, ONE, "v1")
    work = ONE.work("v2")._replace(blobs=tuple(map(images.unopened, ONE.parts)))
    assert set(sink(tmp_path).publish(work).actions.values()) == {Action.REUSE}


def test_a_blob_of_another_size_is_replaced(tmp_path: Path) -> None:
    images.publish(tmp_path, ONE, "v1")
    broken = file_of(tmp_path, ONE.manifest.layers[0].digest)
    broken.chmod(0o644)
    broken.write_bytes(b"cut")
    assert sink(tmp_path).publish(ONE.work("v1")).actions[ONE.manifest.layers[0].digest] is Action.PUSH
    assert images.read(source(tmp_path), ONE.manifest.layers[0]) == ONE.blobs[ONE.manifest.layers[0].digest]


def test_a_broken_document_is_replaced_even_if_its_size_is_right(tmp_path: Path) -> None:
    images.publish(tmp_path, ONE, "v1")
    broken = file_of(tmp_path, ONE.target.digest)
    broken.chmod(0o644)
    broken.write_bytes(bytes(len(ONE.target.raw)))
    sink(tmp_path).publish(ONE.work("v1"))
    assert source(tmp_path, "v1").document().raw == ONE.target.raw


def test_publishing_again_leaves_the_index_alone(tmp_path: Path) -> None:
    images.publish(tmp_path, ONE, "v1", "latest")
    before = (tmp_path / "index.json").stat()
    images.publish(tmp_path, ONE, "v1", "latest")
    assert os.path.samestat(before, (tmp_path / "index.json").stat())


def test_lookup(tmp_path: Path) -> None:
    assert sink(tmp_path / "none").lookup("v1") is None
    images.publish(tmp_path, ONE, "v1")
    found = sink(tmp_path).lookup("v1")
    assert found is not None
    assert found.digest == ONE.target.digest
    assert sink(tmp_path).lookup("v2") is None


def test_an_index_brings_its_images(tmp_path: Path) -> None:
    both = images.index(ONE, images.image(images.layer({"hello": b"arm"}), platform=images.ARM64))
    images.publish(tmp_path, both, "v1")
    reader = source(tmp_path, "v1")
    assert [reader.document(part.digest).raw for part in both.documents] == [d.raw for d in both.documents]
    assert len(entries(tmp_path)) == 1


# Names


def test_a_moved_name_leaves_the_image_listed(tmp_path: Path) -> None:
    images.publish(tmp_path, ONE, "latest")
    images.publish(tmp_path, TWO, "latest", "v2")
    assert source(tmp_path, "latest").document().digest == TWO.target.digest
    assert source(tmp_path, digest=ONE.target.digest).document().digest == ONE.target.digest
    assert [entry.get("annotations", {}).get(REF_NAME) for entry in entries(tmp_path)] == [
        None,
        "latest",
        "v2",
    ]
    images.publish(tmp_path, ONE, "v1")
    assert [entry["annotations"][REF_NAME] for entry in entries(tmp_path)] == ["latest", "v2", "v1"]


def test_without_a_name_the_only_image_is_meant(tmp_path: Path) -> None:
    images.publish(tmp_path, ONE, "v1", "latest")
    assert source(tmp_path).document().digest == ONE.target.digest
    images.publish(tmp_path, TWO, "v2")
    with pytest.raises(InvalidInput, match="its tags: latest, v1, v2"):
        source(tmp_path).document()
    with pytest.raises(NotFound, match="its tags: latest, v1, v2"):
        source(tmp_path, "v3").document()
    assert source(tmp_path).document("v2").digest == TWO.target.digest


def test_a_publication_without_names_is_listed_once(tmp_path: Path) -> None:
    images.publish(tmp_path, ONE)
    images.publish(tmp_path, ONE)
    assert entries(tmp_path) == [ONE.target.descriptor.to_json()]


def test_one_name_for_two_images_is_an_error(tmp_path: Path) -> None:
    images.publish(images.publish(tmp_path, ONE, "a"), TWO, "b")
    text = (tmp_path / "index.json").read_text().replace('"b"', '"a"')
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(InvalidInput, match="several images named 'a'"):
        source(tmp_path, "a").document()
    images.publish(tmp_path, TWO, "a")
    assert source(tmp_path, "a").document().digest == TWO.target.digest


def test_what_others_wrote_into_the_index_stays(tmp_path: Path) -> None:
    images.publish(tmp_path, ONE, "v1")
    foreign = {
        "mediaType": "application/x",
        "digest": "sha512:00",
        "size": 1,
        "\ud800": [1.5, None],
        "urls": [],
    }
    fields = {"schemaVersion": 2, "x": {"y": 1}, "manifests": [foreign, *entries(tmp_path)]}
    (tmp_path / "index.json").write_text(json.dumps(fields))
    images.publish(tmp_path, TWO, "v2")
    after = json.loads((tmp_path / "index.json").read_text())
    assert after["x"] == {"y": 1}
    assert after["manifests"][0] == foreign
    assert source(tmp_path, "v1").document().digest == ONE.target.digest


TAGS = st.sampled_from(["a", "b", "c", "latest"])
TARGETS = [Descriptor.of(bytes([number]), media.OCI_MANIFEST) for number in range(4)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x, max_size=3), max_leaves=5
)
FOREIGN = st.dictionaries(st.sampled_from(["digest", "annotations", "x", "y"]), JSON, max_size=4) | JSON


@st.composite
def listed(draw: st.DrawFn) -> dict[str, Any]:
    annotations = draw(st.dictionaries(st.sampled_from(["k", "io.k"]), st.text(), max_size=2))
    if name := draw(st.sampled_from(["", "a", "b", "c", "other"])):
        annotations[REF_NAME] = name
    extra = draw(st.dictionaries(st.sampled_from(["urls", "platform", "x"]), JSON, max_size=2))
    return {**draw(st.sampled_from(TARGETS))._replace(annotations=annotations).to_json(), **extra}


def named(manifests: list[Any], tag: str) -> set[str]:
    found = (
        entry for entry in manifests if isinstance(entry, dict) and isinstance(entry.get("annotations"), dict)
    )
    return {entry["digest"] for entry in found if entry["annotations"].get(REF_NAME) == tag}


def digests(manifests: list[Any]) -> set[str]:
    found = (entry.get("digest") for entry in manifests if isinstance(entry, dict))
    return {digest for digest in found if isinstance(digest, str)}


@given(st.lists(listed() | FOREIGN, max_size=8), st.sampled_from(TARGETS), st.lists(TAGS, max_size=3))
def test_an_index_update_moves_the_names_and_nothing_else(
    before: list[Any], target: Descriptor, tags: list[str]
) -> None:
    after = pointed(before, target, tuple(tags))
    assert pointed(after, target, tuple(tags)) == after
    assert all(named(after, tag) == {target.digest} for tag in tags)
    for tag in {"a", "b", "c", "other"} - set(tags):
        assert named(after, tag) == named(before, tag)
    assert {target.digest, *digests(before)} <= digests(after)
    # Whatever says more than a name and a digest is still there, and in its order.
    rich = [entry for entry in before if not isinstance(entry, dict) or "x" in entry]
    kept = [entry for entry in after if not isinstance(entry, dict) or "x" in entry]
    assert list(map(nameless, kept)) == list(map(nameless, rich))


def nameless(entry: Any) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get("annotations"), dict):
        return entry
    annotations = {key: value for key, value in entry["annotations"].items() if key != REF_NAME}
    rest = {key: value for key, value in entry.items() if key != "annotations"}
    return {**rest, "annotations": annotations} if annotations else rest


# What is refused


def test_a_missing_layout(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no OCI layout"):
        source(tmp_path)


def test_a_folder_of_other_things_is_not_made_a_layout(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(InvalidInput, match=r"thesis\.txt"):
        images.publish(tmp_path, ONE, "v1")
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidInput):
            images.publish(folder, ONE, "v1")


def test_bytes_of_another_digest_are_not_written(tmp_path: Path) -> None:
    part = ONE.manifest.layers[0]
    wrong = bytes(part.size)
    for raw in (wrong, wrong[:-1], wrong + b"x", b""):
        work = ONE.work("v1")._replace(blobs=(images.blob(raw, part),))
        with pytest.raises(CorruptContent, match=part.digest):
            sink(tmp_path).publish(work)
    assert os.listdir(tmp_path / "blobs" / "sha256") == []
    assert not leftovers(tmp_path)
    assert not (tmp_path / "index.json").exists()


def test_an_image_whose_layer_is_missing_gets_no_name(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"lacks {ONE.manifest.layers[0].digest}"):
        sink(tmp_path).publish(ONE.work("v1")._replace(blobs=ONE.work().blobs[:1]))
    assert not (tmp_path / "index.json").exists()
    assert sink(tmp_path).lookup("v1") is None


def test_an_index_whose_image_is_missing_gets_no_name(tmp_path: Path) -> None:
    both = images.index(ONE, TWO)
    with pytest.raises(NotFound, match=f"lacks {ONE.target.digest}"):
        sink(tmp_path).publish(both.work("v1")._replace(documents=both.documents[1:]))


def test_a_foreign_layer_may_be_absent(tmp_path: Path) -> None:
    base = images.layer({"windows": b""}, media_type=media.OCI_FOREIGN_LAYER_GZIP)
    made = images.image(base)
    work = made.work("v1")
    sink(tmp_path).publish(work._replace(blobs=work.blobs[:1]))
    assert source(tmp_path, "v1").document().digest == made.target.digest


def spoil_link(folder: Path) -> None:
    (folder / "blobs").rename(folder.parent / "elsewhere")
    (folder / "blobs").symlink_to(folder.parent / "elsewhere")


def spoil_inner_link(folder: Path) -> None:
    (folder / "blobs" / "sha256").rename(folder.parent / "elsewhere")
    (folder / "blobs" / "sha256").symlink_to(folder.parent / "elsewhere")


def spoil_fifo(folder: Path) -> None:
    (folder / "index.json").unlink()
    os.mkfifo(folder / "index.json")


def spoil_folder(folder: Path) -> None:
    (folder / "index.json").unlink()
    (folder / "index.json").mkdir()


def spoil_index_link(folder: Path) -> None:
    (folder / "index.json").rename(folder / "blobs" / "index.json")
    (folder / "index.json").symlink_to("blobs/index.json")


def spoil_giant(folder: Path) -> None:
    os.truncate(folder / "index.json", 1 << 30)


def spoil_depth(folder: Path) -> None:
    (folder / "index.json").write_text("[" * 200_000)


def spoil_text(folder: Path) -> None:
    (folder / "index.json").write_bytes(b"\xff{")


def spoil_shape(folder: Path) -> None:
    (folder / "index.json").write_text('{"manifests": {}}')


def spoil_digest(folder: Path) -> None:
    text = (folder / "index.json").read_text()
    (folder / "index.json").write_text(text.replace(ONE.target.digest, "sha256:../../../../etc/passwd"))


def spoil_version(folder: Path) -> None:
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "2.0.0"}')


def spoil_manifest(folder: Path) -> None:
    path = file_of(folder, ONE.target.digest)
    path.unlink()
    path.write_bytes(ONE.target.raw.replace(b"2", b"3"))


def spoil_manifest_size(folder: Path) -> None:
    text = (folder / "index.json").read_text()
    (folder / "index.json").write_text(text.replace(f'"size":{len(ONE.target.raw)}', '"size":7'))


SPOILS = [spoil_link, spoil_inner_link, spoil_fifo, spoil_folder, spoil_index_link, spoil_giant, spoil_depth]
SPOILS += [spoil_text, spoil_shape, spoil_digest, spoil_version, spoil_manifest, spoil_manifest_size]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__.removeprefix("spoil_"))
def test_a_hostile_layout_is_refused(tmp_path: Path, spoil: Any) -> None:
    folder = images.publish(tmp_path / "layout", ONE, "v1")
    spoil(folder)
    with pytest.raises(InvalidInput):
        source(folder, "v1").document()
    with pytest.raises(InvalidInput):
        sink(folder).lookup("v1")


def test_a_hostile_blob_is_refused(tmp_path: Path) -> None:
    part = ONE.manifest.layers[0]
    path = file_of(images.publish(tmp_path, ONE, "v1"), part.digest)
    path.rename(tmp_path / "away")
    with pytest.raises(NotFound):
        source(tmp_path).blob(part)
    path.symlink_to(tmp_path / "away")
    with pytest.raises(CorruptContent, match="not a regular file"):
        source(tmp_path).blob(part)
    path.unlink()
    path.write_bytes(b"short")
    with pytest.raises(CorruptContent, match="5 bytes"):
        source(tmp_path).blob(part)
    path.write_bytes(bytes(part.size))
    with source(tmp_path).blob(part) as stream, pytest.raises(CorruptContent, match=part.digest):
        stream.read()


# Links instead of copies


def copied(made: Made, folder: Path) -> tuple[Blob, ...]:
    reader = source(folder)
    return tuple(Blob(part, lambda part=part: reader.blob(part)) for part in made.parts)  # type: ignore[misc]


def test_blobs_of_another_layout_are_linked(tmp_path: Path) -> None:
    images.publish(tmp_path / "a", ONE, "v1")
    sink(tmp_path / "b").publish(ONE.work("v1")._replace(blobs=copied(ONE, tmp_path / "a")))
    for part in ONE.parts:
        assert file_of(tmp_path / "a", part.digest).samefile(file_of(tmp_path / "b", part.digest))
    assert not leftovers(tmp_path / "b")


def test_a_file_that_others_may_change_is_copied(tmp_path: Path) -> None:
    images.publish(tmp_path / "a", ONE, "v1")
    for part in ONE.parts:
        file_of(tmp_path / "a", part.digest).chmod(0o664)
    sink(tmp_path / "b").publish(ONE.work("v1")._replace(blobs=copied(ONE, tmp_path / "a")))
    for part in ONE.parts:
        assert not file_of(tmp_path / "a", part.digest).samefile(file_of(tmp_path / "b", part.digest))


def test_a_broken_file_is_not_linked(tmp_path: Path) -> None:
    part = ONE.manifest.layers[0]
    path = file_of(images.publish(tmp_path / "a", ONE, "v1"), part.digest)
    path.chmod(0o644)
    path.write_bytes(bytes(part.size))
    with pytest.raises(CorruptContent, match=part.digest):
        sink(tmp_path / "b").publish(ONE.work("v1")._replace(blobs=copied(ONE, tmp_path / "a")))
    assert not file_of(tmp_path / "b", part.digest).exists()


# Many writers, dead writers, full disks


def test_temporary_files_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    images.publish(tmp_path, ONE, "v1")
    (tmp_path / f"{files.TEMPORARY}dead").write_bytes(b"x")
    with files.Temporary(str(tmp_path)) as alive:
        images.publish(tmp_path, TWO, "v2")
        assert leftovers(tmp_path) == [os.path.basename(alive.path)]
    assert not leftovers(tmp_path)


def test_a_lock_that_is_held_is_waited_for_and_then_reported(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with files.locked(path):
        with pytest.raises(Locked), files.locked(path, patience=0.05):
            raise AssertionError("taken twice")
    with files.locked(path, patience=0):
        os.unlink(path)  # by a person who tidies up: whoever comes now has to get the new file


def write_many(folder: str, name: str, count: int) -> None:
    for number in range(count):
        made = images.image(images.layer({"hello": f"{name} {number}".encode(), "big": bytes(3_000_000)}))
        LayoutSink(LayoutReference(folder)).publish(made.work(f"{name}-{number}", "latest"))


def test_two_writers_at_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=write_many, args=(str(tmp_path), name, 25)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    for name in ("a", "b"):
        for number in range(25):
            made = images.image(images.layer({"hello": f"{name} {number}".encode(), "big": bytes(3_000_000)}))
            reader = source(tmp_path, f"{name}-{number}")
            assert reader.document().digest == made.target.digest
            assert all(images.read(reader, part) == made.blobs[part.digest] for part in made.parts)
    assert len(entries(tmp_path)) == 51
    assert not leftovers(tmp_path)


KILLS = """
import os, random, signal, sys, time
from pathlib import Path
from buildkit import files
from buildkit.image.digest import Digest
from buildkit.image.manifest import parse_document
from buildkit.image.reference import LayoutReference
from buildkit.layout import LayoutSink, LayoutSource
from tests.buildkit import images

root, points = Path(sys.argv[1]), int(sys.argv[2])
dice = random.Random(7)
old = images.image(images.layer({"hello": b"old"}))
new = images.image(*(images.layer({"x": dice.randbytes(size)}) for size in (10, 700_000, 300_000)))


def publish(folder):
    LayoutSink(LayoutReference(str(folder))).publish(new.work("v2", "latest"))


def fresh(name, empty=False):
    folder = root / str(name)
    return folder if empty else images.publish(folder, old, "v1", "latest")


def events(folder):
    count = 0
    def note(*_):
        nonlocal count
        count += 1
    sys.setprofile(note)
    publish(folder)
    sys.setprofile(None)
    return count


def die_at(event):
    left = event
    def note(*_):
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(note)


def check_whole(folder, sure):
    for path in (folder / "blobs" / "sha256").glob("*"):
        assert Digest.of(path.read_bytes()).hex == path.name, path
    for tag in ("v1", "latest", "v2"):
        document = LayoutSink(LayoutReference(str(folder))).lookup(tag)
        assert document is not None or tag not in sure, tag
        for part in (document.config, *document.layers) if document else ():
            images.read(LayoutSource(LayoutReference(str(folder))), part)


total = events(fresh("count"))
start = time.perf_counter(); publish(fresh("time")); seconds = time.perf_counter() - start
killed = 0
for point in range(points):
    empty = point % 3 == 0
    folder = fresh(point, empty)
    event, delay = dice.randrange(1, total + 1), dice.uniform(0, seconds)
    child = os.fork()
    if not child:
        if point % 4:
            die_at(event)
        publish(folder)
        os._exit(0)
    if not point % 4:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    check_whole(folder, () if empty else ("v1", "latest"))
    publish(folder)
    check_whole(folder, ("v2", "latest") if empty else ("v1", "v2", "latest"))
    assert LayoutSink(LayoutReference(str(folder))).lookup("latest").digest == new.target.digest
    assert not [name for name in os.listdir(folder) if name.startswith(files.TEMPORARY)], os.listdir(folder)
print(total, killed)
"""


def test_killed_at_any_moment_nothing_half_written_is_visible(tmp_path: Path) -> None:
    """200 seeded points: three of four at the nth call or return in the process, the others by the clock."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", KILLS, str(tmp_path), "200"],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    total, killed = map(int, done.stdout.split())
    assert total > 500
    assert killed > 150


@pytest.mark.rig
def test_a_full_disk_is_reported_and_leaves_the_layout_as_it_was(small_disk: SmallDisk) -> None:
    folder = images.publish(small_disk.path / "layout", ONE, "v1")
    before = (folder / "index.json").read_bytes()
    big = images.image(*(images.layer({"x": os.urandom(3 << 20)}) for _ in range(3)))
    with pytest.raises(Unavailable, match="free some space"):
        images.publish(folder, big, "v2")
    assert (folder / "index.json").read_bytes() == before
    assert not leftovers(folder)
    small = images.image(images.layer({"x": os.urandom(1 << 20)}))
    for path in (folder / "blobs" / "sha256").iterdir():
        if path.stat().st_size > 1 << 20:
            path.unlink()
    images.publish(folder, small, "v2")
    assert source(folder, "v2").document().digest == small.target.digest


@pytest.mark.rig
def test_a_disk_that_fills_up_anywhere(small_disk: SmallDisk) -> None:
    """The last bytes go at every possible place: blobs, documents, index."""
    folder = images.publish(small_disk.path / "layout", ONE, "v1")
    ballast = small_disk.path / "ballast"
    failures = 0
    for spare in range(0, 80, 4):
        with ballast.open("wb") as stream:
            fill(stream.fileno(), spare * 1024)
        try:
            images.publish(folder, images.image(images.layer({"x": os.urandom(8192)})), f"t{spare}")
        except Unavailable:
            failures += 1
        ballast.unlink()
        reader = source(folder, "v1")
        assert all(images.read(reader, part) == ONE.blobs[part.digest] for part in ONE.parts)
        assert all(sink(folder).lookup(entry["annotations"][REF_NAME]) for entry in entries(folder))
        assert not leftovers(folder)
    assert 0 < failures < 20


def fill(fd: int, spare: int) -> None:
    free = os.fstatvfs(fd)
    os.posix_fallocate(fd, 0, free.f_bavail * free.f_bsize - spare)


# Others as judges


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return images.publish(images.publish(tmp_path / "layout", ONE, "v1", "latest"), TWO, "latest")


@pytest.mark.rig
def test_skopeo_reads_it_and_brings_it_back(made: Path, tmp_path: Path, podman: Podman) -> None:
    for tag, image in (("v1", ONE), ("latest", TWO)):
        assert (
            json.loads(podman.skopeo("inspect", f"oci:{made}:{tag}").stdout)["Digest"] == image.target.digest
        )
        podman.skopeo("copy", f"oci:{made}:{tag}", f"oci:{tmp_path}/there:{tag}")
        podman.skopeo("copy", f"oci:{tmp_path}/there:{tag}", f"oci:{tmp_path}/back:{tag}")
        assert source(tmp_path / "back", tag).document().raw == image.target.raw


@pytest.mark.rig
def test_skopeo_and_treeship_write_to_one_layout(made: Path, podman: Podman) -> None:
    podman.skopeo("copy", f"oci:{made}:v1", f"oci:{made}:latest")
    assert source(made, "latest").document().digest == ONE.target.digest
    images.publish(made, TWO, "v2")
    assert [source(made, tag).document().digest for tag in ("v1", "latest", "v2")] == [
        ONE.target.digest, ONE.target.digest, TWO.target.digest]  # fmt: skip


@pytest.mark.rig
def test_umoci_unpacks_it(made: Path, tmp_path: Path, podman: Podman) -> None:
    podman.umoci("unpack", "--image", f"{made}:latest", str(tmp_path / "bundle"))
    assert (tmp_path / "bundle" / "rootfs" / "hello").read_bytes() == b"two"
    assert (tmp_path / "bundle" / "rootfs" / "more").read_bytes() == b"of it"


@pytest.mark.rig
def test_umoci_collects_no_image_that_is_listed(made: Path, podman: Podman) -> None:
    images.publish(made, TWO, "v1")
    podman.umoci("gc", "--layout", str(made))
    assert source(made, digest=ONE.target.digest).document().digest == ONE.target.digest
