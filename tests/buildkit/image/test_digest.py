"""Digests: what is one, and that nothing else is."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.errors import InvalidInput
from buildkit.image.digest import Digest, is_digest

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(st.binary(max_size=2000), st.integers(1, 100))
def test_the_digest_of_bytes_is_that_of_their_chunks(data: bytes, size: int) -> None:
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    digest = Digest.of(data)
    assert digest == Digest.of_chunks(chunks) == Digest(str(digest))
    assert digest.hex == hashlib.sha256(data).hexdigest()


def test_the_digest_of_nothing_is_known() -> None:
    assert Digest.of(b"") == EMPTY


@pytest.mark.parametrize(
    "text",
    ["", "sha256:", EMPTY[7:], EMPTY.upper(), EMPTY + "0", EMPTY[:-1], EMPTY + "\n", " " + EMPTY, "sha512:" + "a" * 128,
     "md5:" + "a" * 32, "sha256:../../../../etc/passwd", "sha256:" + "٣" * 64, "SHA256" + EMPTY[6:]],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    assert not is_digest(text)
    with pytest.raises(InvalidInput, match="not a sha256 digest"):
        Digest(text)
