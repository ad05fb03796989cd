"""Images of a Docker Engine: with a stand-in for its faults, with the real one for its truth."""

from __future__ import annotations

import gc
import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from buildkit.daemon import DaemonSink, DaemonSource, Engine, connected
from buildkit.endpoints import Action, Publication
from buildkit.errors import CorruptContent, InvalidInput, NotFound, Unavailable
from buildkit.image.config import ImageConfig
from buildkit.image.digest import Digest
from buildkit.image.reference import DaemonReference
from tests.buildkit import images
from tests.buildkit.images import Made
from tests.rigs.docker_engine import DockerEngine

BASE = images.layer({"base": bytes(100_000)})
OLD = images.image(BASE, images.layer({"code": b"old"}))
NEW = images.image(BASE, images.layer({"code": b"new"}))
NAME = DaemonReference("test-daemon/app")


class FakeEngine:
    """Keeps configs by name; with `reads_everything` it wants all layers, with `silent` it loses them."""

    def __init__(self, *, reads_everything: bool = False, silent: bool = False, complaint: str = "") -> None:
        self.known: dict[str, list[str]] = {}
        self.loads: list[set[str]] = []
        self._reads_everything, self._silent, self._complaint = reads_everything, silent, complaint

    def layers(self, image: str) -> list[str] | None:
        return self.known.get(image)

    def images(self) -> list[str]:
        return [name for name in self.known if name.startswith("sha256:")]

    def load(self, chunks: Iterable[bytes]) -> str:
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            self.loads.append(set(tar.getnames()))
            raw = next(
                tar.extractfile(m) for m in tar if m.name.endswith(".json") and m.name != "manifest.json"
            )
            assert raw is not None
            config = ImageConfig(raw.read())
        complete = len(self.loads[-1]) == 2 + len(set(config.diff_ids))
        if self._complaint or (self._reads_everything and not complete):
            return self._complaint or "no such file"
        if not self._silent:
            self.known[config.descriptor.digest] = list(config.diff_ids)
        return ""

    def save(self, image: str) -> Iterable[bytes]:
        raise AssertionError(image)

    def tag(self, image: str, name: str, tag: str) -> None:
        self.known[f"{name}:{tag}"] = self.known[image]


def to(engine: Engine) -> Callable[[], AbstractContextManager[Engine]]:
    @contextmanager
    def connect() -> Iterator[Engine]:
        yield engine

    return connect


def layer_file(made: Made, number: int) -> str:
    return f"{made.manifest.layers[number].digest.hex}.tar.gz"


def test_layers_that_an_image_there_has_are_left_out() -> None:
    engine = FakeEngine()
    sink = DaemonSink(NAME, to(engine))
    sink.publish(OLD.work("v1"))
    assert set(sink.survey(OLD.work("v1")).actions.values()) == {Action.REUSE}
    before = sink.survey(NEW.work("v2"))
    receipt = sink.publish(NEW.work("v2"))
    assert receipt == before
    base, code = NEW.manifest.layers
    assert (receipt.actions[base.digest], receipt.actions[code.digest]) == (Action.REUSE, Action.PUSH)
    assert layer_file(NEW, 0) not in engine.loads[1]
    assert layer_file(NEW, 1) in engine.loads[1]


def test_only_layers_on_the_same_ones_are_left_out() -> None:
    engine = FakeEngine()
    DaemonSink(NAME, to(engine)).publish(images.image(images.layer({"a": b""}), BASE).work("v1"))
    DaemonSink(NAME, to(engine)).publish(images.image(BASE).work("v2"))
    DaemonSink(NAME, to(engine)).publish(images.image(BASE, images.layer({"a": b""}), BASE).work("v3"))
    assert len(engine.loads[2]) == 4, "the lower of the two is known, but not the upper one: the file is sent"


def test_an_image_that_is_there_is_only_named() -> None:
    engine = FakeEngine()
    sink = DaemonSink(NAME, to(engine))
    sink.publish(OLD.work("v1"))
    assert set(sink.publish(OLD.work("v2", "latest")).actions.values()) == {Action.REUSE}
    assert len(engine.loads) == 1
    assert engine.known["test-daemon/app:latest"] == engine.known[OLD.manifest.config.digest]


def test_an_engine_that_wants_every_layer_gets_them() -> None:
    engine = FakeEngine(reads_everything=True)
    sink = DaemonSink(NAME, to(engine))
    sink.publish(OLD.work("v1"))
    assert set(sink.publish(NEW.work("v2")).actions.values()) == {Action.PUSH}
    assert [len(load) for load in engine.loads] == [4, 3, 4]


