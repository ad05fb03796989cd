"""Requests to one repository: authorised (again, when a token ends), redirected where that is harmless."""

from __future__ import annotations

from buildkit.errors import InvalidInput
from buildkit.registry.auth import Access, Authorizer
from buildkit.registry.transport import Answer, Request, Transport
from buildkit.registry.url import Url, origin_of

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REDIRECT_LIMIT = 5
# An expired token, then one that another thread used up, then one whose scopes were in the wrong order.
_ATTEMPTS = 3


class Session:
    """Shared by all repositories of a run."""

    def __init__(self, transport: Transport, authorizer: Authorizer) -> None:
        self.transport = transport
        self._authorizer = authorizer
        self._tls: set[str] = set()

    def api(self, host: str) -> Url:
        """Where the registry is reached."""
        url = origin_of(host, self.transport.options.insecure)
        return url._replace(scheme="https") if url.host in self._tls else url

    def send(self, access: Access, request: Request) -> Answer:
        """The answer after authorisation and redirects. Raises AccessDenied for a 401 that stays.

        Reading requests alone are redirected, and what another host is sent has no Authorization.
        """
        answer = self._authorised(access, request)
        if answer.status == 400 and request.url.scheme == "http" and self._wants_tls(request, answer):
            # On loopback there may be TLS all the same. Nothing secret was sent: nobody has asked yet.
            self._tls.add(request.url.host)
            access = access._replace(api=access.api._replace(scheme="https"))
            request = request._replace(url=request.url._replace(scheme="https"))
            answer = self._authorised(access, request)
        for _ in range(_REDIRECT_LIMIT):
            location = answer.headers.get("location", "")
            if answer.status not in _REDIRECTS or request.method not in ("GET", "HEAD") or not location:
                return answer
            request = request._replace(url=answer.url.join(location))
            answer = self._authorised(access, request)
        raise InvalidInput(f"{access.host} redirects without end", "tell its administrator")

    def _wants_tls(self, request: Request, answer: Answer) -> bool:
        """Servers that are spoken to without TLS say so in a body, which HEAD does not show."""
        if request.method == "HEAD":
            answer = self.transport.send(Request("GET", request.url._replace(target="/v2/")))
        return b"HTTPS" in answer.body

    def _authorised(self, access: Access, request: Request) -> Answer:
        if request.url.origin != access.api.origin:
            return self.transport.send(request)
        used = self._authorizer.authorization(access)
        answer = self.transport.send(request, used)
        for attempt in range(_ATTEMPTS):
            if answer.status != 401:
                break
            used = self._authorizer.answer(access, answer, used, attempt)
            answer = self.transport.send(request, used)
        if answer.status == 401:
            raise self._authorizer.denied(access, answer)
        return answer
