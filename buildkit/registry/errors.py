"""What registries answer, translated once into the tree of errors (distribution-spec, "Error Codes").

Nothing that a registry sends is repeated without `clean`: it may be long, or hold control characters.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from buildkit.errors import AccessDenied, InvalidInput, NotFound, TreeshipError, Unavailable

RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
# What a manifest is refused with while something that it names is not there.
MISSING_CONTENT = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"})


class ConnectionLost(Unavailable):
    """No complete answer came: refused, reset, timed out or malformed."""


class RegistryError(NamedTuple):
    """The first error of an answer's body, and all its digests."""

    codes: frozenset[str]
    text: str
    digests: frozenset[str]


def clean(text: str, limit: int = 200) -> str:
    """Printable, in one line, not long; without what follows `?` in a URL and without its userinfo."""
    text = re.sub(r"(https?://[^\s?\"']*)\?[^\s\"']*", r"\1?...", text[: limit * 8])
    text = re.sub(r"(https?://)[^\s/@\"']*@", r"\1", text)
    text = "".join(c if c.isprintable() else " " for c in text).strip()
    return text if len(text) <= limit else text[: limit - 3] + "..."


def parse_errors(body: bytes) -> RegistryError:
    """From `{"errors": [{"code", "message", "detail"}]}`; anything else gives no codes."""
    digests = frozenset(re.findall(r"sha256:[0-9a-f]{64}", body[:65536].decode("latin-1")))
    try:
        value = json.loads(body[:65536])
        entries = [entry for entry in value["errors"] if isinstance(entry, dict)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return RegistryError(frozenset(), "", digests)
    codes = frozenset(str(entry.get("code", ""))[:80] for entry in entries)
    texts = [f"{entry.get('code', '')} {entry.get('message', '')}".strip() for entry in entries[:1]]
    return RegistryError(codes, clean(texts[0]) if texts else "", digests)


def refusal(status: int, body: bytes, *, doing: str, host: str, repository: str) -> TreeshipError:
    """The error for an answer that was not what `doing` needs."""
    said = parse_errors(body).text
    what = f"{doing} {host}/{repository}: HTTP {status}{said and f' ({said})'}"
    match status:
        case 401 | 403:
            return AccessDenied(what, f"run `docker login {host}`, or ask for access to {repository}")
        case 404:
            return NotFound(what, f"check the name, and that you may see {host}/{repository}")
        case 413:
            return InvalidInput(what, f"a layer is larger than {host} (or a proxy before it) takes")
        case _ if status in RETRYABLE or status >= 500:
            return Unavailable(what, f"{host} is in trouble or wants you to slow down; try again later")
        case _ if 400 <= status < 500:
            return InvalidInput(what, f"{host} does not accept this request")
        case _:
            return Unavailable(what, f"{host} answered in a way that makes no sense here; is it a registry?")


def lost(error: OSError, host: str) -> TreeshipError:
    """The error for a connection that could not be made or did not last."""
    name = type(error).__name__
    if name == "SSLCertVerificationError":
        return InvalidInput(f"the TLS certificate of {host} is not trusted: {clean(str(error))}",
                            "name its authority with the ca_file setting or SSL_CERT_FILE")  # fmt: skip
    if name == "SSLError" and any(
        word in str(error) for word in ("WRONG_VERSION", "HTTP_REQUEST", "RECORD_LAYER")
    ):
        return InvalidInput(f"{host} does not speak TLS", f"if that is meant: --insecure {host}")
    if isinstance(error, TimeoutError):
        return ConnectionLost(f"{host} did not answer in time", "try again; or raise the time-out")
    if isinstance(error, ConnectionRefusedError):
        return ConnectionLost(f"{host} refuses connections", "is the registry running, and the port right?")
    if name == "gaierror":
        return ConnectionLost(f"the name of {host} is not known here", "check the name and the network")
    reason = clean(error.strerror or str(error) or name)
    return ConnectionLost(f"the connection to {host} was lost: {reason}", "try again")
