"""`WWW-Authenticate` in the wild."""

from __future__ import annotations

import pytest

from buildkit.registry.challenge import Challenge, choose, parse


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ('Basic realm="a, \\"b\\""', [Challenge("basic", {"realm": 'a, "b"'})]),
        ("Bearer realm=https://a/t,service=s", [Challenge("bearer", {"realm": "https://a/t", "service": "s"})]),
        ('bearer Realm = "r" , scope="a b,c"', [Challenge("bearer", {"realm": "r", "scope": "a b,c"})]),
        ('Negotiate, Basic realm="x"', [Challenge("negotiate", {}), Challenge("basic", {"realm": "x"})]),
        ('Basic realm="x", Bearer realm="y",service="z"',
         [Challenge("basic", {"realm": "x"}), Challenge("bearer", {"realm": "y", "service": "z"})]),
        ("", []),
        ("=,=", []),
        ('Bearer realm="open', [Challenge("bearer", {})]),
    ],
)  # fmt: skip
def test_challenges_are_read(header: str, challenges: list[Challenge]) -> None:
    assert parse(header) == challenges


def test_bearer_is_chosen_before_basic() -> None:
    chosen = choose('Basic realm="x", Bearer realm="y"')

    assert chosen is not None
    assert chosen.scheme == "bearer"
