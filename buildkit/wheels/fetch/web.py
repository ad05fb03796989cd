"""Asks a host that is trusted for something, and says in the words of wheels what went wrong.

Connections, retries, proxies and TLS are those of the registry client; nothing else here opens sockets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NoReturn

from buildkit.endpoints import Traffic
from buildkit.errors import AccessDenied, InvalidInput, NotFound, Unavailable
from buildkit.registry.errors import RETRYABLE, ConnectionLost, clean
from buildkit.registry.options import Clock, RegistryOptions
from buildkit.registry.transport import Answer, Request, Transport
from buildkit.registry.url import Url
from buildkit.wheels.fetch.logins import Logins
from buildkit.wheels.fetch.model import Network
from buildkit.wheels.fetch.trust import Trust

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_AGAIN = "try again; or name another index that has it with wheels.index"
Headers = tuple[tuple[str, str], ...]


class Web:
    """Shared by all threads of a run; close it at the end."""

    def __init__(
        self,
        trust: Trust,
        network: Network,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Clock | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        options = RegistryOptions(
            insecure=network.insecure,
            ca_file=network.ca_file,
            timeout_seconds=network.read_seconds,
            connect_seconds=network.connect_seconds,
            retries=network.retries,
        )
        self.trust = trust
        self._transport = Transport(options, traffic or Traffic(), environ, clock or Clock())
        self._logins = Logins(trust, environ)

    def get(self, url: Url, what: str, headers: Headers = ()) -> Answer:
        """The answer (200, 206, or 416), whose body is still to be read; `what` is wanted, in words.

        Raises Refused for hosts that are not to be asked, AccessDenied, NotFound, InvalidInput for answers that stay
        as they are, Unavailable for those that may pass, after the retries.
        """
        first = url
        for _ in range(_MOST_REDIRECTS + 1):
            self.trust.check(url, what)
            request = Request("GET", url, (("Accept-Encoding", "identity"), *headers), stream=True)
            try:
                # What another host is sent there has no login with it: it was the first one that chose it.
                answer = self._asked(request) if url.origin == first.origin else self._transport.send(request)
            except ConnectionLost as lost:
                raise Unavailable(f"{what}: {lost.what}", _AGAIN) from None
            location = answer.headers.get("location", "")
            if answer.status not in _REDIRECTS or not location:
                if answer.status in (200, 206, 416):
                    return answer
                self._refused(answer, url, what)
            url = _joined(url, location, what)
        raise InvalidInput(f"{what}: {first.host} redirects without end", "tell its administrator")

    def pause(self, attempt: int) -> None:
        """Before the next attempt."""
        self._transport.pause(attempt, None)

    def close(self) -> None:
        """All connections."""
        self._transport.pool.close()

    def _asked(self, request: Request) -> Answer:
        known = self._logins.known(request.url)
        answer = self._transport.send(request, known)
        if answer.status in (401, 403):
            better = self._logins.asked(request.url)
            if better is not None and better != known:
                return self._transport.send(request, better)
        return answer

    def _refused(self, answer: Answer, url: Url, what: str) -> NoReturn:
        answer.close()
        fault = f"{what}: {url.host} answered {answer.status}"
        match answer.status:
            case 401 | 403:
                raise AccessDenied(
                    fault, f"put a login for {url.hostname} that may read it into ~/.netrc or the keyring"
                )
            case 404 | 410:
                raise NotFound(
                    fault,
                    "lock again; or name an index that has it with wheels.index (some hosts answer so to strangers: "
                    f"then put a login for {url.hostname} into ~/.netrc)",
                )
            case status if status in RETRYABLE or status >= 500:
                raise Unavailable(fault, _AGAIN)
            case _:
                raise InvalidInput(fault, "is it a package index, or a host of files? check the address")


def lost(error: OSError, url: Url, what: str) -> Unavailable:
    """The error for a body that broke off too often."""
    reason = "it came too slowly" if isinstance(error, TimeoutError) else clean(str(error))
    return Unavailable(f"{what}: what {url.host} sent broke off: {reason}", _AGAIN)


def address(url: Url) -> str:
    """All of it, with the query, to ask for relative addresses by; never for a message."""
    return f"{url.scheme}://{url.host}{url.target}"


def _joined(url: Url, location: str, what: str) -> Url:
    try:
        return url.join(location)
    except InvalidInput:
        raise InvalidInput(
            f"{what}: {url.host} redirects to an address that is none, or from https to plain http",
            "tell its administrator",
        ) from None
