"""Build arguments stay in an image: what looks like a credential is refused, and never repeated."""

from __future__ import annotations

import pytest

from buildkit.bases.dockerfiles.arguments import check_argument, chosen, parse_given, refuse_unknown
from buildkit.errors import InvalidInput

HIDDEN = "hunter2hidden"


@pytest.mark.parametrize(
    "text",
    [
        f"PASSWORD={HIDDEN}", f"DB_PASSWD={HIDDEN}", f"GITHUB_TOKEN={HIDDEN}", f"token={HIDDEN}", f"API_KEY={HIDDEN}",
        f"AWS_SECRET_ACCESS_KEY={HIDDEN}", f"SSH_PRIVATE_KEY={HIDDEN}", f"NETRC={HIDDEN}", f"PIP_AUTH={HIDDEN}",
        f"INDEX=https://me:{HIDDEN}@index.example/simple", f"INDEX=https://{HIDDEN}@index.example/simple",
        f"INDEX=--extra-index-url https://{HIDDEN}@index.example/simple",
        f"URL=https://files.example/x?X-Amz-Signature={HIDDEN}", f"URL=https://files.example/x?a=1&sig={HIDDEN}",
        f"WHAT=ghp_{HIDDEN}{HIDDEN}", f"WHAT=glpat-{HIDDEN}{HIDDEN}", f"WHAT=hf_{HIDDEN}{HIDDEN}",
        "WHAT=AKIAIOSFODNN7EXAMPLE", f"WHAT=-----BEGIN OPENSSH PRIVATE KEY-----{HIDDEN}",
        HIDDEN,
    ],
)  # fmt: skip
def test_credentials_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_given([text])
    assert HIDDEN not in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "TORCH=2.8.0", "INDEX=https://index.example/simple", "INDEX=http://127.0.0.1:8080/simple/?x=1", "EMPTY=",
        "TOKENIZERS_PARALLELISM=false", "PATH_TO=/opt/keys", "MONKEY=1", "AUTHOR=me@example.org", "TOKEN=",
        "EFA_SHA256=" + "0" * 64,
    ],
)  # fmt: skip
def test_plain_values_pass(text: str) -> None:
    name, _, value = text.partition("=")
    assert parse_given([text]) == {name: value}


@pytest.mark.parametrize(
    "text", ["A B=1", "=1", "1A=1", "PARENT=x", "A=two\nlines", "A=\x1b[2J", f"A={'x' * 2001}"]
)
def test_what_is_no_plain_argument_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_given([text])


def test_an_argument_is_given_once_and_to_somebody() -> None:
    with pytest.raises(InvalidInput, match="twice"):
        parse_given(["A=1", "A=2"])
    with pytest.raises(InvalidInput, match="takes the build argument TROCH") as caught:
        refuse_unknown({"TROCH": "1"}, [{"TORCH": "2"}, {"INDEX": ""}])
    assert "INDEX, TORCH" in caught.value.remedy
    assert chosen({"TORCH": "2", "INDEX": ""}, {"TORCH": "3", "OTHER": "x"}) == {"TORCH": "3", "INDEX": ""}
    assert check_argument("A", "x") == "x"