@pytest.mark.parametrize(
    ("engine", "text"),
    [(FakeEngine(complaint="no space"), "no space"), (FakeEngine(silent=True), "does not have the image")],
    ids=["complaint", "silence"],
)
def test_a_refused_load_is_an_error(engine: FakeEngine, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        DaemonSink(NAME, to(engine)).publish(OLD.work("v1"))


def test_several_platforms_do_not_fit() -> None:
    both = images.index(OLD, images.image(BASE, platform=images.ARM64))
    with pytest.raises(InvalidInput, match="--platform"):
        DaemonSink(NAME, to(FakeEngine())).survey(both.work("v1"))
    assert DaemonSink(NAME, to(FakeEngine())).lookup("v1") is None


def test_an_unknown_image() -> None:
    with pytest.raises(NotFound, match="test-daemon/app:latest"):
        DaemonSource(NAME, to(FakeEngine())).document()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the SDK's, of a socket that is not there
@pytest.mark.parametrize(
    "address", ["unix:///none/docker.sock", "tcp://127.0.0.1:9", "nonsense://user:canary@x"]
)
def test_no_engine(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(Unavailable, match="DOCKER_HOST") as caught:
        DaemonSink(NAME).survey(OLD.work("v1"))
    assert "canary" not in str(caught.value)
    del caught
    gc.collect()


# The real one


@pytest.fixture
def engine(docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerEngine]:
    for name, value in docker_engine.env.items():
        monkeypatch.setenv(name, value)
    yield docker_engine
    with connected() as api:
        left = [image for image in api.images() if (api.layers(image) or [""])[0] == BASE.diff_id]
    docker_engine.docker("rmi", "--force", *left, check=False)


def identity(engine: DockerEngine, tag: str) -> str:
    return engine.docker("image", "inspect", "--format", "{{.Id}}", f"{NAME.name}:{tag}").stdout.strip()


def without(work: Publication, *absent: Digest) -> Publication:
    blobs = (images.unopened(b.descriptor) if b.digest in absent else b for b in work.blobs)
    return work._replace(blobs=tuple(blobs))


@pytest.mark.rig
def test_an_image_is_loaded_under_all_its_names(engine: DockerEngine) -> None:
    assert set(DaemonSink(NAME).publish(OLD.work("v1", "latest")).actions.values()) == {Action.PUSH}
    assert identity(engine, "v1") == identity(engine, "latest") == OLD.manifest.config.digest


@pytest.mark.rig
def test_the_real_engine_does_not_miss_layers_that_it_has(engine: DockerEngine) -> None:
    DaemonSink(NAME).publish(OLD.work("v1"))
    work = without(NEW.work("v2", "latest"), NEW.manifest.layers[0].digest)
    receipt = DaemonSink(NAME).publish(work)
    assert receipt.actions[NEW.manifest.layers[0].digest] is Action.REUSE
    assert identity(engine, "v2") == NEW.manifest.config.digest
    again = without(NEW.work("v3"), *(part.digest for part in NEW.manifest.layers))
    assert set(DaemonSink(NAME).publish(again).actions.values()) == {Action.REUSE}
    assert identity(engine, "v3") == NEW.manifest.config.digest


@pytest.mark.rig
def test_the_real_engine_says_no_in_a_kind_answer(engine: DockerEngine) -> None:
    lie = images.layer({"code": b"lie"})._replace(diff_id=Digest.of(b"something else"))
    with pytest.raises(InvalidInput, match="diffID"):
        DaemonSink(NAME).publish(images.image(BASE, lie).work("lie"))
    assert engine.docker("image", "inspect", f"{NAME.name}:lie", check=False).returncode


@pytest.mark.rig
def test_a_broken_layer_breaks_off_the_load(engine: DockerEngine) -> None:
    part = NEW.manifest.layers[1]
    broken = NEW._replace(blobs=NEW.blobs | {part.digest: bytes(part.size)})
    with pytest.raises(CorruptContent, match=part.digest):
        DaemonSink(NAME).publish(broken.work("broken"))
    assert engine.docker("image", "inspect", f"{NAME.name}:broken", check=False).returncode


@pytest.mark.rig
def test_an_image_is_read_from_the_engine(engine: DockerEngine, tmp_path: Path) -> None:
    DaemonSink(NAME).publish(OLD.work("v1", "latest"))
    for reader in (DaemonSource(NAME), DaemonSource(NAME._replace(tag="v1"))):
        document = images.manifest_of(reader.document())
        assert document.config.digest == OLD.manifest.config.digest
        config = ImageConfig(images.read(reader, document.config))
        assert [Digest.of(images.read(reader, part)) for part in document.layers] == list(config.diff_ids)
    with pytest.raises(NotFound, match="test-daemon/app:v9"):
        DaemonSource(NAME).document("v9")
