"""Credentials come from netrc, the keyring and the trusted index's URL; each goes to its host, and nowhere else."""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildkit.errors import AccessDenied, InvalidInput, TreeshipError
from buildkit.testing.index import InProcessIndex, Password, faults
from tests.buildkit.wheels_fetch.support import DEMO, Notes, content, fetcher, of_index

CANARY = "canary-8c2e-fetch"
DATA = content("demo", size=200_000)
KEYRING = """#!/bin/sh
echo "$@" >> "{log}"
[ "$*" = "{words}" ] || exit 1
{answer}
"""


@pytest.fixture
def private() -> Iterator[InProcessIndex]:
    with InProcessIndex({DEMO: DATA}, access=Password("sam", CANARY)) as index:
        yield index


def netrc(folder: Path, text: str) -> dict[str, str]:
    (folder / ".netrc").write_text(text)
    return {"HOME": str(folder), "PATH": ""}


def keyring(folder: Path, words: str, answer: str) -> dict[str, str]:
    """A `keyring` that knows one thing."""
    program = folder / "bin" / "keyring"
    program.parent.mkdir()
    program.write_text(KEYRING.format(log=folder / "argv", words=words, answer=answer))
    program.chmod(0o755)
    return {"HOME": str(folder), "PATH": f"relative:{folder}/bin:/usr/bin:/bin"}


def test_netrc_is_read_for_the_host(tmp_path: Path, private: InProcessIndex) -> None:
    environ = netrc(tmp_path, f"machine 127.0.0.1 login sam password {CANARY}\n")
    with fetcher(tmp_path, hosts=[private.host], environ=environ) as fetch:
        fetch.fetch(of_index(private))
    with fetcher(
        tmp_path / "2", index=private.url, environ={**environ, "NETRC": environ["HOME"] + "/.netrc"}
    ) as fetch:
        fetch.fetch(of_index(private))
    assert [entry.status for entry in private.log] == [200, 200, 200]


def test_netrcs_default_is_for_nobody(tmp_path: Path, private: InProcessIndex) -> None:
    environ = netrc(tmp_path, f"default login sam password {CANARY}\n")
    with fetcher(tmp_path, hosts=[private.host], environ=environ) as fetch, pytest.raises(AccessDenied):
        fetch.fetch(of_index(private))
    assert not any(entry.authorized for entry in private.log)


def test_the_trusted_index_may_have_a_login_in_its_url(tmp_path: Path, private: InProcessIndex) -> None:
    with fetcher(tmp_path, index=f"http://sam:{CANARY}@{private.host}/simple") as fetch:
        fetch.fetch(of_index(private))


@pytest.mark.parametrize("at", ["{host}", "http://{host}/", "http://{host}/simple"])
def test_the_keyring_is_asked_after_a_refusal(tmp_path: Path, private: InProcessIndex, at: str) -> None:
    service = at.format(host=private.host)
    environ = keyring(tmp_path, f"--mode creds get {service}", f"echo sam; echo {CANARY}")
    with fetcher(tmp_path, index=private.url.rstrip("/"), environ=environ) as fetch:
        fetch.fetch(of_index(private))
    assert [entry.status for entry in private.log] == [401, 200, 200]


def test_the_keyring_is_asked_for_the_user_that_the_index_names(
    tmp_path: Path, private: InProcessIndex
) -> None:
    environ = keyring(tmp_path, f"get {private.host} sam", f"echo {CANARY}")
    with fetcher(tmp_path, index=f"http://sam@{private.host}/simple", environ=environ) as fetch:
        fetch.fetch(of_index(private))
    assert "sam" in (tmp_path / "argv").read_text()
    assert CANARY not in (tmp_path / "argv").read_text()


def test_a_keyring_that_knows_nothing_is_asked_once(tmp_path: Path, private: InProcessIndex) -> None:
    private.files["other-1.0-py3-none-any.whl"] = content("other")
    environ = keyring(tmp_path, "nothing", "")
    for _ in range(2):
        with fetcher(tmp_path, hosts=[private.host], environ=environ, jobs=1) as fetch:
            for wheel in of_index(private):
                with pytest.raises(AccessDenied, match="netrc or the keyring"):
                    fetch.fetch([wheel])
    assert len((tmp_path / "argv").read_text().splitlines()) == 4


