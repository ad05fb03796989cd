"""What hosts and the way to them do wrong, one thing a test: only what has a locked hash is put into the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit.endpoints import Silent
from buildkit.errors import AccessDenied, CorruptContent, InvalidInput, NotFound, Refused, Unavailable
from buildkit.testing.index import InProcessIndex, faults
from buildkit.testing.registry.faults.base import Fault
from buildkit.wheels.fetch.fetcher import Fetcher
from buildkit.wheels.fetch.model import FetchedWheel
from tests.buildkit.registry.support import FastClock
from tests.buildkit.wheels_fetch.support import DEMO, content, fetcher, leftovers, locked, of_index, store_of

DATA = content("demo", size=900_000)


def fetched(
    folder: Path,
    index: InProcessIndex,
    *,
    by_index: bool = False,
    clock: FastClock | None = None,
    **fields: object,
) -> FetchedWheel:
    """The one wheel of this index."""
    named = {"index": index.url} if by_index else {"hosts": [index.host]}
    with fetcher(folder, clock=clock, **named) as fetch:
        [found] = fetch.fetch(of_index(index, **fields))
    assert Path(found.path).read_bytes() == DATA
    return found


def test_what_breaks_off_is_resumed(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: DATA}, faults=[faults.Cut(300_000, times=2)]) as index:
        fetched(tmp_path, index)
    ranges = [entry.headers.get("range") for entry in index.log]
    assert ranges == [None, "bytes=300000-", "bytes=600000-"]
    assert all("if-range" in entry.headers for entry in index.log[1:])


@pytest.mark.parametrize(
    "how",
    [
        faults.NoRange(),
        faults.OtherHeaders(ETag=None),
        faults.OtherHeaders(ETag='W/"weak"'),
        faults.WrongPart(times=1),
    ],
)
def test_without_ranges_it_begins_again(tmp_path: Path, how: Fault) -> None:
    with InProcessIndex({DEMO: DATA}, faults=[how, faults.Cut(300_000)]) as index:
        fetched(tmp_path, index)


def test_a_file_that_changes_while_it_is_fetched_begins_again(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: content("demo", "2.0", size=900_000)}, faults=[faults.Cut(300_000)]) as index:
        index.on_request(lambda number, _: index.files.update({DEMO: DATA}) if number == 2 else None)
        wheel = locked(DEMO, DATA, index.file_url(DEMO))
        with fetcher(tmp_path, hosts=[index.host]) as fetch:
            assert Path(fetch.fetch([wheel])[0].path).read_bytes() == DATA


def test_a_body_that_always_breaks_off_is_given_up(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: DATA}, faults=[faults.Cut(0, times=faults.ALWAYS)]) as index:
        with pytest.raises(Unavailable, match=f"demo 1.0 .*{index.host} sent broke off") as caught:
            fetched(tmp_path, index)
    assert caught.value.exit_code == 4
    assert len(index.log) == 6
    assert not leftovers(tmp_path)


def test_as_long_as_it_goes_on_it_is_not_given_up(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: DATA}, faults=[faults.Cut(90_000, times=faults.ALWAYS)]) as index:
        fetched(tmp_path, index)
    assert len(index.log) == 1 + len(DATA) // 90_000


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(tmp_path: Path, status: int) -> None:
    clock = FastClock()
    with InProcessIndex({DEMO: DATA}, faults=[faults.Status(status, times=2, retry_after="7")]) as index:
        fetched(tmp_path, index, clock=clock)
    assert clock.slept == [7.0, 7.0]


def test_retry_after_is_believed_up_to_a_minute_and_not_for_ever(tmp_path: Path) -> None:
    clock = FastClock()
    with InProcessIndex({DEMO: DATA}, faults=[faults.Status(503, retry_after="86400")]) as index:
        with pytest.raises(Unavailable, match=f"demo 1.0 .*{index.host} answered 503"):
            fetched(tmp_path, index, clock=clock)
    assert clock.slept == [60.0, 60.0]


@pytest.mark.parametrize(
    ("status", "kind", "remedy"),
    [
        (401, AccessDenied, "netrc"),
        (403, AccessDenied, "netrc"),
        (404, NotFound, "wheels.index"),
        (410, NotFound, "wheels.index"),
        (400, InvalidInput, "check the address"),
        (501, Unavailable, "try again"),
        (204, InvalidInput, "check the address"),
    ],
)
def test_other_answers(tmp_path: Path, status: int, kind: type[Exception], remedy: str) -> None:
    with InProcessIndex({DEMO: DATA}, faults=[faults.Status(status)]) as index:
        with pytest.raises(kind, match=f"(?s)demo 1.0.*answered {status}.*{remedy}"):
            fetched(tmp_path, index)


def test_a_host_that_is_not_there(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: DATA}) as index:
        pass
    for by_index in (False, True):
        with pytest.raises(Unavailable, match=rf"demo 1.0 .*{index.host} refuses connections"):
            fetched(tmp_path, index, by_index=by_index)


def test_a_host_that_is_silent(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: DATA}, faults=[faults.Slow(30)]) as index:
        with fetcher(tmp_path, hosts=[index.host], read_seconds=0.2, retries=1) as fetch:
            with pytest.raises(Unavailable, match="did not answer in time"):
                fetch.fetch(of_index(index))


def test_a_host_that_drops_connections_is_asked_again(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: DATA}, faults=[faults.DropBefore(times=1)]) as index:
        fetched(tmp_path, index)


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_another_file_is_refused_with_both_hashes_and_not_kept(tmp_path: Path, size: int | None) -> None:
    other = DATA[:-1] + bytes([DATA[-1] ^ 1])
    with InProcessIndex({DEMO: DATA}, faults=[faults.Instead(other)]) as index:
        with pytest.raises(CorruptContent) as caught:
            fetched(tmp_path, index, size=size)
        assert [locked(DEMO, each).hashes[0] in caught.value.what for each in (DATA, other)] == [True, True]
        assert DEMO in caught.value.what
        assert not store_of(tmp_path).find(locked(DEMO, other))
        assert not leftovers(tmp_path)


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("more", [1, 5_000_000])
def test_a_body_that_is_longer_than_locked_is_cut(tmp_path: Path, length: bool, more: int) -> None:
    with InProcessIndex({DEMO: DATA}, faults=[faults.Instead(DATA + bytes(more), length=length)]) as index:
        with pytest.raises(CorruptContent, match=f"more than {len(DATA)} bytes|{len(DATA)} are locked"):
            fetched(tmp_path, index, size=len(DATA))
    assert not leftovers(tmp_path)


def test_a_shorter_body_without_a_length_is_asked_for_again(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: DATA}, faults=[faults.Instead(DATA[:-1], length=False, times=1)]) as index:
        fetched(tmp_path, index, size=len(DATA))


@pytest.mark.parametrize("length", [True, False])
def test_a_page_instead_of_a_wheel_is_called_that(tmp_path: Path, length: bool) -> None:
    page = faults.Instead(b"<html>Please log in</html>", kind="text/html; charset=utf-8", length=length)
    with InProcessIndex({DEMO: DATA}, faults=[page]) as index:
        with pytest.raises(CorruptContent, match="no wheel but text/html"):
            fetched(tmp_path, index)


def test_nothing_is_decoded(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: DATA}, faults=[faults.OtherHeaders(Content_Encoding="gzip")]) as index:
        fetched(tmp_path, index)
    assert index.log[0].headers["accept-encoding"] == "identity"


def test_redirects_lead_to_allowed_hosts_only(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: DATA}) as storage, InProcessIndex({DEMO: DATA}) as index:
        index.faults.append(faults.Moved(f"http://{storage.host}"))
        with pytest.raises(Refused, match=f"demo 1.0 .*{storage.host}"):
            fetched(tmp_path, index)
        assert not storage.log
        with fetcher(tmp_path, hosts=[index.host, storage.host]) as fetch:
            assert Path(fetch.fetch(of_index(index))[0].path).read_bytes() == DATA
        assert len(storage.log) == 1


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest",
        "http://[fe80::1]/",
        "https://evil.example",
        "http://localhost",
        "//evil.example/",
    ],
)
def test_redirects_to_elsewhere_are_refused(tmp_path: Path, to: str) -> None:
    with InProcessIndex({DEMO: DATA}, faults=[faults.Moved(to)]) as index, pytest.raises(Refused):
        fetched(tmp_path, index)


def test_redirects_without_end(tmp_path: Path) -> None:
    with InProcessIndex({DEMO: DATA}) as index:
        index.faults.append(faults.Moved(""))
        with pytest.raises(InvalidInput, match="without end"):
            fetched(tmp_path, index)
        index.faults[:] = [faults.Moved("http://[broken")]
        with pytest.raises(InvalidInput, match="redirects to an address that is none"):
            fetched(tmp_path, index)


class Seen(Silent):
    """Progress that was made."""

    def __init__(self) -> None:
        self.bars: dict[str, list[int]] = {}
        self.ended: list[str] = []

    def start(self, label: str, total: int) -> None:
        self.bars[label] = [total, 0]

    def advance(self, label: str, count: int) -> None:
        self.bars[label][1] += count

    def finish(self, label: str) -> None:
        self.ended.append(label)


def test_progress_counts_every_byte_once(tmp_path: Path) -> None:
    seen = Seen()
    with InProcessIndex({DEMO: DATA}, faults=[faults.NoRange(), faults.Cut(300_000, times=2)]) as index:
        from buildkit.wheels.fetch.model import Network

        with Fetcher(
            store_of(tmp_path), network=Network((index.host,)), progress=seen, environ={}, clock=FastClock()
        ) as fetch:
            fetch.fetch(of_index(index))
            index.files.clear()
            with pytest.raises(NotFound):
                fetch.fetch([locked(DEMO, b"other", index.file_url(DEMO))])
    assert seen.bars == {DEMO: [len(DATA), len(DATA)]}
    assert seen.ended == [DEMO]
