"""Who we are to the hosts that wheels are taken from: the trusted index's own URL, netrc, the keyring."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping

from buildkit.errors import InvalidInput
from buildkit.lfs.credentials import netrc_logins
from buildkit.registry.secret import Secret, basic
from buildkit.registry.url import Url
from buildkit.wheels.fetch.trust import Trust


class Logins:
    """Each is for one host, and is shown to no other one, whoever redirects there."""

    def __init__(self, trust: Trust, environ: Mapping[str, str]) -> None:
        self._trust = trust
        self._environ = environ
        self._lock = threading.Lock()
        self._netrc: Mapping[str, tuple[str, str, str]] | None = None
        self._asked: dict[tuple[str, str], Secret | None] = {}

    def known(self, url: Url) -> Secret | None:
        """The Authorization to begin with: private indexes answer 404 to strangers, so it is not waited for a 401."""
        with self._lock:
            if self._asked.get(url.origin):
                return self._asked[url.origin]
        login = self._own(url)
        if login and login[1]:
            return basic(login[0], login[1].reveal())
        return self._from_netrc(url)

    def asked(self, url: Url) -> Secret | None:
        """The Authorization after a refusal: from the keyring, which is slow, and so is asked once for each host."""
        with self._lock:
            if url.origin not in self._asked:
                from buildkit.wheels.fetch import keyring

                login = self._own(url)
                self._asked[url.origin] = keyring.ask(
                    self._services(url), login[0] if login else "", self._environ
                )
            return self._asked[url.origin]

    def _own(self, url: Url) -> tuple[str, Secret] | None:
        trust = self._trust
        if trust.index_url is None or trust.login is None or trust.index_url.origin != url.origin:
            return None
        return trust.login.user, trust.login.password

    def _services(self, url: Url) -> list[str]:
        """What a login may be kept under: pip's and uv's users keep it under the index or under the host."""
        index = self._trust.index_url
        ours = [f"{url.scheme}://{url.host}{index.target}"] if index and index.origin == url.origin else []
        return [*ours, f"{url.scheme}://{url.host}/", url.host]

    def _from_netrc(self, url: Url) -> Secret | None:
        """The entry of this very host: netrc's `default` would tell one password to all."""
        with self._lock:
            if self._netrc is None:
                self._netrc = _netrc(self._environ)
        found = self._netrc.get(url.hostname) if url.hostname != "default" else None
        return basic(found[0] or found[1] or "", found[2] or "") if found else None


def _netrc(environ: Mapping[str, str]) -> Mapping[str, tuple[str, str, str]]:
    path = environ.get("NETRC") or os.path.join(environ.get("HOME", ""), ".netrc")
    found = netrc_logins(path) if os.path.isfile(path) else {}
    if found is None:
        # Raised here, where no other error is its context: netrc's own quotes the file.
        raise InvalidInput(f"{path} is malformed", "correct it, or unset $NETRC")
    return found