def test_a_login_is_not_taken_along_by_a_redirect(tmp_path: Path, private: InProcessIndex) -> None:
    environ = netrc(tmp_path, f"machine 127.0.0.1 login sam password {CANARY}\n")
    with InProcessIndex({DEMO: DATA}) as storage:
        private.faults.append(faults.Moved(f"http://{storage.host}"))
        with fetcher(tmp_path, hosts=[private.host, storage.host], environ=environ) as fetch:
            fetch.fetch(of_index(private))
        assert private.log[0].authorized
        assert not any(entry.authorized for entry in storage.log)


def test_the_indexes_login_is_not_for_files_at_other_hosts(tmp_path: Path, private: InProcessIndex) -> None:
    with InProcessIndex({DEMO: DATA}) as storage:
        private.elsewhere = f"http://{storage.host}"
        index = f"http://sam:{CANARY}@{private.host}/simple"
        with fetcher(tmp_path, index=index, hosts=["unrelated", storage.host]) as fetch:
            fetch.fetch(of_index(private))
        assert not any(entry.authorized for entry in storage.log)


def test_a_malformed_netrc_is_said_and_not_quoted(tmp_path: Path, private: InProcessIndex) -> None:
    for text in (f"machine 127.0.0.1 {CANARY} {CANARY}\n", f"machine x login {CANARY}\udcff"):
        (tmp_path / ".netrc").write_bytes(text.encode(errors="surrogateescape"))
        environ = {"HOME": str(tmp_path)}
        with fetcher(tmp_path, hosts=[private.host], environ=environ) as fetch:
            with pytest.raises(InvalidInput, match="netrc is malformed") as caught:
                fetch.fetch(of_index(private))
        assert CANARY not in told(caught.value)


def told(error: BaseException) -> str:
    """Everything that a log or a terminal could show of an error, its causes too."""
    parts = ["".join(traceback.format_exception(error))]
    link: BaseException | None = error
    while link is not None:
        parts += [str(link), repr(link), repr(vars(link))]
        link = link.__cause__ or link.__context__
    return "\n".join(parts)


FAILURES = [
    faults.Status(403),
    faults.Status(404),
    faults.Status(500, body=CANARY.encode()),
    faults.DropBefore(),
    faults.Cut(10, times=faults.ALWAYS),
    faults.Instead(DATA[:-1] + b"?"),
    faults.Instead(CANARY.encode()),
    faults.Moved(f"http://sam:{CANARY}@evil.example/?signature={CANARY}"),
    faults.Moved(f"http://[{CANARY}"),
    faults.Instead(CANARY.encode(), "GET page", kind="text/html"),
    faults.Instead(CANARY.encode(), "GET page", kind="application/json"),
    faults.Instead(
        f'<a href="https://sam:{CANARY}@x.example/{DEMO}">x</a>'.encode(), "GET page", kind="text/html"
    ),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda each: f"{type(each).__name__} {each.verb}")
def test_the_password_is_seen_nowhere(
    tmp_path: Path,
    private: InProcessIndex,
    failure: faults.Status,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    private.faults.append(failure)
    (tmp_path / "home").mkdir()
    netrc(tmp_path / "home", f"machine 127.0.0.1 login sam password {CANARY}\n")
    environ = keyring(tmp_path, f"--mode creds get {private.host}", f"echo sam; echo {CANARY}")
    environ["HOME"] = str(tmp_path / "home")
    index = f"http://sam:{CANARY}@{private.host}/simple"
    with fetcher(tmp_path / "cache", index=index, environ=environ, notes=(notes := Notes())) as fetch:
        with pytest.raises(TreeshipError) as caught:
            fetch.fetch(of_index(private))
    said = [told(caught.value), caplog.text, *capfd.readouterr(), *notes]
    said += [
        path.read_bytes().decode("latin-1") for path in (tmp_path / "cache").rglob("*") if path.is_file()
    ]
    said += [path.read_text() for path in tmp_path.glob("argv")]
    for spelling in (CANARY, base64.b64encode(f"sam:{CANARY}".encode()).decode()):
        assert not [each for each in said if spelling in each]


def test_nothing_of_it_is_in_the_files_of_a_run_that_went_well(
    tmp_path: Path, private: InProcessIndex
) -> None:
    environ = netrc(tmp_path, f"machine 127.0.0.1 login sam password {CANARY}\n")
    with fetcher(tmp_path / "cache", hosts=[private.host], environ=environ) as fetch:
        said = repr(fetch.fetch(of_index(private)))
    assert CANARY not in said
    assert not [path for path in (tmp_path / "cache").rglob("*.*") if CANARY.encode() in path.read_bytes()]
