"""A layer: which folders it states, what it refuses, and its three results."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator, Sequence

import pytest

from buildkit.errors import CorruptContent, InvalidInput
from buildkit.git.tree import SYMLINK, Entry
from buildkit.image.digest import Digest
from buildkit.layers import key as keys
from buildkit.layers.gzip import MEMBER
from buildkit.layers.layer import Content, refuse_unshippable, write_layer
from buildkit.layers.members import MOST_COLLECTED
from buildkit.testing.repositories import File
from tests.buildkit.layers.support import ODD, entries_of, layer, members


def stated(files: dict[bytes, bytes | File], prefix: str) -> list[bytes]:
    """The folders that the layer has an entry for."""
    _, raw = layer(files, prefix)
    return [name for name, member in members(gzip.decompress(raw)) if member.isdir()]


def test_each_folder_of_the_tree_is_stated_once_and_before_all_files() -> None:
    files: dict[bytes, bytes | File] = {
        b"a/b/c": b"1",
        b"a/b/d": b"2",
        b"a/e": b"3",
        b"f": b"4",
        b"a-b/c": b"5",
    }
    _, raw = layer(files)
    names = [name for name, _ in members(gzip.decompress(raw))]
    assert names == [
        b"app",
        b"app/a",
        b"app/a-b",
        b"app/a/b",
        b"app/a-b/c",
        b"app/a/b/c",
        b"app/a/b/d",
        b"app/a/e",
        b"app/f",
    ]


@pytest.mark.parametrize("prefix", ["/app", "/opt/x/y", "/srv/app"])
def test_nothing_above_the_prefix_is_stated(prefix: str) -> None:
    own = prefix[1:].encode()
    assert stated({b"usr/lib/x": b"1"}, prefix) == [own, own + b"/usr", own + b"/usr/lib"]


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("/", b"usr/lib/x"), ("/", b"etc/x"), ("/", b"var/lib/x"), ("/", b"usr/local/bin/x"), ("/", b"home/x"),
        ("/usr", b"lib/x"), ("/usr/local", b"bin/x"), ("/etc", b"x"), ("/opt", b"x"),
    ],
)  # fmt: skip
def test_folders_of_the_system_are_left_as_the_base_has_them(prefix: str, path: bytes) -> None:
    assert stated({path: b"1"}, prefix) == []


@pytest.mark.parametrize(
    ("prefix", "path", "folder", "mode"),
    [
        ("/", b"tmp/x", b"tmp", 0o1777), ("/tmp/app", b"x", b"tmp", 0o1777), ("/var", b"tmp/x", b"var/tmp", 0o1777),
        ("/", b"run/lock/x", b"run/lock", 0o1777),
        ("/root/app", b"x", b"root", 0o700), ("/", b"root/x", b"root", 0o700),
    ],
)  # fmt: skip
def test_folders_whose_mode_is_another_one_everywhere_keep_it(
    prefix: str, path: bytes, folder: bytes, mode: int
) -> None:
    """Engines on overlayfs would make them anew, as 0755."""
    _, raw = layer({path: b"1"}, prefix)
    found = dict(members(gzip.decompress(raw)))
    assert found[folder].mode == mode


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("/", b"lib/x"), ("/", b"bin"), ("/", b"sbin/a/b"), ("/", b"var/run/x"),
        ("/", b"var/mail/x"), ("/lib/app", b"x"),
        ("/var/lock", b"x"), ("/var", b"run/x"), ("/var", b"mail/x"),
    ],
)  # fmt: skip
def test_what_would_hide_a_link_or_a_folder_of_the_base_is_refused(prefix: str, path: bytes) -> None:
    with pytest.raises(InvalidInput, match="would hide the base's own"):
        refuse_unshippable(entries_of({path: b"1"}), prefix, case_collisions=False)
    refuse_unshippable(entries_of({path: b"1"}), "/app", case_collisions=False)


def test_folders_of_the_commit_between_those_of_the_system_are_stated() -> None:
    assert stated({b"home/me/x": b"1", b"opt/tool/bin/x": b"2", b"usr/share/own/x": b"3"}, "/") == [
        b"home/me", b"opt/tool", b"opt/tool/bin", b"usr/share/own",
    ]  # fmt: skip


def test_the_results_are_those_of_the_bytes() -> None:
    files: dict[bytes, bytes | File] = {**ODD, b"big": bytes(range(256)) * 20_000}
    written, raw = layer(files)
    assert written.digest == Digest.of(raw)
    assert written.diff_id == Digest.of(gzip.decompress(raw))
    assert written.size == len(raw)


@pytest.mark.parametrize("piece", [1, 1000, MEMBER - 1, MEMBER, MEMBER + 1, 5 * MEMBER])
def test_the_bytes_do_not_depend_on_the_pieces_that_content_comes_in(piece: int) -> None:
    size = 2000 if piece == 1 else 3 * MEMBER + 5
    files: dict[bytes, bytes | File] = {b"a": b"1", b"big": hashlib.shake_256(b"x").digest(size), b"z": b"2"}
    assert layer(files, piece=piece) == layer(files)


def test_members_are_kept_for_the_next_build_unless_the_layer_is_too_large_for_memory() -> None:
    noise = hashlib.shake_256(b"x").digest(1 << 20)
    for size, kept in ((2, True), (MOST_COLLECTED // len(noise) + 1, False)):
        keep: dict[bytes, tuple[bytes, ...]] = {}
        entries = entries_of({b"big": b""})

        def contents(_: Sequence[Entry], size: int = size) -> Iterator[Content]:
            yield Content(size * len(noise), [noise] * size)

        written = write_layer(entries, "/app", contents, lambda _: None, keep=keep)()
        assert bool(keep) == kept
        assert sum(len(member) for members_of in keep.values() for member in members_of) < written.size


def test_content_of_exactly_one_member_and_an_empty_layer() -> None:
    for files in ({}, {b"a": bytes(MEMBER - 512 - 512 - 1024)}, {b"a": bytes(MEMBER)}):
        written, raw = layer(dict(files))
        assert written.diff_id == Digest.of(gzip.decompress(raw))


def test_a_failure_in_the_middle_is_raised_and_leaves_no_thread_behind() -> None:
    def broken(entries: Sequence[Entry]) -> Iterator[Content]:
        def chunks() -> Iterator[bytes]:
            yield bytes(3 * MEMBER)
            raise CorruptContent("damaged")

        for _ in entries:
            yield Content(9 * MEMBER, chunks())

    before = threading.active_count()
    with pytest.raises(CorruptContent, match="damaged"):
        write_layer(entries_of({b"a": b""}), "/app", broken, lambda _: None)()
    assert threading.active_count() == before


def test_a_failure_of_the_writer_is_raised() -> None:
    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    def contents(entries: Sequence[Entry]) -> Iterator[Content]:
        for _ in entries:
            yield Content(20 * MEMBER, [bytes(MEMBER)] * 20)

    before = threading.active_count()
    with pytest.raises(OSError, match="No space"):
        write_layer(entries_of({b"a": b""}), "/app", contents, full)()
    assert threading.active_count() == before


@pytest.mark.parametrize("target", [b"", b"t" * 4096, b"a\0b"])
def test_a_link_that_no_system_can_follow_is_refused(target: bytes) -> None:
    with pytest.raises(InvalidInput, match="symbolic link"):
        layer({b"link": File(target, SYMLINK)})


def test_a_link_of_the_longest_target_is_kept() -> None:
    _, raw = layer({b"link": File(b"t" * 4095, SYMLINK)})
    ((_, _), (_, member)) = members(gzip.decompress(raw))
    assert member.linkname == "t" * 4095


# What no layer can hold


@pytest.mark.parametrize("path", [b".wh.x", b"a/.wh.x", b".wh..wh..opq", b"a/.wh.d/x", b".wh."])
def test_whiteout_names_are_refused(path: bytes) -> None:
    with pytest.raises(InvalidInput, match="deletes a file") as caught:
        refuse_unshippable(entries_of({b"ok": b"", path: b""}), "/app", case_collisions=False)
    assert "exclude" in caught.value.remedy


@pytest.mark.parametrize("path", [b"x.wh.y", b"a.wh./b", b".wh", b".WH.x"])
def test_names_that_only_resemble_whiteouts_are_fine(path: bytes) -> None:
    refuse_unshippable(entries_of({path: b""}), "/app", case_collisions=True)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (b"a", b"A"),
        (b"d/x", b"D/y"),
        (b"d/x", b"d/X"),
        ("\u00e9".encode(), "\u00c9".encode()),
        (b"a/b/c", b"a/B"),
        ("stra\u00dfe".encode(), b"STRASSE"),
    ],
)
def test_names_that_differ_in_case_alone_are_refused_on_request(one: bytes, two: bytes) -> None:
    files: dict[bytes, bytes | File] = {one: b"", two: b""}
    refuse_unshippable(entries_of(files), "/app", case_collisions=False)
    with pytest.raises(InvalidInput, match="letter case alone"):
        refuse_unshippable(entries_of(files), "/app", case_collisions=True)


def test_bytes_that_are_no_text_collide_with_nothing() -> None:
    refuse_unshippable(
        entries_of({b"\xff/a": b"", b"\xfe/a": b"", b"d/a": b"", b"d/b": b""}), "/app", case_collisions=True
    )


# Keys


def test_a_statement_can_be_read_back() -> None:
    entries = entries_of(ODD)
    assert keys.parse_statement(keys.statement(entries)) == entries
    for text in (b"x\0", b"\0", b"100644 \tpath\0", b"100644 1\t\0", b"100644 \xff\tp\0"):
        with pytest.raises(ValueError):
            keys.parse_statement(text)


def test_a_key_changes_with_everything_that_decides_the_bytes() -> None:
    base = entries_of({b"a": b"1", b"b": b"2"})
    listings = [
        base,
        entries_of({b"a": b"1", b"c": b"2"}),
        entries_of({b"a": b"1", b"b": b"3"}),
        entries_of({b"a": b"1", b"b": File(b"2", SYMLINK)}),
        entries_of({b"a": b"1"}),
        [],
    ]
    found = {keys.layer_key("/app", keys.statement(listing)) for listing in listings}
    found.add(keys.layer_key("/srv", keys.statement(base)))
    assert len(found) == 7
    assert keys.layer_key("/app", keys.statement(base)) in found


def test_the_key_and_the_digest_of_a_small_layer_are_golden() -> None:
    """When this fails on purpose, raise `key.FORMAT`: registries and caches are full of the old bytes."""
    written, _ = layer(ODD)
    assert keys.FORMAT == 2
    assert keys.layer_key("/app", keys.statement(entries_of(ODD))) == GOLDEN_KEY
    assert written.digest == GOLDEN_DIGEST
    assert written.diff_id == GOLDEN_DIFF_ID


GOLDEN_KEY = "sha256:d400d66ee1a93b10ce95850c13a98968681bbc9aded335c6381147c2f3e43e28"
GOLDEN_DIGEST = "sha256:e5e84d9bc0939b9bb0d104e6b5a5c2703c9cfd085b93665c2f98f427736c9c28"
GOLDEN_DIFF_ID = "sha256:0abc88f63f0c517da63aec78e4147702976d97aa5d2ce6f21d431a1d8e5603a9"
