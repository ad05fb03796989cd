"""Both registries take and give the base image; passwords, tokens, TLS and the request log work."""

import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.rigs.docker_registry import DockerRegistry, Login
from tests.rigs.errors import CommandFailed
from tests.rigs.fixtures import Start
from tests.rigs.ggcr_registry import GgcrRegistry
from tests.rigs.podman import Podman
from tests.rigs.process import run
from tests.rigs.token_server import TokenServer
from tests.rigs.web import Request

pytestmark = pytest.mark.rig


def layout_digest(layout: Path) -> str:
    """The digest that `latest` of LAYOUT has."""
    digest: str = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    return digest


def test_both_registries_keep_the_digest(
    podman: Podman,
    crane: Path,
    docker_registry: DockerRegistry,
    ggcr_registry: GgcrRegistry,
    foreign_layout: Path,
) -> None:
    for host in (docker_registry.host, ggcr_registry.host):
        podman.skopeo("copy", f"oci:{foreign_layout}:latest", f"docker://{host}/keep/digest:1")
        assert run([crane, "digest", f"{host}/keep/digest:1"]).stdout.strip() == layout_digest(foreign_layout)


def test_an_index_survives_the_way_through_a_registry(
    podman: Podman, crane: Path, ggcr_registry: GgcrRegistry, multi_layout: Path
) -> None:
    podman.skopeo("copy", "--all", f"oci:{multi_layout}:latest", f"docker://{ggcr_registry.host}/multi:1")
    index = json.loads(run([crane, "manifest", f"{ggcr_registry.host}/multi:1"]).stdout)
    platforms = [(entry["platform"]["os"], entry["platform"]["architecture"]) for entry in index["manifests"]]
    assert platforms == [("linux", "amd64"), ("linux", "arm64")]


def test_the_request_log_is_complete_and_in_order(docker_registry: DockerRegistry) -> None:
    before = len(docker_registry.requests())
    for number in range(20):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{docker_registry.url}/v2/log/blobs/sha256:{number:064}?a=%20b")
        caught.value.close()
    expected = [Request("GET", f"/v2/log/blobs/sha256:{number:064}?a=%20b", 404) for number in range(20)]
    assert docker_registry.requests()[before:] == expected


def test_two_registries_at_once_share_nothing(start: Start) -> None:
    first, second = start(DockerRegistry()), start(DockerRegistry())
    assert first.host != second.host
    assert first.storage != second.storage


def test_a_login_is_asked_for(start: Start, podman: Podman, foreign_layout: Path) -> None:
    registry = start(DockerRegistry(login=Login("ada", "s3cret word")))
    target = f"docker://{registry.host}/private:1"
    with pytest.raises(CommandFailed, match=r"unauthorized|authentication required"):
        podman.skopeo("copy", f"oci:{foreign_layout}:latest", target)
    podman.skopeo("copy", "--dest-creds=ada:s3cret word", f"oci:{foreign_layout}:latest", target)
    assert Request("PUT", "/v2/private/manifests/1", 201) in registry.requests()


def test_tls_with_its_own_authority(start: Start, podman: Podman, foreign_layout: Path) -> None:
    registry = start(DockerRegistry(tls=True))
    assert registry.ca_file is not None
    trust = [f"--dest-cert-dir={registry.ca_file.parent}", "--dest-tls-verify=true"]
    podman.skopeo("copy", *trust, f"oci:{foreign_layout}:latest", f"docker://{registry.host}/safe:1")
    assert registry.url.startswith("https://")
    assert Request("PUT", "/v2/safe/manifests/1", 201) in registry.requests()


def test_tokens_are_granted_per_scope(start: Start, podman: Podman, foreign_layout: Path) -> None:
    tokens = start(TokenServer(users={"ada": "secret"}))
    registry = start(DockerRegistry(tokens=tokens))
    source = f"oci:{foreign_layout}:latest"
    podman.skopeo("copy", "--dest-creds=ada:secret", source, f"docker://{registry.host}/mine:1")
    assert {scope for request in tokens.requests for scope in request.scopes} == {"repository:mine:pull,push"}
    with pytest.raises(CommandFailed):
        podman.skopeo("copy", "--dest-creds=ada:wrong", source, f"docker://{registry.host}/mine:2")
    tokens.denied.add("theirs")
    with pytest.raises(CommandFailed):
        podman.skopeo("copy", "--dest-creds=ada:secret", source, f"docker://{registry.host}/theirs:1")


def test_a_token_for_one_repository_opens_no_other(start: Start) -> None:
    tokens = start(TokenServer())
    registry = start(DockerRegistry(tokens=tokens))
    token = tokens.token("", ("repository:one/two:pull",))
    assert status(registry, "one/two", token) == 404
    assert status(registry, "other", token) == 401


def test_tokens_end_when_they_say(start: Start) -> None:
    tokens = start(TokenServer(seconds=2))
    registry = start(DockerRegistry(tokens=tokens))
    token = tokens.token("", ("repository:short:pull",))
    assert status(registry, "short", token) == 404
    time.sleep(3.1)
    assert status(registry, "short", token) == 401


def status(registry: DockerRegistry, repository: str, token: str) -> int:
    """What the registry says to a pull of a tag that is not there."""
    request = urllib.request.Request(f"{registry.url}/v2/{repository}/manifests/none")
    request.add_header("Authorization", f"Bearer {token}")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    caught.value.close()
    return caught.value.code
