"""The torch lock, in whole and in part; nothing is fetched."""

from __future__ import annotations

import pytest

from tests.rigs import torch_lock


def test_the_lock_is_read_as_a_whole() -> None:
    versions = torch_lock.versions(torch_lock.lock_text())
    assert len(versions) == 63
    assert {
        "torch",
        "transformers",
        "nvidia-cudnn-cu12",
        "metaflow",
        "boto3",
        "requests",
        "pip",
    } <= versions.keys()


def test_a_part_of_it_is_a_lock_too_and_pip_gets_the_same_hashes() -> None:
    text = torch_lock.lock_text({"six", "numpy"})
    assert torch_lock.versions(text).keys() == {"six", "numpy"}
    lines = torch_lock.requirements(text).splitlines()
    assert [line.split("==")[0] for line in lines] == ["numpy", "six"]
    assert all(each in text for line in lines for each in line.split(" --hash=sha256:")[1:])


def test_a_name_that_the_lock_does_not_have_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="one of the lock's"):
        torch_lock.lock_text({"six", "sx"})
