"""HTTP for LFS, on the requests library: retries, redirects, and to whom credentials may be shown.

requests costs 100 ms to import, so nothing imports this module before content has to be fetched.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter

from buildkit import __version__
from buildkit.errors import AccessDenied, InvalidInput, Refused, Unavailable
from buildkit.registry.secret import Secret
from buildkit.registry.url import is_loopback

_T = TypeVar("_T")
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_MOVED = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
CHUNK = 1 << 20


class HttpOptions(NamedTuple):
    """What may be set about talking to LFS servers; it never comes from the commit that is being built."""

    insecure: frozenset[str] = frozenset()
    ca_file: str = ""
    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    attempts: int = 5
    longest_wait_seconds: float = 60.0
    jobs: int = 4


class Transient(Unavailable):
    """Trying again may help, after `wait` seconds where the server named them."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what, "the LFS server or the way to it failed; try again later")
        self.wait = wait


class Request(NamedTuple):
    """One request. `secret`, an Authorization value, and `headers` are meant for the URL's own origin only."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    secret: Secret | None = None


class Http:
    """Sends requests, from any thread."""

    def __init__(self, options: HttpOptions, sleep: Callable[[float], None] = time.sleep) -> None:
        self.options = options
        self._sleep = sleep
        self._context = _tls(options.ca_file)
        self._threads = threading.local()

    def persistently(self, action: Callable[[], _T]) -> _T:
        """The action's result, as often as it takes; what is Transient at the last attempt is raised."""
        for attempt in range(1, self.options.attempts):
            try:
                return action()
            except Transient as failure:
                wait = 0.5 * 2**attempt if failure.wait is None else failure.wait
                self._sleep(min(wait, self.options.longest_wait_seconds))
        return action()

    def send(self, request: Request) -> requests.Response:
        """One attempt; the body of the answer is still to be read. Raises Transient for what may pass."""
        for _ in range(_MOST_REDIRECTS + 1):
            self._refuse_plain(request.url)
            response = self._once(request)
            if response.status_code in _AGAIN:
                response.close()
                raise Transient(
                    f"{shown(request.url)} answered {response.status_code}", _retry_after(response)
                )
            location = response.headers.get("Location")
            if response.status_code not in _MOVED or not location:
                return response
            response.close()
            request = _moved(request, joined(request.url, location))
        raise InvalidInput(f"{shown(request.url)} redirects without end", "check the setting lfs.url")

    def chunks(self, response: requests.Response, url: str) -> Iterator[bytes]:
        """The body, piece by piece."""
        with _translated(url):
            yield from response.iter_content(CHUNK)

    def _once(self, request: Request) -> requests.Response:
        headers = {"User-Agent": f"treeship/{__version__}", "Accept-Encoding": "identity", **request.headers}
        if request.secret:
            headers["Authorization"] = request.secret.reveal()
        with _translated(request.url):
            return self._session().request(
                request.method,
                request.url,
                headers=headers,
                data=request.body or None,
                stream=True,
                allow_redirects=False,
                timeout=(self.options.connect_seconds, self.options.read_seconds),
                proxies=dict(requests.utils.get_environ_proxies(request.url)),
            )

    def _session(self) -> requests.Session:
        """One a thread: requests does not promise that sessions may be shared."""
        session: requests.Session | None = getattr(self._threads, "session", None)
        if session is None:
            session = self._threads.session = requests.Session()
            # Else requests would look into netrc for every host that a server sends us to.
            session.trust_env = False
            session.mount("https://", _Adapter(self._context))
        return session

    def _refuse_plain(self, url: str) -> None:
        parts = urlsplit(url)
        named = {
            parts.netloc.rpartition("@")[2],
            f"{parts.hostname}:{parts.port or 80}",
            parts.hostname or "",
        }
        if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            return
        if parts.scheme != "http" or not named & self.options.insecure:
            fault = f"{shown(url)} is not https, and LFS content and credentials would go over it"
            raise Refused(fault, "use https, or allow the host with --insecure")


class _Adapter(HTTPAdapter):
    """Trusts what the context trusts, not the list that comes with requests."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing to add to the context, which verifies."""


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Errors of requests leave the block as errors of the tree; their own text may hold signed URLs."""
    where = shown(url)
    try:
        yield
    except requests.exceptions.SSLError:
        remedy = "name the authority's certificate with --ca-file"
        raise InvalidInput(f"no trust in the certificate of {where}", remedy) from None
    except requests.exceptions.Timeout:
        raise Transient(f"{where} did not answer in time") from None
    except (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL):
        fault = f"the LFS server gave a malformed address or header for {where}"
        raise InvalidInput(fault, "tell its administrator") from None
    except requests.exceptions.RequestException:
        raise Transient(f"the connection to {where} failed") from None


def joined(base: str, address: str) -> str:
    """Where an address that a server gave leads. Raises InvalidInput, without the address, for what is none."""
    try:
        url = urljoin(base, address)
        # Both are read lazily, and would fail later, anywhere.
        _ = urlsplit(url).hostname, urlsplit(url).port
    except ValueError:
        raise InvalidInput("the LFS server has a malformed address", "check the setting lfs.url") from None
    return url


def shown(url: str) -> str:
    """A URL without credentials and query, which may hold a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def same_origin(one: str, other: str) -> bool:
    """Whether what is meant for one URL's server may be shown to the other's."""
    return _origin(one) == _origin(other)


def denied(status: int, url: str, asked: bool) -> AccessDenied:
    """The error for 401 and 403; `asked` says whether credentials were shown."""
    remedy = "check these credentials and their rights" if asked else (
        "put credentials into ~/.netrc, a git credential helper, or TREESHIP_LFS_URL")  # fmt: skip
    return AccessDenied(f"{shown(url)} answered {status}{' to our credentials' if asked else ''}", remedy)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _moved(request: Request, url: str) -> Request:
    if same_origin(request.url, url):
        return request._replace(url=url)
    # What was meant for the first server is none of the second one's business.
    headers = {name: value for name, value in request.headers.items() if name in ("Accept", "Content-Type")}
    if request.url.startswith("https://") and not url.startswith("https://"):
        raise Refused(f"{shown(request.url)} redirects from https to {shown(url)}", "tell its administrator")
    return request._replace(url=url, headers=headers, secret=None)


def _retry_after(response: requests.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _tls(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ValueError):
            raise InvalidInput(
                f"cannot read certificates from {ca_file}", "check the setting ca_file"
            ) from None
    return context
