"""A trusted index stands in for the lock's URLs; and packages without file names are chosen from the lock's indexes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from buildkit.cache import Cache
from buildkit.errors import CorruptContent, InvalidInput, NotFound, Refused, Unavailable
from buildkit.testing.index import InProcessIndex, faults
from buildkit.wheels.fetch.fetcher import Fetcher
from buildkit.wheels.fetch.indexes import Indexes
from buildkit.wheels.fetch.model import Network, Place
from buildkit.wheels.fetch.trust import Trust, parse_url
from buildkit.wheels.fetch.web import Web
from buildkit.wheels.locks.model import Lock, LockedWheel
from buildkit.wheels.locks.select import Selection, Wanted
from tests.buildkit.wheels_fetch.support import DEMO, Notes, content, digest, fetcher, locked
from tests.buildkit.wheels_fetch.test_fetcher import Commit, put
from tests.buildkit.wheels_locks.support import BASE

DATA = content("demo")
COMPILED = "demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
ELSEWHERE = "https://files.pythonhosted.org/packages/demo.whl"


def fetched(folder: Path, index: InProcessIndex, wheel: LockedWheel, notes: Notes | None = None) -> bytes:
    with fetcher(folder, index=index.url, notes=notes) as fetch:
        [found] = fetch.fetch([wheel])
    assert found.place == Place.INDEX
    return Path(found.path).read_bytes()


@pytest.mark.parametrize("html_only", [False, True])
@pytest.mark.parametrize("hashes", [False, True])
def test_a_wheel_is_found_by_name_and_hash_and_its_own_url_is_not_asked(
    tmp_path: Path, html_only: bool, hashes: bool
) -> None:
    files = {DEMO: DATA, COMPILED: content("demo", "9"), "demo-2.0-py3-none-any.whl": content("demo", "2.0")}
    with InProcessIndex(files, html_only=html_only, hashes=hashes) as index:
        assert fetched(tmp_path, index, locked(DEMO, DATA, ELSEWHERE)) == DATA
    assert index.paths() == ["/simple/demo/", f"/files/{DEMO}"]


def test_a_page_is_asked_for_once(tmp_path: Path) -> None:
    files = {DEMO: DATA, "demo-2.0-py3-none-any.whl": content("demo", "2.0")}
    with InProcessIndex(files) as index, fetcher(tmp_path, index=index.url, jobs=1) as fetch:
        fetch.fetch([locked(name, data, ELSEWHERE) for name, data in files.items()])
    assert index.paths().count("/simple/demo/") == 1


def test_of_many_pages_only_so_many_files_are_kept(tmp_path: Path) -> None:
    files = {f"p{at}-{version}-py3-none-any.whl": DATA for at in range(3) for version in range(4)}
    with InProcessIndex(files) as index:
        trust = Trust.of((), index.url, frozenset())
        web = Web(trust, Network(), environ={})
        indexes = Indexes(web, str, most=8)
        base = parse_url(index.url, "it")
        for name in ("p0", "p1", "p0", "p2", "p0", "p1", "p1"):
            assert len(indexes.project(base, name, "it")) == 4
        web.close()
    asked = [path.rpartition("/simple/")[2] for path in index.paths()]
    assert asked == ["p0/", "p1/", "p2/", "p1/"], "what was used last stays"


def test_the_same_bytes_under_another_name_will_do(tmp_path: Path) -> None:
    with InProcessIndex({"Demo-1.0-1-py3-none-any.whl": DATA}) as index:
        assert fetched(tmp_path, index, locked(DEMO, DATA, ELSEWHERE)) == DATA


def test_another_file_of_that_name_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: content("demo", "evil")}) as index:
        with pytest.raises(CorruptContent, match=digest(DATA)) as caught:
            fetched(tmp_path, index, locked(DEMO, DATA, ELSEWHERE))
    assert digest(content("demo", "evil")) in caught.value.what
    assert index.paths() == ["/simple/demo/"]


def test_an_index_may_lie_about_its_hashes(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: DATA}, faults=[faults.Instead(content("demo", "evil"))]) as index:
        with pytest.raises(CorruptContent, match=r"is locked|bytes, where"):
            fetched(tmp_path, index, locked(DEMO, DATA, ELSEWHERE))


def test_an_index_without_the_wheel_or_the_project(tmp_path: Path) -> None:
    for files in ({"demo-2.0-py3-none-any.whl": content("demo", "2.0")}, {}):
        with InProcessIndex(files) as index, pytest.raises(NotFound, match=f"demo 1.0 .*{index.host}"):
            fetched(tmp_path, index, locked(DEMO, DATA, ELSEWHERE))


@pytest.mark.parametrize("html_only", [False, True])
def test_a_yanked_wheel_is_used_since_it_is_pinned_and_said(tmp_path: Path, html_only: bool) -> None:
    for reason in ("", 'it "broke" <things>'):
        with InProcessIndex({DEMO: DATA}, html_only=html_only) as index:
            index.yanked[DEMO] = reason
            wheel = locked(DEMO, DATA, ELSEWHERE)
            assert fetched(tmp_path / str(len(reason)), index, wheel, notes := Notes()) == DATA
        assert len(notes) == 1
        assert "demo 1.0" in notes[0]
        assert reason in notes[0]


def test_a_reason_has_no_lines_of_its_own(tmp_path: Path) -> None:
    """A line that begins with `::` is a command to some CI services, wherever it stands in a log."""
    with InProcessIndex({DEMO: DATA}) as index:
        index.yanked[DEMO] = "x\n::warning::y"
        fetched(tmp_path, index, locked(DEMO, DATA, ELSEWHERE), notes := Notes())
    assert "\n" not in notes[0]


@pytest.mark.parametrize("body", [b"<html>Please log in", b"{", b"[]", b"\xff" * 100])
def test_what_is_no_page_says_which_index(tmp_path: Path, body: bytes) -> None:
    for kind in ("application/json", "text/html"):
        with InProcessIndex({DEMO: DATA}, faults=[faults.Instead(body, "GET page", kind=kind)]) as index:
            with pytest.raises((CorruptContent, NotFound), match=f"demo 1.0 .*{index.host}"):
                fetched(tmp_path, index, locked(DEMO, DATA, ELSEWHERE))


def test_a_page_that_breaks_off_is_asked_for_again(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: DATA}, faults=[faults.Cut(20, "GET page", times=2)]) as index:
        assert fetched(tmp_path, index, locked(DEMO, DATA, ELSEWHERE)) == DATA
    with InProcessIndex({DEMO: DATA}, faults=[faults.Cut(20, "GET page", times=faults.ALWAYS)]) as index:
        with pytest.raises(Unavailable, match="broke off"):
            fetched(tmp_path / "2", index, locked(DEMO, DATA, ELSEWHERE))


def test_files_of_a_page_are_at_allowed_hosts_only(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: DATA}, elsewhere="https://storage.example") as index:
        with pytest.raises(Refused, match=r"demo 1\.0 .*storage"):
            fetched(tmp_path, index, locked(DEMO, DATA, ELSEWHERE))


def wanted(*datas: bytes, version: str = "1.0") -> Wanted:
    return Wanted("demo", version, tuple(sorted(map(digest, datas))), "requirements.txt, line 1")


def resolved(fetch: Fetcher, folder: Path, *asked: Wanted, **lock: object) -> Sequence[LockedWheel]:
    """Whatever the lock does not say is PyPI's index alone."""
    made = Lock("requirements.txt")._replace(**lock)  # type: ignore[arg-type]
    return fetch.resolve(Selection(made, (), asked), BASE, Cache(folder))


