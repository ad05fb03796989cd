"""Slim rules and eStargz end to end: which layers they change, what is reported, and what refuses a build.

That real wheels so treated run everywhere is in `test_manners_real.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.helpers import Json
from tests.end_to_end.house import writes
from tests.end_to_end.locked import CODE, SIZE, Watched, Wheel, Yard, digests, of_wheels, wheel

TESTS = {f"alpha/tests/test_{number}.py": b"a = 1\n" * 100 for number in range(3)}
SETTINGS = bytes(CODE["treeship.toml"])  # type: ignore[arg-type]
SLIM = {"treeship.toml": SETTINGS + b'slim = ["stubs", "tests"]\n'}
LAZY = {"treeship.toml": SETTINGS + b'slim = ["stubs", "tests"]\nestargz = true\n'}
TOC = "containerd.io/snapshot/stargz/toc.digest"


def lock() -> list[Wheel]:
    """A large wheel with tests and a stub, a large one without, and two small ones."""
    alpha = {"alpha/__init__.py": b"", **TESTS, "alpha/core.pyi": b"x: int\n"}
    return [wheel("alpha", files=alpha, size=SIZE), wheel("beta", size=SIZE), wheel("gamma"), wheel("delta")]


def descriptors(yard: Yard, result: Json) -> dict[str, Json]:
    """The descriptors of an image's layers by digest."""
    manifest = yard.registry.store.repository("team/app").manifests[result["digest"]]
    return {layer["digest"]: layer for layer in manifest.fields["layers"]}


def test_a_rule_changes_the_layers_of_wheels_in_which_it_finds_something(yard: Yard) -> None:
    """The others have another key, and the same bytes: nothing is sent again for them."""
    yard.commit(lock())
    plain = yard.build()
    yard.commit(lock(), SLIM)
    with Watched(yard.registry) as registry, Watched(yard.index) as index:
        slim = yard.build()
    new = {
        layer["digest"]: layer for layer in slim["layers"] if layer["digest"] not in digests(plain["layers"])
    }
    assert [layer["name"] for layer in new.values()] == ["wheel-alpha"]
    assert len(registry.uploaded) == 2, "the layer and the config"
    assert index.files == []
    assert {layer["key"] for layer in of_wheels(plain).values()}.isdisjoint(
        layer["key"] for layer in of_wheels(slim).values()
    )
    yard.check("team/app:main")


@pytest.mark.parametrize("files", [SLIM, LAZY], ids=["slim", "estargz"])
def test_what_was_left_out_is_reported_where_it_is_known(
    yard: Yard, tmp_path: Path, files: dict[str, bytes]
) -> None:
    yard.commit(lock(), files)
    before = yard.explain()
    assert {layer["slim"] is None for layer in of_wheels(before).values()} == {True}, "nobody has looked yet"
    assert "left out of" not in said(yard)
    built = yard.build()
    found = {layer["name"]: layer["slim"] for layer in built["layers"]}
    tests, stubs = found.pop("wheel-alpha").values()
    assert (tests["files"], tests["bytes"], len(tests["sha256"])) == (3, sum(map(len, TESTS.values())), 64)
    assert (stubs["files"], stubs["bytes"]) == (1, 7)
    assert all(left == {} for left in found.values())
    elsewhere = yard.elsewhere(tmp_path / "elsewhere")
    trusting = ("--reuse-from", yard.at("team/app:main"))
    for where, words in ((yard, ()), (elsewhere, trusting)):
        again = where.explain(*words)
        assert [layer["slim"] for layer in again["layers"]] == [layer["slim"] for layer in built["layers"]]
        assert "left out of wheel-alpha: tests (3 files, 1.8 kB), stubs (1 file, 7 B)\n" in said(
            where, *words
        )


def said(yard: Yard, *more: str) -> str:
    """What `explain` says to a person."""
    return yard.treeship(*(word for word in yard.words("explain", *more) if word != "--json")).out


def test_estargz_layers_say_where_their_table_is_whoever_has_made_them(yard: Yard, tmp_path: Path) -> None:
    """Made here, known here, and known from a trusted image: the same image each time, and that of a fresh machine."""
    yard.commit(lock(), LAZY)
    first = yard.build()
    lazy = digests(of_wheels(first))
    assert {
        digest for digest, layer in descriptors(yard, first).items() if TOC in layer.get("annotations", {})
    } == lazy
    elsewhere = yard.elsewhere(tmp_path / "elsewhere")
    assert yard.build()["digest"] == first["digest"]
    with Watched(yard.index) as index:
        trusting = elsewhere.build("--reuse-from", yard.at("team/app:main"), to="another/app:main")
    assert (trusting["digest"], index.requests) == (first["digest"], [])
    assert yard.elsewhere(tmp_path / "third").build("--no-reuse")["digest"] == first["digest"]
    yard.check("team/app:main")


