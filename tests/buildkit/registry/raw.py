"""Requests without any client of ours, and the registries that the contract is asked of."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Mapping
from contextlib import closing
from typing import NamedTuple

import pytest

from buildkit.image import media
from buildkit.testing.registry import digest_of

rig = pytest.mark.rig
DOUBLE, DEBIAN, GGCR = (
    "double",
    pytest.param("docker_registry", marks=rig),
    pytest.param("ggcr_registry", marks=rig),
)


class Answer(NamedTuple):
    """What one raw request got."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def codes(self) -> list[str]:
        """The codes of its errors."""
        return [error["code"] for error in json.loads(self.body)["errors"]]


class Raw:
    """Requests without any client of ours, in a repository of their own."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.repository = f"contract/{uuid.uuid4().hex}"

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """One request; paths without a slash are below the repository."""
        target = path if path.startswith(("/", "http")) else f"/v2/{self.repository}/{path}"
        with closing(http.client.HTTPConnection(self.host, timeout=10)) as connection:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target.removeprefix(f"http://{self.host}"), body or None, names)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())

    def upload(self, data: bytes) -> str:
        """A blob, the simple way; its digest."""
        digest = digest_of(data)
        location = self.ask("POST", "blobs/uploads/").headers["location"]
        assert self.ask("PUT", joined(location, digest), data).status == 201
        return digest

    def manifest(self, *layers: bytes, **more: object) -> bytes:
        """A manifest of uploaded blobs."""
        entries = [
            {"mediaType": media.OCI_LAYER_GZIP, "digest": self.upload(data), "size": len(data)}
            for data in layers
        ]
        top = {"mediaType": media.OCI_CONFIG, "digest": self.upload(b"{}"), "size": 2}
        fields = {
            "schemaVersion": 2,
            "mediaType": media.OCI_MANIFEST,
            "config": top,
            "layers": entries,
            **more,
        }
        return json.dumps(fields).encode()

    def put(self, name: str, raw: bytes) -> Answer:
        """A manifest."""
        return self.ask("PUT", f"manifests/{name}", raw, Content_Type=media.OCI_MANIFEST)


def joined(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


everywhere = pytest.mark.parametrize("host", [DOUBLE, DEBIAN, GGCR], indirect=True)
like_debian = pytest.mark.parametrize("host", [DOUBLE, DEBIAN], indirect=True)
only_debian = pytest.mark.parametrize("host", [DEBIAN], indirect=True)
only_double = pytest.mark.parametrize("host", [DOUBLE], indirect=True)
