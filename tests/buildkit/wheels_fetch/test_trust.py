"""The lock names URLs; only hosts that the trusted settings name, or PyPI's, are ever asked."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.errors import InvalidInput, Refused
from buildkit.wheels.fetch.trust import PYPI, Trust, parse_url, split_login
from buildkit.wheels.fetch.web import address
from tests.buildkit.wheels_fetch.support import DEMO, locked

FILE = "https://files.pythonhosted.org/packages/demo.whl"
MIRROR = "https://index.example/simple"


def trust(*hosts: str, index: str = "", insecure: tuple[str, ...] = ()) -> Trust:
    return Trust.of(hosts, index, frozenset(insecure))


def route(trusted: Trust, url: str) -> str:
    """What is asked for: the lock's URL, "index", or "refused"."""
    try:
        found = trusted.route(locked(DEMO, b"", url))
    except Refused:
        return "refused"
    return str(found) if found else "index"


@pytest.mark.parametrize(
    ("trusted", "url", "expected"),
    [
        (trust(), FILE, FILE),
        (trust(), "https://files.example/demo.whl", "refused"),
        (trust("files.example"), "https://files.example/demo.whl", "https://files.example/demo.whl"),
        (trust("FILES.example"), "https://Files.Example:443/d", "https://files.example/d"),
        # Hosts that are named take the place of the default ones.
        (trust("files.example"), FILE, "refused"),
        # A port that is not the scheme's own must be named; one that is may be.
        (trust("files.example"), "https://files.example:8443/demo.whl", "refused"),
        (trust("files.example:8443"), "https://files.example:8443/d", "https://files.example:8443/d"),
        (trust("files.example:443"), "https://files.example/d", "https://files.example/d"),
        (trust("[2001:db8::1]"), "https://[2001:db8::1]/d", "https://[2001:db8::1]/d"),
        (trust("[2001:db8::1]:444"), "https://[2001:db8::1]:444/d", "https://[2001:db8::1]:444/d"),
        # The index stands in for all but the hosts that are named.
        (trust(index=MIRROR), FILE, "index"),
        (trust(index=MIRROR), "https://evil.example/demo.whl", "index"),
        (trust(index=MIRROR), "", "index"),
        (trust("own.example", index=MIRROR), "http://own.example/d", "refused"),
        (trust("own.example", index=MIRROR), "https://own.example/demo.whl", "https://own.example/demo.whl"),
        # Neither names that look alike, nor this machine, nor plain HTTP.
        (trust(), "https://files.pythonhosted.org.evil.example/d", "refused"),
        (trust(), "https://files.pythonhosted.org./d", "refused"),
        (trust(), "https://127.0.0.1/d", "refused"),
        (trust(), "http://localhost:6379/d", "refused"),
        (trust(), "http://169.254.169.254/latest/meta-data", "refused"),
        (trust(), "http://files.pythonhosted.org/d", "refused"),
        (trust("127.0.0.1:81"), "http://127.0.0.1:81/d", "http://127.0.0.1:81/d"),
        (trust(insecure=("files.example",)), "http://files.example/d", "refused"),
    ],
)
def test_where_a_wheel_is_asked_for(trusted: Trust, url: str, expected: str) -> None:
    assert route(trusted, url) == expected


HOSTS = st.sampled_from(
    ["files.pythonhosted.org", "own.example", "own.example:8443", "evil.example", "[::1]", "a@b"]
)
TEXTS = st.text("https:/@.\\#?%0xow1e\t ", max_size=12)
URLS = st.builds("{}{}{}{}".format, st.sampled_from(["https://", "http://", "//", ""]), TEXTS, HOSTS, TEXTS)


@given(URLS)
def test_whatever_the_lock_says_only_allowed_hosts_are_asked(url: str) -> None:
    trusted = trust("own.example", "files.pythonhosted.org")
    try:
        found = trusted.route(locked(DEMO, b"", url))
    except (Refused, InvalidInput):
        return
    assert found is not None
    assert found.scheme == "https"
    assert found.host in ("own.example", "files.pythonhosted.org")
    # What others, who connect by it, would take for the host.
    assert urlsplit(address(found)).netloc == found.host


def test_plain_http_needs_leave_of_its_own() -> None:
    plain = parse_url("http://files.example/d", "x")
    with pytest.raises(Refused, match="plain HTTP"):
        trust("files.example").check(plain, "x")
    trust("files.example", insecure=("files.example",)).check(plain, "x")


def test_files_of_an_index_may_be_at_its_own_host_and_at_those_that_are_named() -> None:
    own = parse_url("https://index.example/files/d", "x")
    other, pypi = parse_url("https://storage.example/d", "x"), parse_url(FILE, "x")
    assert [trust(index=MIRROR).allows(each) for each in (own, other, pypi)] == [True, False, False]
    assert trust("storage.example", index=MIRROR).allows(other)
    assert trust(index=PYPI).allows(pypi), "PyPI keeps its files at another host"


def test_indexes_of_a_lock_are_replaced_unless_they_are_named() -> None:
    asked = (PYPI, "https://own.example/simple", "https://other.example/simple")
    mirrored = trust("own.example", index=MIRROR).pages(asked, "x")
    assert [str(each) for each in mirrored] == [MIRROR, "https://own.example/simple"]
    with pytest.raises(Refused, match="own"):
        trust().pages(asked, "x")
    assert [str(each) for each in trust().pages((PYPI,), "x")] == [PYPI]


def test_credentials_of_the_settings_are_taken_out_of_the_url_and_shown_to_nobody() -> None:
    trusted = trust(index="https://me%40home:hid%2Fden@index.example/simple")
    assert str(trusted.index_url) == MIRROR
    assert trusted.login
    assert (trusted.login.user, trusted.login.password.reveal()) == ("me@home", "hid/den")
    assert "hid" not in repr(trusted)
    assert split_login("https://index.example/a@b") == ("https://index.example/a@b", None)


def test_what_is_no_url_is_not_repeated() -> None:
    for text in ("https://me:hidden@files.example/", "hidden", "https://files.example:70000/hidden"):
        with pytest.raises(InvalidInput) as caught:
            parse_url(text, "demo")
        assert "hidden" not in str(caught.value)
