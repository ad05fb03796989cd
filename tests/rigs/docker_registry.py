"""Debian's docker-registry (distribution 2.8): the registry that most others are measured against."""

import http.client
import json
import re
import ssl
import uuid
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rigs import certificates
from tests.rigs.install import debian_packages
from tests.rigs.process import Daemon, run
from tests.rigs.rig import Rig
from tests.rigs.token_server import TokenServer
from tests.rigs.web import Request

LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")
# A line of the access log; the registry escapes neither blanks nor quotes in a path.
ACCESS = re.compile(r'^127\.0\.0\.1 - \S+ \[[^]]+\] "([A-Z]+) (.*) HTTP/[\d.]+" (\d{3}) ', re.MULTILINE)
SETTLED = "/v2/?settled="


@dataclass(frozen=True)
class Login:
    """A user of a registry with basic authentication."""

    user: str
    password: str


class DockerRegistry(Rig):
    """A registry on `host` (an address and port), empty; with DELETES false nothing is taken out, as by its default.

    With LOGIN it wants that user and password; with TOKENS, a started server, a token from there; with TLS it
    speaks HTTPS only, and `ca_file` holds the authority to trust.
    """

    host: str
    ca_file: Path | None = None

    def __init__(
        self,
        *,
        login: Login | None = None,
        tokens: TokenServer | None = None,
        tls: bool = False,
        deletes: bool = True,
    ) -> None:
        self._login = login
        self._tokens = tokens
        self._tls = tls
        self._deletes = deletes

    @classmethod
    def install(cls) -> None:
        debian_packages("docker-registry", "apache2-utils", "openssl")

    def collect_garbage(self) -> None:
        """Remove the blobs that no manifest names, as an operator does; nothing may be pushed meanwhile."""
        run(["docker-registry", "garbage-collect", self._file])

    @property
    def _file(self) -> Path:
        return self.workspace.path / "registry.json"  # JSON is YAML.

    def _start(self, ending: ExitStack) -> None:
        self._file.write_text(json.dumps(self._settings(), indent=1))
        self._process = self._daemon(ending, ["docker-registry", "serve", self._file])
        self.host = self._process.wait_until(lambda: _listening(self._process))

    @property
    def url(self) -> str:
        """Where it answers, with the scheme."""
        return f"{'https' if self._tls else 'http'}://{self.host}"

    @property
    def storage(self) -> Path:
        """The folder in which it keeps what was pushed."""
        return self.workspace.folder("storage")

    def requests(self) -> list[Request]:
        """All requests it has answered, the oldest first."""
        mark = f"{SETTLED}{uuid.uuid4()}"
        # It logs after it answers: once this request is in the log, earlier ones are too.
        self._ask(mark)
        log = self._process.wait_until(lambda: _containing(self._process.output(), mark))
        found = [Request(method, path, int(status)) for method, path, status in ACCESS.findall(log)]
        return [request for request in found if not request.path.startswith(SETTLED)]

    def _ask(self, path: str) -> None:
        connection = http.client.HTTPConnection(self.host, timeout=30)
        if self._tls:
            context = ssl.create_default_context(cafile=self.ca_file)
            connection = http.client.HTTPSConnection(self.host, timeout=30, context=context)
        with closing(connection):
            connection.request("GET", path)
            connection.getresponse().read()

    def _settings(self) -> dict[str, Any]:
        server: dict[str, Any] = {"addr": "127.0.0.1:0", "secret": "rig"}
        if self._tls:
            folder = self.workspace.folder("certificates")
            signer = certificates.authority(folder)
            pair = certificates.loopback(folder, signer)
            self.ca_file = self.workspace.folder("trust") / "ca.crt"  # Alone there: a --cert-dir for podman.
            self.ca_file.write_bytes(signer.file.read_bytes())
            server["tls"] = {"certificate": str(pair.file), "key": str(pair.key)}
        storage = {"filesystem": {"rootdirectory": str(self.storage)}, "delete": {"enabled": self._deletes}}
        log = {"level": "info", "accesslog": {"disabled": False}}
        return {"version": "0.1", "log": log, "storage": storage, "http": server, "auth": self._auth()}

    def _auth(self) -> dict[str, Any] | None:
        if self._tokens is not None:
            return self._tokens.settings()
        if self._login is None:
            return None
        line = run(["htpasswd", "-niB", self._login.user], stdin=self._login.password).stdout
        file = self.workspace.path / "htpasswd"
        file.write_text(line)
        return {"htpasswd": {"realm": "rig", "path": str(file)}}


def _listening(process: Daemon) -> str | None:
    match = LISTENING.search(process.output())
    return match[1] if match else None


def _containing(text: str, mark: str) -> str | None:
    return text if mark in text else None
