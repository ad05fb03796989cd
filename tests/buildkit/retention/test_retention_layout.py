"""Layouts: what `index.json` lists, what is taken off the disk, and what a writer at the same time may count on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from buildkit import files
from buildkit.errors import CorruptContent, Locked, NotFound
from buildkit.image import media
from buildkit.image.digest import Digest
from buildkit.image.reference import LayoutReference
from buildkit.layout import LOCK, LayoutSink, LayoutSource
from buildkit.layoutindex import REF_NAME
from buildkit.retention.applying import Rest, shrink
from buildkit.retention.keep import Keep, place_of
from buildkit.retention.layout import LayoutShelf
from buildkit.retention.plan import Plan, Rules, Why
from buildkit.retention.shelf import Done, plan_for, take_stock
from tests.buildkit import images
from tests.buildkit.retention.support import commit, gone_tags, keeping
from tests.rigs.podman import Podman

ONE, TWO = commit(1), commit(2)
KNOWN = (ONE, TWO)
NOW = 1_800_000_000
SHARED = images.layer({"shared": b"by both"})
FIRST = images.image(SHARED, images.layer({"a": b"first"}))
SECOND = images.image(SHARED, images.layer({"a": b"second"}))
INDEX = images.index(FIRST, images.image(images.layer({"a": b"arm64"}), platform=images.ARM64))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images.publish(tmp_path / "oci", FIRST, ONE)
    return images.publish(tmp_path / "oci", SECOND, TWO, "main")


def shelf(folder: Path) -> LayoutShelf:
    return LayoutShelf(LayoutReference(str(folder)))


def plan(folder: Path, keep: Keep, rules: Rules = Rules()) -> Plan:  # noqa: B008 - a value
    place = place_of(LayoutReference(str(folder)))
    return plan_for(place, shelf(folder), take_stock(place, shelf(folder), keep, rules), keep, rules, NOW)[0]


def rest(planned: Plan, folder: Path, keep: Keep) -> Rest:
    place, digests = place_of(LayoutReference(str(folder))), [one.digest for one in planned.removals]
    stock = take_stock(place, shelf(folder), keep, Rules(), digests)
    return shrink(planned.removals, *plan_for(place, shelf(folder), stock, keep, Rules(), NOW, digests))


def blobs(folder: Path) -> set[str]:
    return {f"sha256:{name}" for name in os.listdir(folder / "blobs/sha256")}


def needed(*made: images.Made) -> set[str]:
    return {document.digest for one in made for document in one.documents} | {
        part.digest for one in made for part in one.parts
    }


def listed(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "index.json").read_text())
    assert isinstance(found, dict)
    return found


def whole(folder: Path, tag: str) -> bool:
    source = LayoutSource(LayoutReference(str(folder), tag))
    document = source.document()
    parts = (document.config, *document.layers) if not hasattr(document, "manifests") else ()
    return all(images.read(source, part) is not None for part in parts)


def test_an_image_goes_and_what_it_shared_stays(folder: Path) -> None:
    found = plan(folder, keeping(known=KNOWN))
    assert gone_tags(found) == {ONE}

    assert shelf(folder).remove(rest(found, folder, keeping(known=KNOWN))) == Done(1, 0)

    assert blobs(folder) == needed(SECOND)
    assert [entry["annotations"][REF_NAME] for entry in listed(folder)["manifests"]] == [TWO, "main"]
    assert whole(folder, "main")
    assert plan(folder, keeping(known=KNOWN)).removals == ()


def test_an_index_goes_with_its_images_as_far_as_nothing_else_needs_them(tmp_path: Path) -> None:
    folder = images.publish(tmp_path / "oci", INDEX, ONE)
    images.publish(folder, FIRST, TWO, "main")

    shelf(folder).remove(rest(plan(folder, keeping(known=KNOWN)), folder, keeping(known=KNOWN)))

    assert blobs(folder) == needed(FIRST)


def test_what_is_listed_without_a_name_stays(folder: Path) -> None:
    """Somebody may use its digest; with its own kind of garbage collection it goes when its entry does."""
    images.publish(folder, FIRST)
    LayoutSink(LayoutReference(str(folder))).publish(SECOND.work(ONE))

    assert plan(folder, keeping(known=KNOWN)).removals == ()
    assert needed(FIRST) <= blobs(folder)


def test_referrers_go_with_their_image_and_stay_with_it(folder: Path) -> None:
    def attach(subject: images.Made, text: bytes) -> images.Made:
        made = images.image(images.layer({"signature": text}))
        fields = {**json.loads(made.target.raw), "subject": subject.target.descriptor.to_json()}
        document = type(made.manifest)(json.dumps(fields).encode())
        signed = made._replace(documents=(document,))
        images.publish(folder, signed)
        return signed

    signatures = [attach(FIRST, b"one"), attach(SECOND, b"two")]

    shelf(folder).remove(rest(plan(folder, keeping(known=KNOWN)), folder, keeping(known=KNOWN)))

    assert blobs(folder) == needed(SECOND, signatures[1])


def test_a_name_that_several_images_have_decides_nothing(folder: Path) -> None:
    fields = listed(folder)
    entry = SECOND.target.descriptor._replace(annotations={REF_NAME: ONE}).to_json()
    (folder / "index.json").write_text(json.dumps({**fields, "manifests": [*fields["manifests"], entry]}))

    assert plan(folder, keeping(known=KNOWN)).removals == ()


def test_what_others_listed_stays_as_it_is(folder: Path) -> None:
    strange = json.dumps({"what": 1}).encode()
    files.replace(str(folder / "blobs/sha256" / Digest.of(strange).hex), strange)
    entry = {"mediaType": "application/x", "digest": Digest.of(strange), "size": len(strange), "data": "x"}
    fields = {**listed(folder), "note": "mine"}
    (folder / "index.json").write_text(json.dumps({**fields, "manifests": [entry, *fields["manifests"]]}))

    shelf(folder).remove(rest(plan(folder, keeping(known=KNOWN)), folder, keeping(known=KNOWN)))

    assert (listed(folder)["note"], listed(folder)["manifests"][0]) == ("mine", entry)
    assert Digest.of(strange) in blobs(folder)


def test_dates_come_from_the_config(folder: Path) -> None:
    found = plan(folder, keeping(known=KNOWN), Rules(older_than=20 * 365 * 86400))

    assert {kept.why for kept in found.kept if kept.tag == ONE} == {Why.YOUNG}
    assert plan(folder, keeping(known=KNOWN)).removals[0].created == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("text", ["{", '{"manifests": [1]}', '{"manifests": [{"digest": "sha256:1"}]}', "[]"])
def test_a_broken_index_ends_it(folder: Path, text: str) -> None:
    (folder / "index.json").write_text(text)

    with pytest.raises(CorruptContent):
        plan(folder, keeping(known=KNOWN))


def test_a_broken_manifest_ends_it_before_anything_is_removed(folder: Path) -> None:
    found = rest(plan(folder, keeping(known=KNOWN)), folder, keeping(known=KNOWN))
    before = listed(folder)
    path = folder / "blobs/sha256" / SECOND.target.digest.hex
    path.chmod(0o644)
    path.write_text("{}")

    with pytest.raises(CorruptContent):
        shelf(folder).remove(found)

    assert listed(folder) == before
    assert needed(FIRST, SECOND) <= blobs(folder)


def test_there_is_no_layout(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no OCI layout"):
        shelf(tmp_path)


# Others at the same time


def test_a_name_that_came_since_holds_what_it_names(folder: Path) -> None:
    """Between the last look and the lock."""
    found = rest(plan(folder, keeping(known=KNOWN)), folder, keeping(known=KNOWN))
    images.publish(folder, FIRST, "production")

    shelf(folder).remove(found)

    assert needed(FIRST, SECOND) <= blobs(folder)
    assert whole(folder, "production")


def test_who_publishes_what_was_just_removed_is_told(folder: Path, tmp_path: Path) -> None:
    """A publisher that saw the blobs, and comes to the index after they went, must not name them."""

    class Slow(LayoutSink):
        def survey(self, work: Any) -> Any:
            receipt = super().survey(work)
            if not self.done:
                self.done = True
                shelf(folder).remove(rest(plan(folder, keeping(known=KNOWN)), folder, keeping(known=KNOWN)))
            return receipt

        done = False

    with pytest.raises(NotFound, match="lacks"):
        Slow(LayoutReference(str(folder))).publish(FIRST.work("again"))

    LayoutSink(LayoutReference(str(folder))).publish(FIRST.work("again"))
    assert whole(folder, "again")


def test_the_lock_is_waited_for(folder: Path) -> None:
    found = rest(plan(folder, keeping(known=KNOWN)), folder, keeping(known=KNOWN))
    assert found.waves
    with files.locked(str(folder / LOCK)), pytest.raises(Locked), files.locked(str(folder / LOCK), 0.01):
        pass


# The same plan again


@pytest.mark.parametrize("step", range(1, 6))
def test_what_an_interrupted_run_left_goes_with_the_next(folder: Path, step: int) -> None:
    """Whatever it had removed when it died: the index first, then layers, at last the manifest."""
    found = plan(folder, keeping(known=KNOWN))
    fields = listed(folder)
    left = [entry for entry in fields["manifests"] if entry["digest"] != FIRST.target.digest]
    (folder / "index.json").write_text(json.dumps({**fields, "manifests": left}))
    own = sorted(needed(FIRST) - needed(SECOND) - {FIRST.target.digest})
    for digest in [*own, FIRST.target.digest][: step - 1]:
        (folder / "blobs/sha256" / Digest(digest).hex).unlink()

    done = shelf(folder).remove(rest(found, folder, keeping(known=KNOWN)))

    assert sum(done) == 1
    assert blobs(folder) == needed(SECOND)


@pytest.mark.rig
def test_other_tools_still_read_it(folder: Path, podman: Podman, tmp_path: Path) -> None:
    shelf(folder).remove(rest(plan(folder, keeping(known=KNOWN)), folder, keeping(known=KNOWN)))

    podman.skopeo("copy", f"oci:{folder}:main", f"oci:{tmp_path}/copy:main")

    assert media.OCI_MANIFEST in (tmp_path / "copy/index.json").read_text()