def test_a_package_without_file_names_is_chosen_by_hash_and_target(tmp_path: Path) -> None:
    files = {
        DEMO: DATA,
        COMPILED: content("demo", "c"),
        "demo-1.0-cp312-cp312-win32.whl": content("demo", "w"),
    }
    with InProcessIndex(files) as index, fetcher(tmp_path, hosts=[index.host]) as fetch:
        [wheel] = resolved(fetch, tmp_path, wanted(*files.values()), index_url=index.url)
        assert (wheel.filename, wheel.hashes) == (COMPILED, (digest(files[COMPILED]),))
        [other] = resolved(
            fetch, tmp_path, wanted(DATA, files["demo-1.0-cp312-cp312-win32.whl"]), index_url=index.url
        )
        assert other.filename == DEMO
        assert Path(fetch.fetch([wheel])[0].path).read_bytes() == files[COMPILED]


def test_what_was_chosen_is_remembered(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: DATA, COMPILED: content("demo", "c")}) as index:
        asked = wanted(*index.files.values())
        for _ in range(2):
            with fetcher(tmp_path, hosts=[index.host]) as fetch:
                assert resolved(fetch, tmp_path, asked, index_url=index.url)[0].filename == COMPILED
        assert len(index.log) == 1


@pytest.mark.parametrize(
    "entry", [b"", b"{}", b"[]", b"null", b'{"hashes": 3}', b'{"hashes": [], "colour": 1}']
)
def test_a_choice_that_another_release_remembered_is_made_again(tmp_path: Path, entry: bytes) -> None:
    with InProcessIndex({DEMO: DATA, COMPILED: content("demo", "c")}) as index:
        asked = wanted(*index.files.values())
        for _ in range(2):
            with fetcher(tmp_path, hosts=[index.host]) as fetch:
                assert resolved(fetch, tmp_path, asked, index_url=index.url)[0].filename == COMPILED
            for remembered in tmp_path.rglob("wheelchoices/**/*"):
                if remembered.is_file():
                    remembered.write_bytes(hashlib.sha256(entry).hexdigest().encode() + b"\n" + entry)
        assert len(index.log) == 2


