"""What the tests of account reads share: one scan, its coverage, and a server that says what it is told."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

import pytest

from birthright.aws.session import AwsSession
from birthright.facts.model import AccountFacts, Coverage
from birthright.sandbox import Sandbox, SandboxCredentials
from birthright.scans.request import ReadOptions
from birthright.sources.account import collect_account
from birthright.times import now


def scan(
    box: Sandbox,
    options: ReadOptions | None = None,
    credentials: SandboxCredentials | None = None,
    as_of: datetime | None = None,
) -> AccountFacts:
    """Read the sandbox's account, with the scanner's credentials unless others are given."""
    key = credentials or box.credentials
    environment = box.environment() | {
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
    }
    return scan_in(environment, options, as_of)


def scan_in(
    environment: dict[str, str], options: ReadOptions | None = None, as_of: datetime | None = None
) -> AccountFacts:
    """Read the account of an environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return asyncio.run(collect_account(AwsSession(), options or ReadOptions(), as_of or now()))


def coverage(facts: AccountFacts) -> dict[str, Coverage]:
    """Give the coverage by source."""
    return {line.source: line for line in facts.coverage}


def statuses(facts: AccountFacts) -> dict[str, str]:
    """Give the status by source."""
    return {line.source: line.status for line in facts.coverage}


ALL_OK = {"GetCredentialReport": "ok", "ListUsers": "ok", "ListAccessKeys": "ok"}
Answer = Callable[[dict[str, str]], str]


class Canned:
    """A server of the query protocol: `answers[action]` makes the inside of the result."""

    def __init__(self, **answers: Answer | str) -> None:
        self.answers = answers
        self.calls: Counter[str] = Counter()
        self.url = ""

    def environment(self) -> dict[str, str]:
        """Return what an AWS client needs to talk to it."""
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        return {"AWS_ENDPOINT_URL": self.url, "AWS_REGION": "us-east-1", **dict.fromkeys(names, "x" * 20)}

    def body(self, call: dict[str, str]) -> str:
        """Answer one call."""
        action = call["Action"]
        self.calls[action] += 1
        answer = self.answers[action]
        inside = answer if isinstance(answer, str) else answer(call)
        return f"<{action}Response><{action}Result>{inside}</{action}Result></{action}Response>"

    @contextmanager
    def running(self) -> Iterator["Canned"]:
        """Serve for as long as the block lasts."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        canned = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["content-length"])).decode()
                body = canned.body(dict(parse_qsl(text))).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
