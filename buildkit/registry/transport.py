"""One request, one answer: tried again where that helps, counted; neither redirected nor authorised here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from buildkit.endpoints import Traffic
from buildkit.errors import InvalidInput, TreeshipError, Unavailable
from buildkit.registry import errors
from buildkit.registry.body import Body, BodyUnreadable
from buildkit.registry.meter import Meter
from buildkit.registry.options import Clock, RegistryOptions
from buildkit.registry.pool import Dial, Pool, dial
from buildkit.registry.secret import Secret
from buildkit.registry.url import Url, is_forbidden, may_be_plain
from buildkit.registry.wire import Connection, Response

_BACKOFF_SECONDS = 0.25
_BACKOFF_LIMIT_SECONDS = 8.0
# The wait for an upload's answer grows with it: registries hash and move it before they answer.
_COMMIT_BYTES_PER_SECOND = 10_000_000
_SMALL_ANSWER = 64 * 1024


class Request(NamedTuple):
    """`again`: whether it may be sent twice. `stream`: whether the caller reads the body of a 200 or 206.

    Authorization is not among the headers: it travels as a Secret.
    """

    method: str
    url: Url
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Body = b""
    again: bool = True
    stream: bool = False
    limit: int = _SMALL_ANSWER


class Answer:
    """Status, headers (lower case) and what there was of a body up to the request's limit."""

    __slots__ = ("_pool", "_response", "body", "headers", "status", "url")

    def __init__(self, url: Url, response: Response, pool: Pool) -> None:
        self.url = url
        self.status = response.status
        self.headers = response.headers
        self.body = b""
        self._response = response
        self._pool = pool

    def read(self, limit: int) -> bytes:
        """Bytes of a streamed body; OSError where it ends too early."""
        return self._response.read(limit)

    def read_all(self, limit: int) -> None:
        """Read the body and give the connection back."""
        try:
            self.body = self._response.read_all(limit)
        except OSError:
            # Some registries promise an error a body and send none; the status is what counts.
            if self.status < 400:
                raise
        self.close()

    def close(self) -> None:
        """Give the connection back, or close it where something is still unread."""
        connection, usable = self._response.detach()
        (self._pool.give if usable else self._pool.drop)(connection)


class Transport:
    """Shared by all clients of a run and safe for many threads."""

    def __init__(
        self,
        options: RegistryOptions,
        traffic: Traffic,
        environ: Mapping[str, str],
        clock: Clock,
        connect: Dial = dial,
    ) -> None:
        self.options = options
        self.clock = clock
        self._meter = Meter(traffic)
        self.pool = Pool(options, self._meter, environ, connect)
        self._answered: set[str] = set()

    def send(self, request: Request, authorization: Secret | None = None) -> Answer:
        """The last answer there was, whatever its status. Raises ConnectionLost where there was none."""
        self.check(request.url)
        attempt = 0
        while True:
            failure: TreeshipError | None = None
            answer: Answer | None = None
            try:
                answer = self._exchange(request, authorization)
            except OSError as error:
                failure = errors.lost(error, request.url.host)
            except BodyUnreadable as error:
                raise Unavailable(f"what is to be pushed cannot be read: {error}", "try again") from error
            if answer is not None and (
                answer.status not in errors.RETRYABLE or not self._may_repeat(request, attempt)
            ):
                return answer
            if failure is not None and not (_passes(failure) and self._may_repeat(request, attempt)):
                raise failure
            self.pause(attempt, answer)
            attempt += 1

    def check(self, url: Url) -> None:
        """The rule for every address, whoever named it: TLS, or a host that is meant to do without."""
        if is_forbidden(url.hostname):
            raise InvalidInput(f"{url.host} is a link-local or metadata address", "nothing is sent there")
        if url.scheme == "http" and not may_be_plain(url, self.options.insecure):
            raise InvalidInput(
                f"{url.host} is to be reached by plain HTTP", f"if that is meant: --insecure {url.host}"
            )

    def _may_repeat(self, request: Request, attempt: int) -> bool:
        # A host that never answered is more often misspelt than busy: one more try is enough.
        known = request.url.host in self._answered
        return request.again and attempt < (self.options.retries if known else min(1, self.options.retries))

    def _exchange(self, request: Request, authorization: Secret | None) -> Answer:
        connection = self.pool.take(request.url)
        try:
            return self._on(connection, request, authorization)
        except OSError:
            # The peer may have closed an idle connection just as we wrote: that says nothing about it.
            if not connection.reused or connection.heard or not request.again:
                raise
        return self._on(self.pool.take(request.url, fresh=True), request, authorization)

    def _on(self, connection: Connection, request: Request, authorization: Secret | None) -> Answer:
        self._meter.request()
        try:
            response = self._response(connection, request, authorization)
            answer = Answer(request.url, response, self.pool)
            self._answered.add(request.url.host)
            if not request.stream or response.status not in (200, 206):
                answer.read_all(request.limit)
            if authorization and answer.status >= 400:
                answer.body = authorization.hidden_in(answer.body)
        except BaseException:
            self.pool.drop(connection)
            raise
        return answer

    def _response(self, connection: Connection, request: Request, authorization: Secret | None) -> Response:
        body = request.body
        size = len(body) if isinstance(body, bytes) else body.size - body.start
        cut: OSError | None = None
        whole = False
        try:
            whole = connection.send(self._head(request, size, authorization), body)
        except TimeoutError:
            raise
        except OSError as error:
            cut = error  # an answer may be there all the same: "too large", "who are you"
        try:
            response = connection.answer(
                bodyless=request.method == "HEAD", wait_seconds=size / _COMMIT_BYTES_PER_SECOND
            )
        except OSError as error:
            raise cut or error from None
        response.keep = response.keep and whole
        return response

    def _head(self, request: Request, size: int, authorization: Secret | None) -> bytes:
        url, proxy = request.url, None
        if url.scheme == "http":
            proxy = self.pool.proxy(url)
        target = f"http://{url.host}{url.target}" if proxy else url.target
        lines = [
            f"{request.method} {target} HTTP/1.1",
            f"Host: {url.host}",
            f"User-Agent: {self.options.user_agent}",
        ]
        lines += [f"{name}: {value}" for name, value in request.headers]
        if request.method not in ("GET", "HEAD"):
            lines.append(f"Content-Length: {size}")
        if authorization:
            lines.append(f"Authorization: {authorization.reveal()}")
        if proxy and proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization.reveal()}")
        if any("\r" in line or "\n" in line for line in lines):
            raise InvalidInput(f"a header for {url.host} would hold a line break", "check the settings")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")

    def pause(self, attempt: int, answer: Answer | None) -> None:
        """As long as the peer asks for, up to a limit; else our own back-off."""
        asked = retry_after(answer.headers.get("retry-after", ""), self.clock) if answer else None
        limit = self.options.retry_after_limit_seconds
        self.clock.sleep(backoff(attempt) if asked is None else min(asked, limit))


def backoff(attempt: int) -> float:
    """Exponential, with jitter so that clients spread."""
    import random

    longest = min(_BACKOFF_SECONDS * 2.0**attempt, _BACKOFF_LIMIT_SECONDS)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret hangs on it


def retry_after(value: str, clock: Clock) -> float | None:
    """Seconds to wait by a Retry-After of seconds or a date (RFC 9110, 10.2.3); else None."""
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - clock.wall())
    except (ValueError, OverflowError):
        return None


def _passes(failure: TreeshipError) -> bool:
    return isinstance(failure, Unavailable)