def test_several_indexes_and_pages_of_links_are_asked(tmp_path: Path) -> None:
    page = f'<a href="../../files/{DEMO}">x</a>'.encode()
    with InProcessIndex() as empty, InProcessIndex({DEMO: DATA}) as full:
        hosts = [empty.host, full.host]
        for lock in ({"extra_indexes": (full.url,)}, {"find_links": (f"{full.url}links/",)}):
            full.faults[:] = (
                [faults.Instead(page, "GET page", kind="text/html")] if "find_links" in lock else []
            )
            full.files["links-1.whl"] = b""
            with fetcher(tmp_path, hosts=hosts) as fetch:
                [wheel] = resolved(
                    fetch, tmp_path / "".join(lock), wanted(DATA, b"x"), index_url=empty.url, **lock
                )
            assert wheel.url == full.file_url(DEMO)


def test_indexes_of_the_lock_must_be_allowed_or_are_replaced(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: DATA}) as index:
        for lock in ({"index_url": index.url}, {"extra_indexes": (index.url,)}, {"find_links": (index.url,)}):
            with fetcher(tmp_path) as fetch, pytest.raises(Refused, match=f"demo 1.0 .*{index.host}"):
                resolved(fetch, tmp_path, wanted(DATA, b"x"), **lock)
        assert index.log == []
        with fetcher(tmp_path, index=index.url) as fetch:
            for url in ("", "https://evil.example/simple"):
                assert resolved(fetch, tmp_path, wanted(DATA, b"x"), index_url=url)[0].filename == DEMO


def test_a_folder_of_the_commit_has_wheels(tmp_path: Path) -> None:
    name = DEMO.removesuffix(".whl")
    commit = Commit(**{name: DATA, "demo-2.0-py3-none-any": content("demo", "2.0"), "other": b""})
    with fetcher(tmp_path, local=commit) as fetch:
        [wheel] = resolved(fetch, tmp_path, wanted(DATA, b"x"), index_url=None, find_links=("wheels",))
        assert wheel.path == f"wheels/{DEMO}"
        assert fetch.fetch([wheel])[0].place == Place.COMMIT
        with pytest.raises(NotFound):
            resolved(fetch, tmp_path, wanted(b"y", b"x"), index_url=None, find_links=("wheels",))


def test_a_wheelhouse_decides_nothing_but_what_is_decided(tmp_path: Path) -> None:
    house = put(tmp_path / "house", DEMO, DATA).parent
    put(house, "notes.txt", b"")
    with InProcessIndex({DEMO: DATA, COMPILED: content("demo", "c")}) as index:
        with fetcher(tmp_path, hosts=[index.host], houses=[house, tmp_path / "none"]) as fetch:
            # The index has a wheel that fits better, on any machine, with or without this wheelhouse.
            assert (
                resolved(fetch, tmp_path, wanted(*index.files.values()), index_url=index.url)[0].filename
                == COMPILED
            )
            asked = len(index.log)
            for lock, hashes in (({"index_url": index.url}, (DATA,)), ({"index_url": None}, (DATA, b"x"))):
                [wheel] = resolved(fetch, tmp_path, wanted(*hashes), **lock)
                assert wheel.filename == DEMO
                assert fetch.fetch([wheel])[0].place == Place.WHEELHOUSE
    assert len(index.log) == asked


def test_what_was_selected_already_comes_with_it_sorted(tmp_path: Path) -> None:
    own = [
        locked(name, b"", ELSEWHERE) for name in ("zeta-1.0-py3-none-any.whl", "alpha-1.0-py3-none-any.whl")
    ]
    with InProcessIndex({DEMO: DATA}) as index, fetcher(tmp_path, index=index.url) as fetch:
        made = Selection(Lock("requirements.txt"), tuple(own), (wanted(DATA, b"x"),))
        assert [each.name for each in fetch.resolve(made, BASE, Cache(tmp_path))] == ["alpha", "demo", "zeta"]


def test_nothing_that_fits_is_an_error_with_the_package(tmp_path: Path) -> None:
    name = "demo-1.0-cp312-cp312-win32.whl"
    with InProcessIndex({name: DATA}) as index, fetcher(tmp_path, index=index.url) as fetch:
        with pytest.raises(InvalidInput, match="no wheel for CPython"):
            resolved(fetch, tmp_path, wanted(DATA, b"x"))
