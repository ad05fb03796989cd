"""docker-archives: what is written, what is read, and what is refused."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildkit import files, tarfiles
from buildkit.archive import ArchiveSink, ArchiveSource
from buildkit.endpoints import Action
from buildkit.errors import CorruptContent, InvalidInput, NotFound, Unavailable
from buildkit.image import media
from buildkit.image.digest import Digest
from buildkit.image.reference import ArchiveReference
from tests.buildkit import images
from tests.buildkit.images import Made
from tests.rigs.docker_engine import DockerEngine
from tests.rigs.podman import Podman
from tests.rigs.small_disk import SmallDisk

SAME = images.layer({"hello": b"one"})
STACK = (SAME, images.layer({"plain": bytes(5000)}, compressed=False), SAME)
ONE = images.image(*STACK)


def write(file: Path, made: Made = ONE, *tags: str, name: str = "team/app") -> Path:
    ArchiveSink(ArchiveReference(str(file), name)).publish(made.work(*tags))
    return file


def source(file: Path, name: str = "", tag: str = "") -> ArchiveSource:
    return ArchiveSource(ArchiveReference(str(file), name, tag))


# What is written


def test_an_image_comes_back(tmp_path: Path) -> None:
    reader = source(write(tmp_path / "a.tar", ONE, "v1"))
    document = reader.document()
    assert document.raw == ONE.target.raw
    assert {part.digest: images.read(reader, part) for part in ONE.parts} == ONE.blobs


def test_docker_types_come_back_as_those_of_oci(tmp_path: Path) -> None:
    made = images.image(SAME, docker=True)
    document = source(write(tmp_path / "a.tar", made, "v1")).document()
    assert document.media_type == media.OCI_MANIFEST
    assert document.raw == images.image(SAME).target.raw


def test_the_members_are_those_of_docker_save(tmp_path: Path) -> None:
    with tarfile.open(write(tmp_path / "a.tar", ONE, "v1", "latest")) as tar:
        described = tar.extractfile("manifest.json")
        assert described is not None
        (image,) = json.load(described)
        names = tar.getnames()
        assert {(m.uid, m.gid, m.mtime, m.mode) for m in tar} == {(0, 0, 0, 0o444)}
    assert image["RepoTags"] == ["team/app:v1", "team/app:latest"]
    assert image["Config"] == f"{ONE.manifest.config.digest.hex}.json"
    assert len(image["Layers"]) == 3
    assert names == ["manifest.json", image["Config"], *dict.fromkeys(image["Layers"])]


def test_equal_images_give_equal_archives(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name, ONE, "v1").read_bytes() for name in ("a.tar", "b.tar"))
    assert one == two
    assert one == write(tmp_path / "a.tar", ONE, "v1").read_bytes()


def test_without_a_name_the_image_has_no_tags(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tar", ONE, "v1", name="")
    with tarfile.open(file) as tar:
        described = tar.extractfile("manifest.json")
        assert described is not None
        assert json.load(described)[0]["RepoTags"] is None
    assert source(file).document().digest == ONE.target.digest


def test_several_platforms_do_not_fit(tmp_path: Path) -> None:
    both = images.index(ONE, images.image(SAME, platform=images.ARM64))
    with pytest.raises(InvalidInput, match="--platform"):
        write(tmp_path / "a.tar", both, "v1")
    assert os.listdir(tmp_path) == []


def test_an_index_of_one_image_fits(tmp_path: Path) -> None:
    assert source(write(tmp_path / "a.tar", images.index(ONE), "v1")).document().digest == ONE.target.digest


def test_a_survey_writes_nothing(tmp_path: Path) -> None:
    sink = ArchiveSink(ArchiveReference(str(tmp_path / "a.tar")))
    assert set(sink.survey(ONE.work("v1")).actions.values()) == {Action.PUSH}
    assert os.listdir(tmp_path) == []
    assert sink.lookup("v1") is None


def test_a_broken_layer_leaves_the_old_archive(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tar", ONE, "v1")
    before = file.read_bytes()
    part = ONE.manifest.layers[1]
    wrong = ONE.blobs | {part.digest: bytes(part.size)}
    with pytest.raises(CorruptContent, match=part.digest):
        write(file, ONE._replace(blobs=wrong), "v2")
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.tar"]


def test_a_missing_layer_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=ONE.parts[-1].digest):
        write(tmp_path / "a.tar", ONE._replace(parts=ONE.parts[:-1]), "v1")


def test_leftovers_of_the_dead_go(tmp_path: Path) -> None:
    (tmp_path / f"{files.TEMPORARY}dead").touch()
    write(tmp_path / "a.tar")
    assert os.listdir(tmp_path) == ["a.tar"]


def test_a_link_is_written_through_and_a_pipe_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "link.tar").symlink_to("a.tar")
    write(tmp_path / "link.tar", ONE, "v1")
    assert (tmp_path / "link.tar").is_symlink()
    assert (tmp_path / "a.tar").is_file()
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path, Path("/dev/null")):
        with pytest.raises(InvalidInput, match="not a regular file"):
            write(place)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="none"):
        write(tmp_path / "none" / "a.tar")


@pytest.mark.rig
def test_a_full_disk(small_disk: SmallDisk) -> None:
    made = images.image(images.layer({"x": os.urandom(9 << 20)}))
    with pytest.raises(Unavailable, match="free some space"):
        write(small_disk.path / "a.tar", made, "v1")
    assert os.listdir(small_disk.path) == []


@given(st.integers(0, 2**40))
def test_headers_of_any_size_are_understood(size: int) -> None:
    member = tarfile.TarInfo.frombuf(tarfiles.header("x" * 64 + ".tar.gz", size), "utf-8", "strict")
    assert (member.name, member.size, member.isreg()) == ("x" * 64 + ".tar.gz", size, True)


# What is read


class Tar:
    """A tar to be put together."""

    def __init__(self, kind: int = tarfile.PAX_FORMAT) -> None:
        self.buffer = io.BytesIO()
        self.tar = tarfile.TarFile(fileobj=self.buffer, mode="w", format=kind)

    def add(self, name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "") -> Tar:
        member = tarfile.TarInfo(name)
        member.size, member.type, member.linkname = len(data), kind, target
        self.tar.addfile(member, io.BytesIO(data))
        return self

    def image(self, *layers: str, made: Made, config: str = "config.json", tags: tuple[str, ...] = ()) -> Tar:
        described = [{"Config": config, "RepoTags": list(tags), "Layers": list(layers)}]
        self.add(config, made.blobs[made.manifest.config.digest])
        return self.add("manifest.json", json.dumps(described).encode())

    def write(self, file: Path) -> Path:
        self.tar.close()
        file.write_bytes(self.buffer.getvalue())
        return file


PLAIN = images.layer({"hello": b"plain"}, compressed=False)
OLD = images.image(PLAIN, PLAIN)
LONG = "a" * 150


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("folder", ["def", LONG, "ü"], ids=["short", "long", "not ascii"])
def test_equal_layers_of_docker_save_are_links(tmp_path: Path, kind: int, folder: str) -> None:
    tar = Tar(kind).add("./", kind=tarfile.DIRTYPE).add("repositories", b"{}").add("abc/layer.tar", PLAIN.raw)
    tar.add(f"{folder}/layer.tar", kind=tarfile.SYMTYPE, target="../abc/layer.tar")
    tar.image("./abc/layer.tar", f"{folder}/layer.tar", made=OLD)
    reader = source(tar.write(tmp_path / "a.tar"))
    document = reader.document()
    assert document.raw == OLD.target.raw
    assert images.read(reader, OLD.manifest.layers[0]) == PLAIN.raw


def test_an_image_is_chosen_by_any_of_its_names(tmp_path: Path) -> None:
    other = images.image(SAME)
    tar = Tar().add("l", PLAIN.raw).add("m", SAME.raw)
    tar.add("c1", OLD.blobs[OLD.manifest.config.digest]).add("c2", other.blobs[other.manifest.config.digest])
    names = ["docker.io/library/app:1", "x.example/app:1"]
    described = [{"Config": "c1", "RepoTags": names, "Layers": ["l", "l"]},
                 {"Config": "c2", "RepoTags": ["app:2"], "Layers": ["m"]},
                 {"Config": "c2", "RepoTags": None, "Layers": ["m"]}]  # fmt: skip
    file = tar.add("manifest.json", json.dumps(described).encode()).write(tmp_path / "a.tar")
    assert source(file, "app", "1").document().digest == OLD.target.digest
    assert source(file, "x.example/app").document().digest == OLD.target.digest
    assert source(file, "app").document("2").digest == other.target.digest
    assert source(file).document(OLD.manifest.config.digest).digest == OLD.target.digest
    with pytest.raises(InvalidInput, match="its names: app:2"):
        source(file).document()
    with pytest.raises(InvalidInput, match="2 images"):
        source(file, "app").document()
    with pytest.raises(NotFound, match="its names: app:2"):
        source(file, "app", "3").document()


def test_a_blob_that_was_not_named_is_not_found(tmp_path: Path) -> None:
    reader = source(write(tmp_path / "a.tar"))
    with pytest.raises(NotFound, match="ask for its document"):
        reader.blob(ONE.parts[0])


def test_a_layer_that_is_not_its_diff_id_is_found_out(tmp_path: Path) -> None:
    tar = Tar().add("l", PLAIN.raw.replace(b"plain", b"PLAIN")).image("l", "l", made=OLD)
    reader = source(tar.write(tmp_path / "a.tar"))
    layer = OLD.manifest.layers[0]
    assert reader.document().digest == OLD.target.digest
    with pytest.raises(CorruptContent, match=layer.digest):
        images.read(reader, layer)


# What is refused


def good() -> Tar:
    return Tar().add("l", PLAIN.raw).image("l", "l", made=OLD)


def pax(size: int, record: bytes) -> bytes:
    """An extended header by hand: tarfile would not write it."""
    header = bytearray(tarfiles.header("pax", size))
    header[156:157] = b"x"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + record + tarfiles.padding(len(record))


def with_field(at: int, value: bytes) -> bytes:
    header = bytearray(tarfiles.header("manifest.json", 2))
    header[at : at + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"[]".ljust(512, b"\0") + tarfiles.END


TREES: dict[str, Callable[[], Tar]] = {
    "absolute": lambda: good().add("/etc/passwd", b"x"),
    "parent": lambda: good().add("a/../../b", b"x"),
    "twice": lambda: good().add("l", b"x"),
    "twice, written otherwise": lambda: good().add(".//l", b"x"),
    "device": lambda: good().add("null", kind=tarfile.CHRTYPE),
    "pipe": lambda: good().add("pipe", kind=tarfile.FIFOTYPE),
    "sparse": lambda: good().add("sparse", kind=tarfile.GNUTYPE_SPARSE),
    "link with no target": lambda: good().add("link", kind=tarfile.SYMTYPE),
    "link out": lambda: Tar().add("l", kind=tarfile.SYMTYPE, target="../x").image("l", "l", made=OLD),
    "link to /etc": lambda: (
        Tar().add("l", kind=tarfile.SYMTYPE, target="/etc/passwd").image("l", "l", made=OLD)
    ),
    "link to a link": lambda: Tar().add("l", kind=tarfile.SYMTYPE, target="l").image("l", "l", made=OLD),
    "no manifest": lambda: Tar().add("l", b"x"),
    "no layer": lambda: Tar().image("l", "l", made=OLD),
    "layer outside": lambda: Tar().image("../l", "/l", made=OLD),
    "too few layers": lambda: Tar().add("l", PLAIN.raw).image("l", made=OLD),
    "manifest of numbers": lambda: Tar().add("manifest.json", b"[1]"),
    "manifest of text": lambda: Tar().add("manifest.json", b"nothing"),
    "deep manifest": lambda: Tar().add("manifest.json", b"[" * 100_000),
    "giant manifest": lambda: Tar().add("manifest.json", b"[]" + b" " * (5 << 20)),
    "config of text": lambda: Tar().add("c", b"{}").add("manifest.json", b'[{"Config": "c", "Layers": []}]'),
    "config of numbers": lambda: Tar().add("manifest.json", b'[{"Config": 7, "Layers": []}]'),
    "many members": lambda: many(20_001),
}


def many(count: int) -> Tar:
    tar = Tar(tarfile.USTAR_FORMAT)
    for number in range(count):
        tar.add(str(number))
    return tar


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_a_hostile_tree_is_refused(tmp_path: Path, tree: Callable[[], Tar]) -> None:
    with pytest.raises(InvalidInput):
        source(tree().write(tmp_path / "a.tar")).document()


HEADERS = {
    "giant pax": pax(1 << 30, b""),
    "large pax": pax(70_000, bytes(70_000)),
    "pax without length": pax(3, b"a=b"),
    "pax with a false length": pax(9, b"99 a=bcd\n"),
    "pax with length 0": pax(9, b"0 path=x\n"),
    "pax with a negative size": pax(11, b"11 size=-5\n"),
    "pax with a sparse map": pax(22, b"22 GNU.sparse.major=1\n"),
    "pax for ever": pax(11, b"11 path=ab\n") * 30_000,
    "negative size": with_field(124, b"\xff" * 12),
    "giant size": with_field(124, b"\x80" + b"\x7f" * 11),
    "size of text": with_field(124, b"99999999999\0"),
    "broken checksum": b"x" + tarfiles.header("a", 0)[1:],
    "cut": tarfiles.header("manifest.json", 5000) + b"[]",
    "cut header": tarfiles.header("manifest.json", 0)[:100],
    "zip": b"PK\3\4" + bytes(1000),
    "gzip": b"\x1f\x8b" + bytes(1000),
    "nothing": b"",
}


@pytest.mark.parametrize("raw", HEADERS.values(), ids=HEADERS)
def test_a_hostile_header_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(raw)
    with pytest.raises(InvalidInput):
        source(tmp_path / "a.tar").document()


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="none"):
        source(tmp_path / "none")
    with pytest.raises(CorruptContent, match="not a regular file"):
        source(tmp_path)


ARCHIVE = good()
ARCHIVE.tar.close()
CHANGES = st.tuples(st.integers(0, len(ARCHIVE.buffer.getvalue()) - 1), st.integers(0, 255))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CHANGES, min_size=1, max_size=9))
def test_any_damage_is_an_error_of_the_tree_or_harmless(
    tmp_path: Path, damage: list[tuple[int, int]]
) -> None:
    raw = bytearray(ARCHIVE.buffer.getvalue())
    for at, value in damage:
        raw[at] = value
    (tmp_path / "a.tar").write_bytes(raw)
    with suppress(InvalidInput):
        reader = source(tmp_path / "a.tar")
        assert reader.document().raw
        assert all(Digest.of(images.read(reader, part)) == part.digest for part in OLD.manifest.layers)


# Others as judges


@pytest.mark.rig
def test_the_docker_engine_loads_it_and_gives_it_back(tmp_path: Path, docker_engine: DockerEngine) -> None:
    stack = (SAME, PLAIN, SAME, images.layer({"mine": b"archive"}))
    made = images.image(*stack)
    file = write(tmp_path / "a.tar", made, "v1", "v2", name="test-archive/app")
    assert "test-archive/app:v2" in docker_engine.docker("load", "--input", file).stdout
    found = docker_engine.docker("image", "inspect", "--format", "{{.Id}}", "test-archive/app:v1").stdout
    assert found.strip() == made.manifest.config.digest
    docker_engine.docker("save", "--output", tmp_path / "b.tar", "test-archive/app:v1")
    reader = source(tmp_path / "b.tar", "test-archive/app", "v1")
    document = images.manifest_of(reader.document())
    assert [Digest.of(images.read(reader, part)) for part in document.layers] == [
        part.diff_id for part in stack
    ]
    assert document.config.digest == made.manifest.config.digest
    docker_engine.docker("rmi", "--force", made.manifest.config.digest)


@pytest.mark.rig
def test_podman_loads_it_and_gives_it_back(tmp_path: Path, podman: Podman) -> None:
    file = write(tmp_path / "a.tar", ONE, "v1", name="test-archive/app")
    podman.podman("load", "--input", file)
    found = podman.podman("image", "inspect", "--format", "{{.Id}}", "localhost/test-archive/app:v1").stdout
    assert found.strip() == ONE.manifest.config.digest.hex
    podman.podman("save", "--output", tmp_path / "b.tar", "localhost/test-archive/app:v1")
    reader = source(tmp_path / "b.tar")
    layers = images.manifest_of(reader.document()).layers
    assert [Digest.of(images.read(reader, part)) for part in layers] == [part.diff_id for part in STACK]
    podman.podman("rmi", "--force", "localhost/test-archive/app:v1")


@pytest.mark.rig
def test_skopeo_reads_it_and_writes_such(tmp_path: Path, podman: Podman) -> None:
    file = write(tmp_path / "a.tar", ONE, "v1")
    podman.skopeo("copy", f"docker-archive:{file}", f"docker-archive:{tmp_path}/b.tar:team/app:v1")
    document = source(tmp_path / "b.tar", "team/app", "v1").document()
    assert images.manifest_of(document).config.digest == ONE.manifest.config.digest
