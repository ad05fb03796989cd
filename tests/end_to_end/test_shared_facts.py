"""The facts of a base beside the images: a runner without a cache does not read a base again, however large."""

from __future__ import annotations

from pathlib import Path

from buildkit.testing.registry import InProcessRegistry
from tests.end_to_end.locked import Watched, Yard, small_lock


def base_layers(registry: InProcessRegistry) -> set[str]:
    """The digests of the base's layers."""
    manifest = registry.store.repository("bases/python").manifest("1")
    assert manifest is not None
    return {layer["digest"] for layer in manifest.fields["layers"]}


def downloaded(watched: Watched) -> set[str]:
    """The digests of blobs whose bytes were asked for."""
    return {entry.path.rpartition("/")[2] for entry in watched.requests if entry.verb == "GET blob"}


def tags(yard: Yard, name: str = "team/app") -> list[str]:
    return [tag for tag in yard.registry.store.repository(name).tags if tag.startswith("base-facts-")]


def trusting(yard: Yard, name: str = "team/app") -> tuple[str, str]:
    return "--reuse-from", yard.at(name)


def test_a_runner_without_a_cache_asks_a_trusted_repository(yard: Yard, tmp_path: Path) -> None:
    yard.commit(small_lock())
    with Watched(yard.registry) as first:
        yard.build(*trusting(yard))
    assert downloaded(first) >= base_layers(yard.registry)
    assert len(tags(yard)) == 1
    yard.commit(small_lock(gamma="2.0"))
    with Watched(yard.registry) as second:
        yard.elsewhere(tmp_path / "another").build(*trusting(yard))
    assert not downloaded(second) & base_layers(yard.registry)
    assert len(tags(yard)) == 1


def test_what_nobody_has_trusted_is_neither_written_nor_read(yard: Yard, tmp_path: Path) -> None:
    yard.commit(small_lock())
    yard.build()
    assert tags(yard) == []
    yard.elsewhere(tmp_path / "trusting").build(*trusting(yard))
    assert len(tags(yard)) == 1
    with Watched(yard.registry) as watched:
        yard.elsewhere(tmp_path / "other").build()
    assert downloaded(watched) >= base_layers(yard.registry)


def test_damaged_facts_are_found_out_again(yard: Yard, tmp_path: Path) -> None:
    yard.commit(small_lock())
    digest = yard.build(*trusting(yard))["digest"]
    repository = yard.registry.store.repository("team/app")
    (tag,) = tags(yard)
    repository.tags[tag] = digest  # an image, not facts
    with Watched(yard.registry) as watched:
        assert yard.elsewhere(tmp_path / "another").build(*trusting(yard))["digest"] == digest
    assert downloaded(watched) >= base_layers(yard.registry)
