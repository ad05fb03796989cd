"""References by the transport names of the field; skopeo's and docker's forms mean the same here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.errors import InvalidInput
from buildkit.image.digest import Digest
from buildkit.image.reference import (
    ArchiveReference,
    DaemonReference,
    LayoutReference,
    Reference,
    RegistryReference,
    Scratch,
    check_tag,
    parse_reference,
)

ONE = Digest.of(b"one")

MEANINGS: list[tuple[str, Reference]] = [
    ("debian", RegistryReference("docker.io", "library/debian")),
    ("debian:12", RegistryReference("docker.io", "library/debian", "12")),
    ("team/app", RegistryReference("docker.io", "team/app")),
    ("docker.io/debian:12", RegistryReference("docker.io", "library/debian", "12")),
    ("index.docker.io/team/app", RegistryReference("docker.io", "team/app")),
    ("docker://debian:12", RegistryReference("docker.io", "library/debian", "12")),
    ("localhost/app", RegistryReference("localhost", "app")),
    ("localhost:5000/a/b/c:v1", RegistryReference("localhost:5000", "a/b/c", "v1")),
    ("host.example/a", RegistryReference("host.example", "a")),
    ("[::1]:5000/a:v1", RegistryReference("[::1]:5000", "a", "v1")),
    ("127.0.0.1:80/a", RegistryReference("127.0.0.1:80", "a")),
    (f"host.example/a@{ONE}", RegistryReference("host.example", "a", "", ONE)),
    (f"docker://host.example/a:v1@{ONE}", RegistryReference("host.example", "a", "v1", ONE)),
    ("host.example/a__b/c-d.e", RegistryReference("host.example", "a__b/c-d.e")),
    ("oci:dir", LayoutReference("dir")),
    ("oci:dir:v1", LayoutReference("dir", "v1")),
    ("oci:/a/b:v1.2-x", LayoutReference("/a/b", "v1.2-x")),
    ("oci:/a:b/c", LayoutReference("/a:b/c")),
    ("oci:/a:b/c:v1", LayoutReference("/a:b/c", "v1")),
    (f"oci:dir@{ONE}", LayoutReference("dir", "", ONE)),
    (f"oci:dir:v1@{ONE}", LayoutReference("dir", "v1", ONE)),
    ("docker-daemon:app", DaemonReference("app")),
    ("docker-daemon:app:v1", DaemonReference("app", "v1")),
    ("docker-daemon:localhost:5000/app:v1", DaemonReference("localhost:5000/app", "v1")),
    ("docker-archive:f.tar", ArchiveReference("f.tar")),
    ("docker-archive:/x/f.tar:app:v1", ArchiveReference("/x/f.tar", "app", "v1")),
    ("docker-archive:f.tar:host.example/app", ArchiveReference("f.tar", "host.example/app")),
    ("scratch", Scratch()),
]


@pytest.mark.parametrize(("text", "meant"), MEANINGS)
def test_what_a_reference_means(text: str, meant: Reference) -> None:
    assert parse_reference(text) == meant
    assert parse_reference(str(meant)) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " debian",
        "debian ",
        "a\nb",
        "Debian",
        "host.example/App",
        "host.example/",
        "/app",
        "a//b",
        "a/../b",
        "host.example/a:",
        "host.example/a@",
        "host.example/a:v1@",
        "host.example/a:v1:v2",
        "host.example/a@sha256:12",
        "host.example/a@sha512:" + "a" * 128,
        "host.example/a:-v",
        "host.example/a:.v",
        "host.example/a:" + "v" * 129,
        "host.example/a_",
        "host.example/a..b",
        "host.example/" + "a" * 256,
        "host.example:port/a",
        "host.example:123456/a",
        "http://host/a",
        "ftp://x",
        "docker-archive:",
        "docker-archive:f:App",
        "docker-archive:f:",
        "docker-daemon:",
        "docker-daemon:app:",
        "docker-daemon:App",
        f"docker-daemon:app@{ONE}",
        "oci:",
        "oci::v1",
        "oci:dir:",
        "oci:dir:v 1",
        "oci:dir@sha256:xyz",
        "-x",
        "--tag=x",
        "host.example/-x",
        "host_x.example/a",
        "a@b@c",
        "host.example/a?x=1",
        "host.example/a#b",
        "host.example/a%2e%2e/b",
        "../a",
        "./a",
        "\x7f",
        "host.example/é",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_reference(text)


def test_a_password_in_a_reference_is_refused_and_not_repeated() -> None:
    for text in ("docker://me:hunter2@host.example/app", "me:hunter2@host.example/app:v1"):
        with pytest.raises(InvalidInput) as caught:
            parse_reference(text)
        assert "hunter2" not in str(caught.value)


parts = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
repositories = st.lists(parts, min_size=1, max_size=3).map("/".join)
tags = st.just("") | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
digests = st.none() | st.binary(max_size=3).map(Digest.of)
hosts = st.sampled_from(
    ["docker.io", "localhost", "localhost:5000", "[::1]:5000", "10.0.0.1", "a.b-c.example:1"]
)
directories = st.text(
    st.characters(exclude_characters="@", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1
).map(lambda name: f"{name}/")


@given(hosts, repositories, tags, digests)
def test_a_registry_reference_survives_being_written(
    host: str, repository: str, tag: str, digest: Digest | None
) -> None:
    if host == "docker.io" and "/" not in repository:
        repository = f"library/{repository}"
    reference = RegistryReference(host, repository, tag, digest)
    assert parse_reference(str(reference)) == reference
    assert parse_reference(f"docker://{reference}") == reference


@given(
    directories,
    st.just("") | st.from_regex(r"[A-Za-z0-9]{1,9}([-._+][A-Za-z0-9]{1,9}){0,2}", fullmatch=True),
    digests,
)
def test_a_layout_reference_survives_being_written(directory: str, tag: str, digest: Digest | None) -> None:
    reference = LayoutReference(directory, tag, digest)
    assert parse_reference(str(reference)) == reference


@given(repositories, tags)
def test_engine_and_archive_references_survive_being_written(name: str, tag: str) -> None:
    for reference in (DaemonReference(name, tag), ArchiveReference("/a/b.tar", name, tag)):
        assert parse_reference(str(reference)) == reference


@given(st.text(max_size=60) | st.text(alphabet="a:/@.-_[]A0 ", max_size=30))
def test_any_text_is_a_reference_that_survives_or_is_refused(text: str) -> None:
    for prefix in ("", "docker://", "oci:", "docker-daemon:", "docker-archive:"):
        try:
            found = parse_reference(prefix + text)
        except InvalidInput:
            continue
        assert parse_reference(str(found)) == found


def test_tags_are_what_registries_take() -> None:
    assert check_tag("v1.2_x-Y") == "v1.2_x-Y"
    for tag in ("", "-a", ".a", "a/b", "a b", "a\n", "a" * 129):
        with pytest.raises(InvalidInput):
            check_tag(tag)
