"""People are told of what is new, in few words; nobody learns a URL, and nothing else goes wrong."""

import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from birthright.delivery.notifications import check_urls, notify
from birthright.errors import UsageError
from birthright.findings.model import Changes, Finding, Waiver
from birthright.reports.interface import Report
from birthright.secret import Secret
from hub_helpers import failure, line, report
from plan_helpers import AS_OF

TOKEN = "t0psecret"
WAIVER = Waiver("accepted", "ops", None, date(2026, 11, 1), date(2026, 12, 1))


class Ear:
    """A webhook: what it was told, and what it answers."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.status = 200
        self.port = 0
        self.let_go = threading.Event()
        self.let_go.set()

    @property
    def url(self) -> str:
        """Return its URL in Apprise's form, with a token in it."""
        return f"json://127.0.0.1:{self.port}/{TOKEN}"

    @property
    def text(self) -> str:
        """Return the one message."""
        (heard,) = self.heard
        return f"{heard['title']}\n{heard['message']}"


@pytest.fixture
def ear() -> Iterator[Ear]:
    hears = Ear()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hears.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            hears.let_go.wait(10)
            self.send_response(hears.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hears.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield hears
        hears.let_go.set()
        server.shutdown()
        thread.join()


def compared(*findings: Finding) -> Report:
    """Make a report of findings that were compared with an earlier scan."""
    made = report(findings).document
    changes = Changes("20261121T100000Z-000000", AS_OF, 0, 0, 0, 0, 0)
    return Report(msgspec.structs.replace(made, changes=changes))


def told(made: Report, *urls: str) -> tuple[str, ...]:
    """Check the URLs, then notify."""
    return notify(made, check_urls(urls))


def test_new_ones_only(ear: Ear) -> None:
    """New and reappeared failures are told; what was there before, is waived, unknown or passes is not."""
    made = compared(
        failure(1, state="new", risk="high"),
        failure(2, state="reappeared"),
        failure(3, state="persisting"),
        failure(4, state="new", waiver=WAIVER),
        failure(5, state="new", verdict="unknown"),
        failure(6, state="new", verdict="pass"),
    )
    assert told(made, ear.url) == ()
    assert "birthright: 2 new findings\n2 new findings in 1 account: 1 high, 1 low." in ear.text
    assert "1 of them had been fixed before." in ear.text
    assert [n for n in range(1, 7) if f"user-{n}" in ear.text] == [1, 2]


def test_root_is_called_root(ear: Ear) -> None:
    """Not by the name that the credential report has for it."""
    told(report([failure(1, user_name="<root_account>", access_key_id=None)]), ear.url)
    assert "111122223333 root: " in ear.text


def test_nothing_new_is_silence(ear: Ear) -> None:
    """No message says that there is no news."""
    assert told(compared(failure(1, state="persisting")), ear.url) == ()
    assert told(report(), ear.url) == ()
    assert not ear.heard


def test_without_a_comparison_all_failures_are_new(ear: Ear) -> None:
    """So it is with the first scan."""
    told(report([failure(1), failure(2, verdict="unknown")]), ear.url)
    assert "1 new finding in 1 account" in ear.text


def test_the_ten_riskiest_are_named(ear: Ear) -> None:
    """The rest is counted; keys are shown by their last four letters."""
    few = [failure(number, state="new", risk="critical") for number in range(90, 93)]
    many = [failure(number, state="new", access_key_id="AKIAEXAMPLE00000ABCD") for number in range(20, 60)]
    told(compared(*many, *few), ear.url)
    lines = [text for text in ear.text.splitlines() if text.startswith("- ")]
    assert [text.split()[3] for text in lines] == [f"user-{n}" for n in [90, 91, 92, *range(20, 27)]]
    assert "and 33 more" in ear.text
    assert "(key ...ABCD)" in ear.text
    assert "AKIA" not in ear.text
    assert len(ear.text) < 4000


def test_an_incomplete_scan_says_so(ear: Ear) -> None:
    """Few findings may only mean that little was read."""
    told(report([failure(1)], [line(status="partial")]), ear.url)
    assert "Not everything could be read." in ear.text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[31mb\u202e", "a\\x1b[31mb\\u202e"),
        ("@everyone", "@\u200beveryone"),
        ("a@here", "a@\u200bhere"),
        ("ann@example.com", "ann@example.com"),
        ("<!channel>", "\u2039!channel\u203a"),
        ("two\nlines", "two\\nlines"),
        ("n" * 5000, "n" * 97 + "..."),
    ],
)
def test_a_stranger_s_text_does_nothing(name: str, shown: str, ear: Ear) -> None:
    """Control characters are shown, nobody is called by a user's name or a reason, and nothing is long."""
    told(report([failure(1, user_name=name, reason=name)]), ear.url)
    assert f" {shown} (key" in ear.text
    assert f": {shown[:97]}" in ear.text
    assert len(ear.text) < 1000


def test_everybody_is_told_whoever_else_fails(
    ear: Ear, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal and a closed port are one line each, which shows no URL; nothing else is written anywhere."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = f"json://127.0.0.1:{taken.getsockname()[1]}/{TOKEN}"
        with caplog.at_level(logging.DEBUG):
            done = told(report([failure(1)]), closed, ear.url)
    assert len(ear.heard) == 1
    assert done == (
        "the notification URL json://... did not get through: it was refused, or nobody is there",
    )
    assert TOKEN not in "".join([*done, *capfd.readouterr(), caplog.text])


def test_a_server_that_fails(ear: Ear, capfd: pytest.CaptureFixture[str]) -> None:
    """500 is a line, not an error."""
    ear.status = 500
    assert len(told(report([failure(1)]), ear.url)) == 1
    assert not "".join(capfd.readouterr())


def test_a_server_that_hangs(ear: Ear) -> None:
    """Nobody waits longer than the deadline."""
    ear.let_go.clear()
    urls = check_urls([ear.url, ear.url])
    begun = time.monotonic()
    done = notify(report([failure(1)]), urls, deadline=0.3)
    assert time.monotonic() - begun < 2
    assert [text.rpartition(": ")[2] for text in done] == ["no answer in time"] * 2


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"nonsense://{TOKEN}", "nonsense://..."),
        (f"slack://{TOKEN}", "slack://..."),
        (f"https://{TOKEN}.example.com/hook", "https://..."),
        (TOKEN, "without a scheme"),
        (f"{TOKEN}longer_than_any_scheme://x", "without a scheme"),
        ("", "without a scheme"),
    ],
)
def test_a_wrong_url_is_told_without_it(url: str, shown: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The error says which one, by number and scheme."""
    with pytest.raises(UsageError) as caught:
        check_urls(["json://127.0.0.1:9", url])
    assert shown in str(caught.value)
    assert "(number 2)" in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert not "".join(capfd.readouterr())


def test_urls_come_from_files_and_the_environment(tmp_path: Path) -> None:
    """Not from the command line, which everybody on the machine can read; options win over the variable."""
    file = tmp_path / "urls"
    file.write_text(f"# chat\njson://127.0.0.1:1/{TOKEN}\n\n  json://127.0.0.1:2\n")
    both = [f"json://127.0.0.1:1/{TOKEN}", "json://127.0.0.1:2"]
    env = {"BIRTHRIGHT_NOTIFY": f"json://127.0.0.1:3\n@{file}"}
    assert _revealed(check_urls([f"@{file}"], {})) == both
    assert _revealed(check_urls([], env)) == ["json://127.0.0.1:3", *both]
    assert _revealed(check_urls(["json://127.0.0.1:4"], env)) == ["json://127.0.0.1:4"]
    assert check_urls([], {}) == ()
    assert TOKEN not in repr(check_urls([f"@{file}"], {}))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"# nothing\n", "names no URL"),
        (b"\xff\xfe", "is no text"),
        (b"json://127.0.0.1:9\n" * 4000, "is too large"),
    ],
)
def test_a_wrong_file(content: bytes | None, why: str, tmp_path: Path) -> None:
    """It is named; what is in it is not shown."""
    file = tmp_path / "urls"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=why):
        check_urls([f"@{file}"])


def test_a_file_of_nobody_s() -> None:
    """A home folder of somebody who is not there is one line, too."""
    with pytest.raises(UsageError, match="there is no such user"):
        check_urls(["@~no-such-user/urls"])


def test_without_apprise(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra; the error says which."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(UsageError, match=r"pip install 'birthright\[notify\]'"):
        check_urls(["json://127.0.0.1:9"])
    assert check_urls([], {}) == ()
    assert notify(report([failure(1)]), ()) == ()


def _revealed(urls: tuple[Secret, ...]) -> list[str]:
    return [url.reveal() for url in urls]
