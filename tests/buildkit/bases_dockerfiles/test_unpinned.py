"""What a Dockerfile takes from elsewhere without a digest, and what is read as an instruction at all."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.bases.dockerfiles import build
from buildkit.bases.dockerfiles.engine import Image, Recipe
from buildkit.bases.dockerfiles.folder import Dockerfiles
from buildkit.bases.dockerfiles.parents import Sources
from buildkit.bases.dockerfiles.plan import Wish
from buildkit.bases.dockerfiles.unpinned import unpinned
from buildkit.cache import NoCache
from buildkit.errors import InvalidInput, Refused
from buildkit.image.platform import Platform
from buildkit.transports import Registries
from tests.sources import ROOT

DIGEST = "sha256:" + "0" * 64
PARENT = "ARG PARENT\nFROM ${PARENT} AS one\n"


def found(text: str, **arguments: str) -> list[str]:
    return [str(one) for one in unpinned(text.encode(), arguments)]


@pytest.mark.parametrize(
    "text",
    [
        "ARG PARENT\nFROM $PARENT\n",
        'arg PARENT\nfrom "${PARENT}" as One\nFROM oNE\nCOPY --from=0 /a /b\nCOPY --from=one /a /b\n',
        "FROM --platform=linux/amd64 scratch\n",
        f"FROM python:3@{DIGEST}\n",
        f"# syntax=docker/dockerfile:1@{DIGEST}\n{PARENT}",
        f"#a comment\n# syntax=docker/dockerfile:1\n{PARENT}",  # not at the top: a comment like others
        f"ARG BASE=python@{DIGEST}\nFROM ${{BASE}}\n",
        f"ARG BASE\nFROM $BASE\n#{DIGEST}",
        f"{PARENT}ADD app.tar.gz a-${{X}}.tar /http://x/\n",
        f"{PARENT}ADD --checksum={DIGEST} https://x.example/a /a\n",
        f'{PARENT}ADD ["a", "https://x.example/"]\n',
        f"{PARENT}FROM one\nRUN --mount=type=cache,target=/x --mount=type=bind,from=one echo FROM a:b\n",
        f"{PARENT}RUN echo a \\\n# FROM comment:1\n\n  FROM b:c\n",
        f"{PARENT}RUN python <<EOF\nfrom os import path\nADD https://x.example /\nEOF\nUSER 1\n",
        f"{PARENT}RUN cat <<-'A' 3<<B\nFROM x\n\tA\nFROM y\nB\n",
        f"# escape=`\n{PARENT}RUN a `\n FROM b\n",
        "\ufeffARG PARENT\r\nFROM \\\r\n${PARENT}\r\n",
    ],
)
def test_what_has_a_digest_or_comes_from_the_file_itself_is_no_matter(text: str) -> None:
    assert found(text, BASE=f"x.example:5000/y@{DIGEST}") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("FROM evil:latest\n", "line 1: FROM evil:latest"),
        ("from\tevil as x\n", "line 1: FROM evil"),
        ("FROM --platform=$BUILDPLATFORM evil\n", "line 1: FROM evil"),
        ("FROM ${PARENT}-slim\n", "line 1: FROM ${PARENT}-slim"),
        ("FROM later\nFROM scratch AS later\n", "line 1: FROM later"),
        ("ARG BASE=python:3\nFROM ${BASE}\n", "line 2: FROM ${BASE}"),
        (f"ARG BASE=x@{DIGEST}\nFROM ${{BASE:-evil}}\n", "line 2: FROM ${BASE:-evil}"),
        (f"ARG GIVEN=x@{DIGEST}\nFROM $GIVEN\n", "line 2: FROM $GIVEN"),
        (f"ARG B=evil\nARG A=\"x B=x@{DIGEST}\"\nFROM $B\n", "line 3: FROM $B"),
        ("FROM scratch\nARG BASE=scratch\nFROM $BASE\n", "line 3: FROM $BASE"),
        (f"FROM x@{DIGEST}0\n", f"line 1: FROM x@{DIGEST}0"),
        ("FROM\n", "line 1: FROM "),
        ("FROM \\\n  # why\n\n  evil\n", "line 1: FROM evil"),
        (f"{PARENT}COPY --from=other:latest / /\n", "line 3: COPY from other:latest"),
        (f"{PARENT}COPY --chown=1 --f\"ro\"m='other' / /\n", "line 3: COPY from other"),
        (f"{PARENT}COPY --from=1 / /\nFROM scratch\n", "line 3: COPY from 1"),
        (f"{PARENT}COPY --from=0 / /\n", "line 3: COPY from 0"),
        (f"{PARENT}RUN --mount=type=bind,from=other,target=/x true\n", "line 3: RUN from other"),
        (f"{PARENT}ADD https://evil.example/x /\n", "line 3: ADD https://evil.example/x"),
        (f"{PARENT}ADD a HT\"TP\"://evil.example/x /\n", 'line 3: ADD HT"TP"://evil.example/x'),
        (f"{PARENT}ADD [\"\\u0068ttps://evil.example/x\", \"/\"]\n", "line 3: ADD https://evil.example/x"),
        (f"{PARENT}ADD $URL /\n", "line 3: ADD $URL"),
        (f"{PARENT}ADD git@evil.example:x.git /\n", "line 3: ADD git@evil.example:x.git"),
        (f"{PARENT}ONBUILD ADD https://evil.example/x /\n", "line 3: ONBUILD ADD https://evil.example/x"),
        (f"# Syntax = docker/dockerfile:1\n{PARENT}", "line 1: # syntax=docker/dockerfile:1"),
        (f"#!/bin/x\n# syntax=evil\n{PARENT}", "line 1: # syntax=evil"),
        (f"// syntax=evil\n{PARENT}", "line 1: # syntax=// syntax=evil"),
        (f"{PARENT}RUN echo \"<<EOF\"\nFROM evil\nEOF\n", "line 4: FROM evil"),
        (f"{PARENT}RUN a <<EOF\nEOF\nFROM evil\n", "line 5: FROM evil"),
        (f"{PARENT}RUN a <<<EOF\nFROM evil\nEOF\n", "line 4: FROM evil"),
        (f"{PARENT}RUN a <<EOF\nFROM evil\n", "line 3: RUN a <<EOF (not understood here)"),
        (f"{PARENT}RUN a <<$X\nFROM evil\n$X\n", "line 3: RUN a <<$X (not understood here)"),
        (f"{PARENT}RUN a \\\\\nFROM evil\n", "line 4: FROM evil"),
        (f"# escape=`\n{PARENT}RUN a \\\nFROM evil\n", "line 5: FROM evil"),
    ],
)  # fmt: skip
def test_what_may_be_something_else_tomorrow_is_found(text: str, says: str) -> None:
    assert says in found(text, GIVEN="evil:1")


def test_arguments_of_arguments_do_not_grow_without_end() -> None:
    lines = ["ARG A0=" + "x" * 1000, *(f"ARG A{at}=" + f"$A{at - 1}" * 300 for at in range(1, 30))]

    assert len(found("\n".join([*lines, "FROM $A29"]))) == 1


words = st.sampled_from(
    ["FROM", "ARG A=", "ADD", "COPY", "RUN", "ONBUILD", "--from=", "--mount=", "<<E", "E", '"', "'", "\\", "\n",
     " ", "\t", "$A", "${", "}", "[", "#", "# escape=`\n", "`", "\r", "\x00", "é"]
)  # fmt: skip


@given(st.lists(words, max_size=30).map("".join) | st.text())
def test_no_text_is_too_strange(text: str) -> None:
    found(text)
    found(f"{PARENT}{text}")


@given(st.binary(max_size=50))
def test_nor_are_any_bytes(data: bytes) -> None:
    unpinned(data, {})


@pytest.mark.parametrize(
    "name", sorted(path.parent.name for path in (ROOT / "dockerfiles").glob("*/Dockerfile"))
)
def test_the_bases_of_this_project_take_nothing_but_their_parent(name: str) -> None:
    tables = tomllib.loads((ROOT / "dockerfiles" / "bases.toml").read_text())

    assert (
        unpinned((ROOT / "dockerfiles" / name / "Dockerfile").read_bytes(), tables[name].get("arguments", {}))
        == []
    )


class NoEngine:
    """It has no image, and builds none."""

    def image(self, name: str) -> Image | None:
        return None

    def build(self, recipe: Recipe) -> Iterator[dict[str, Any]]:
        raise AssertionError("nothing is to be built")


def nobody() -> Registries:
    raise AssertionError("no registry is to be asked")


@pytest.fixture
def folder(tmp_path: Path) -> Dockerfiles:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "Dockerfile").write_text("FROM evil:latest\nADD https://evil.example/x /\n")
    parent = "registry.example/x:1"
    (tmp_path / "bases.toml").write_text(f'[x]\nparent = "{parent}"\nplatforms = ["{Platform.of_host()}"]\n')
    (tmp_path / "bases.lock").write_text(f'[x]\nparent = "{parent}"\ndigest = "{DIGEST}"\n')
    return Dockerfiles(str(tmp_path))


def planned(folder: Dockerfiles, *, frozen: bool) -> list[str]:
    notes: list[str] = []
    sources = Sources(nobody, NoCache(), NoEngine(), notes.append, frozen)
    build.plan(folder, Wish(("x",), {}), build.Overrides({}), sources)
    return notes


def test_frozen_refuses_it_and_else_there_is_a_note_for_each(folder: Dockerfiles) -> None:
    with pytest.raises(
        Refused, match=r"dockerfiles/x/Dockerfile, line 1: FROM evil:latest: not pinned \(and 1 more\)"
    ):
        planned(folder, frozen=True)
    assert [note.partition(":")[0] for note in planned(folder, frozen=False)] == [
        "dockerfiles/x/Dockerfile, line 1",
        "dockerfiles/x/Dockerfile, line 2",
    ]


def test_definitions_are_checked_without_asking_anybody(folder: Dockerfiles) -> None:
    build.check(folder, Wish(("x",), {}))
    with pytest.raises(InvalidInput, match="none of these bases takes"):
        build.check(folder, Wish(("x",), {"Y": "1"}))
    Path(folder.path, "bases.lock").write_text("[x]\n")
    with pytest.raises(InvalidInput, match=r"bases\.lock"):
        build.check(folder, Wish(("x",), {}))