@pytest.mark.parametrize("name", [TOC, "dev.treeship.layer.slim"])
def test_check_finds_what_somebody_has_written_onto_a_layer(yard: Yard, name: str) -> None:
    yard.commit(lock(), LAZY)
    yard.build()
    store = yard.registry.store
    manifest = store.repository("team/app").manifest("main")
    assert manifest is not None
    (alpha,) = [layer for layer in manifest.fields["layers"] if layer.get("annotations", {}).get(name)][:1]
    alpha["annotations"][name] = alpha["digest"]
    forged = json.dumps(manifest.fields).encode()
    store.add_manifest("team/app", forged, manifest.media_type, "main")
    words = ("--repo", yard.repository.directory, "--wheel-host", yard.index.host, "--json")
    found = yard.treeship("check", yard.at("team/app:main"), *words, code=3).json
    assert found["verdict"] == "different"
    assert found["differences"]


def test_the_code_does_not_change_with_the_form_of_the_wheels(yard: Yard) -> None:
    yard.commit(lock())
    plain = yard.build()
    yard.commit(lock(), LAZY)
    lazy = yard.build()
    own = [[layer["digest"] for layer in each["layers"] if not layer["wheels"]] for each in (plain, lazy)]
    assert own[0] == own[1]
    assert digests(of_wheels(plain)).isdisjoint(digests(of_wheels(lazy)))


def test_check_tells_another_rule_from_the_one_of_the_commit(yard: Yard) -> None:
    """As where somebody has pushed a layer that lacks what the commit does not leave out."""
    slim = yard.commit(lock(), SLIM)
    yard.build()
    plain = yard.commit(lock())
    words = ("--repo", yard.repository.directory, "--wheel-host", yard.index.host, "--json")
    other = yard.treeship("check", yard.at("team/app:main"), *words, "--commit", plain, code=3).json
    assert other["verdict"] == "different"
    assert (
        yard.treeship("check", yard.at("team/app:main"), *words, "--commit", slim).json["verdict"] == "equal"
    )


@pytest.mark.parametrize("estargz", [b"", b"estargz = true\n"])
def test_a_rule_that_would_break_an_import_stops_the_build_before_anything_is_sent(
    yard: Yard, estargz: bytes
) -> None:
    broken = wheel(
        "gamma",
        files={
            "gamma/__init__.py": b"",
            "gamma/tests/__init__.py": b"",
            "gamma/tests/cli.py": b"def main(): pass\n",
        },
        commands="[console_scripts]\ngamma = gamma.tests.cli:main\n",
    )
    wheels = [each for each in lock() if each.name != "gamma"] + [broken]
    yard.commit(wheels, {"treeship.toml": SLIM["treeship.toml"] + estargz})
    with Watched(yard.registry) as registry:
        ran = yard.fails()
    assert ran.code == 2
    assert (
        "gamma-1.0-py3-none-any.whl: the slim rule tests would remove the module gamma.tests.cli" in ran.err
    )
    assert "'/gamma/tests/cli/'" in ran.err
    assert writes(registry.requests) == []
    assert yard.stored() == {}
    kept = SLIM["treeship.toml"] + b'slim_keep = ["/gamma/tests/"]\n' + estargz
    yard.commit(wheels, {"treeship.toml": kept})
    yard.build()
    yard.check("team/app:main")


def test_wheels_that_clash_only_in_what_is_left_out_make_an_image(yard: Yard) -> None:
    wheels = [
        wheel(name, files={f"{name}.py": b"", "space/tests/data.txt": name.encode()})
        for name in ("alpha", "beta")
    ]
    yard.commit(wheels)
    assert "both write /usr/local/lib/python3.12/site-packages/space/tests/data.txt" in yard.fails().err
    yard.commit(wheels, SLIM)
    assert len(of_wheels(yard.build())) == 2
    yard.check("team/app:main")


@pytest.mark.parametrize(
    ("line", "what"),
    [(b'slim = ["test"]\n', "tests"), (b'slim = "tests"\n', "slim"), (b'estargz = "yes"\n', "estargz")],
)
def test_settings_that_mean_nothing_are_refused_by_name(yard: Yard, line: bytes, what: str) -> None:
    yard.commit(lock(), {"treeship.toml": SETTINGS + line})
    ran = yard.fails()
    assert (ran.code, what in ran.err) == (2, True), ran.err
    assert yard.stored() == {}
