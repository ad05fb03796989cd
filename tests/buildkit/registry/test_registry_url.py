"""Addresses: where a registry lives, where a Location leads, what is never reached."""

from __future__ import annotations

import pytest

from buildkit.errors import InvalidInput
from buildkit.registry.errors import clean
from buildkit.registry.url import Url, is_forbidden, is_loopback, may_be_plain, origin_of

HERE = Url.parse("https://registry.example/v2/a/blobs/uploads/")


@pytest.mark.parametrize(
    ("host", "insecure", "url"),
    [
        ("registry.example", "", "https://registry.example/"),
        ("Registry.Example:443", "", "https://registry.example/"),
        ("registry.example:5000", "registry.example:5000", "http://registry.example:5000/"),
        ("registry.example:5000", "registry.example", "https://registry.example:5000/"),
        ("localhost:5000", "", "http://localhost:5000/"),
        ("127.8.9.1", "", "http://127.8.9.1/"),
        ("[::1]:5000", "", "http://[::1]:5000/"),
        ("127.0.0.1.evil.example", "", "https://127.0.0.1.evil.example/"),
        ("localhost.evil.example", "", "https://localhost.evil.example/"),
        ("docker.io", "", "https://registry-1.docker.io/"),
    ],
)
def test_where_a_registry_lives(host: str, insecure: str, url: str) -> None:
    assert str(origin_of(host, frozenset({insecure}))) == url


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/x?a=b#c", "https://registry.example/x?a=b"),
        ("x", "https://registry.example/v2/a/blobs/uploads/x"),
        ("../x", "https://registry.example/v2/a/blobs/x"),
        ("?a=b", "https://registry.example/v2/a/blobs/uploads/?a=b"),
        ("//other.example/x", "https://other.example/x"),
        ("HTTPS://Other.Example:443", "https://other.example/"),
        ("https://user:pass@other.example/x", "https://other.example/x"),
        ("http://registry.example/x", "https://registry.example/x"),
        ("http://registry.example:80/x", "https://registry.example/x"),
    ],
)
def test_where_a_location_leads(location: str, url: str) -> None:
    found = HERE.join(location)

    assert f"{found.scheme}://{found.host}{found.target}" == url


def test_from_https_to_plain_http_elsewhere_leads_no_way() -> None:
    with pytest.raises(InvalidInput, match="from https to plain http"):
        HERE.join("http://other.example/x")


@pytest.mark.parametrize(
    "text", ["", "x", "ftp://a/", "https://", "https://a:b/", "https://a b/", "https:///x"]
)
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(InvalidInput):
        Url.parse(text)


def test_queries_are_joined() -> None:
    assert HERE.with_query("digest=x").target.endswith("uploads/?digest=x")
    assert HERE.join("?a=b").with_query("digest=x").target.endswith("?a=b&digest=x")


def test_a_url_in_a_message_has_no_query() -> None:
    assert str(HERE.join("/x?signature=secret")) == "https://registry.example/x?..."


@pytest.mark.parametrize(
    "host",
    ["169.254.0.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "2852039166", "0xa9.0xfe.0xa9.0xfe",
     "0251.0376.0251.0376", "fd00:ec2::254", "fd20:ce::254", "64:ff9b::a9fe:a9fe", "metadata.google.internal"],
)  # fmt: skip
def test_metadata_services_in_any_spelling(host: str) -> None:
    assert is_forbidden(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "127.0.0.1", "::1", "registry.example", "fd00::1", "1.2.3.4.5"])
def test_other_hosts_are_allowed(host: str) -> None:
    assert not is_forbidden(host)


def test_loopback_is_known_by_name() -> None:
    assert [name for name in ("localhost", "127.0.0.1", "::1", "127.1", "0.0.0.0") if is_loopback(name)] == [
        "localhost",
        "127.0.0.1",
        "::1",
    ]
    assert may_be_plain(Url.parse("http://r.example:80/"), frozenset({"r.example:80"}))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\x00b\x1b[0m\r\nc\u202ed", "a b [0m  c d"),
        ("see https://u:p@h/x?sig=1 now", "see https://h/x?... now"),
        ("x" * 300, "x" * 197 + "..."),
    ],
)
def test_what_a_registry_says_is_cleaned(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned
