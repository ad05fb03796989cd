"""Pages of indexes, and the file on them that was locked."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.errors import CorruptContent, InvalidInput, NotFound, TreeshipError
from buildkit.wheels.locks.index import Candidate, choose, parse_page
from buildkit.wheels.locks.select import Wanted
from tests.buildkit.wheels_locks.support import BASE, HASH

PAGE = "https://index.example/simple/demo/"
ANY = "demo-1.0-py3-none-any.whl"
NATIVE = "demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
OTHER = "cd" * 32
WANTED = Wanted("demo", "1.0", (f"sha256:{HASH}", f"sha256:{OTHER}"), "requirements.txt:1: demo")


def page(*files: object) -> bytes:
    return json.dumps({"meta": {"api-version": "1.1"}, "name": "demo", "files": files}).encode()


def file(name: str, digest: str = HASH, **more: object) -> dict[str, object]:
    return {"filename": name, "url": f"../../files/{name}", "hashes": {"sha256": digest, "md5": "0"}, **more}


def test_json_pages_with_relative_urls() -> None:
    data = page(
        file(ANY, size=7, yanked="broken", provenance=None), file("demo-1.0.tar.gz"), 5, {"filename": 1}
    )
    found = parse_page(data, "application/vnd.pypi.simple.v1+json; charset=utf-8", PAGE)
    assert found[0] == Candidate(ANY, f"https://index.example/files/{ANY}", (f"sha256:{HASH}",), 7, "broken")
    assert len(found) == 2


@pytest.mark.parametrize(
    ("said", "yanked"), [(False, None), (None, None), (True, ""), ("why", "why"), ("", ""), (1, None)]
)
def test_json_says_in_three_ways_what_is_yanked(said: object, yanked: str | None) -> None:
    found = parse_page(page(file(ANY, yanked=said)), "application/vnd.pypi.simple.v1+json", PAGE)
    assert found[0].yanked == yanked


def test_html_pages_with_hashes_and_base() -> None:
    html = f"""<!DOCTYPE html><html><head><base href="https://cdn.example/x/"></head><body>
    <a href="{ANY}#sha256={HASH.upper()}" data-yanked="" data-requires-python="&gt;=3.8">{ANY}</a><br>
    <a href="/y/demo-1.0%2Blocal-py3-none-any.whl">z</a><a>none</a><a href="file:///etc/passwd">p</a>"""
    found = parse_page(html.encode(), "text/html", PAGE)
    assert found == (
        Candidate(ANY, f"https://cdn.example/x/{ANY}", (f"sha256:{HASH}",), yanked=""),
        Candidate(
            "demo-1.0+local-py3-none-any.whl", "https://cdn.example/y/demo-1.0%2Blocal-py3-none-any.whl"
        ),
    )


def test_the_locked_hash_decides_and_then_the_tag() -> None:
    offered = [
        Candidate(ANY, "https://x.example/a", (f"sha256:{HASH}",)),
        Candidate(NATIVE, "https://x.example/n", (f"sha256:{OTHER}",)),
        Candidate(
            "demo-1.0-cp311-cp311-manylinux_2_36_x86_64.whl",
            "https://x.example/evil",
            (f"sha256:{'0' * 64}",),
        ),
        Candidate("demo-1.0-cp311-cp311-manylinux_2_35_x86_64.whl", "https://x.example/unhashed"),
    ]
    best = choose(WANTED, offered, BASE)
    assert (best.url, best.hashes) == ("https://x.example/n", (f"sha256:{OTHER}",))
    unhashed = choose(WANTED, offered[3:], BASE)
    assert unhashed.hashes == WANTED.hashes, "its bytes are asked for the locked ones"


@pytest.mark.parametrize(
    ("name", "digest", "error", "said"),
    [
        (ANY, "0" * 64, NotFound, "no file with a locked hash"),
        ("demo-1.0.tar.gz", HASH, InvalidInput, "only a source distribution"),
        ("demo-1.0-cp39-cp39-win_amd64.whl", HASH, InvalidInput, "no wheel for CPython 3.11.2"),
    ],
)
def test_what_cannot_be_chosen(name: str, digest: str, error: type[TreeshipError], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        choose(WANTED, [Candidate(name, "https://x.example/a", (f"sha256:{digest}",))], BASE)
    assert caught.value.remedy


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"files": 1}', b"[" * 100000])
def test_what_is_no_page(data: bytes) -> None:
    with pytest.raises(CorruptContent):
        parse_page(data, "application/json", PAGE)


@pytest.mark.parametrize(
    "url", ["file:///etc/x", "https://bob:hunter2@x.example/a.whl", "https://[", "javascript:1", "//[::1"]
)
def test_unusable_urls_are_left_out(url: str) -> None:
    assert parse_page(page(file(ANY, url=url)), "application/json", PAGE) == ()
    assert parse_page(f'<a href="{url}">x</a>'.encode(), "text/html", PAGE) == ()


@given(st.binary(max_size=60) | st.text('<a href="=#&/:[]>', max_size=60).map(str.encode))
def test_any_html_is_a_page(data: bytes) -> None:
    try:
        assert all(each.url.startswith("http") for each in parse_page(data, "text/html", PAGE))
    except CorruptContent:
        pass
