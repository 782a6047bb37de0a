"""HTTP, steering from outside, and the command."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from birthright.errors import UsageError
from birthright.sandbox import Sandbox

Make = Callable[..., Any]
Refused = Callable[..., tuple[str, int]]

Json = dict[str, Any]


def steer(box_url: str, name: str, body: object = None, kind: str = "application/json") -> Json:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{box_url}/_sandbox/{name}", data, {"Content-Type": kind})  # noqa: S310
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        found: Json = json.load(answer)
        return found


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "localhost"])
def test_only_loopback(address: str) -> None:
    """An address others can reach, or a name that may mean anything, is refused."""
    with pytest.raises(UsageError):
        Sandbox.create(users=0, listen=address)


def test_remote_on_demand() -> None:
    """Who says so may listen elsewhere."""
    assert Sandbox.create(users=0, listen="0.0.0.0", allow_remote=True)


def test_a_taken_port_is_told(box: Sandbox) -> None:
    """A port in use is a clear error, in the thread that asked."""
    port = int(box.url.rpartition(":")[2])
    with pytest.raises(UsageError, match="cannot listen"), Sandbox.create(users=0, port=port).running():
        pass


def test_pipelined_requests_are_answered_in_order(box: Sandbox) -> None:
    """Two requests in one packet get two answers, in order, also with latency."""
    box.latency.ms = 5
    host, _, port = box.url.removeprefix("http://").partition(":")
    one = b"GET /_sandbox/nothing HTTP/1.1\r\nHost: x\r\n\r\n"
    two = b"GET /_sandbox/state HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(one + two)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.index(b"404 Not Found") < answer.index(b"200 OK")


def test_no_http_is_400(box: Sandbox) -> None:
    """What is not HTTP is told so and hung up on; the sandbox lives on."""
    host, _, port = box.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"not http at all\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert steer(box.url, "state")["total"] == 0


def test_ipv6_loopback(client: Make) -> None:
    """::1 is loopback too, and its URL is bracketed."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with Sandbox.create(users=0, listen="::1").running() as box:
        assert box.url.startswith("http://[::1]:")
        assert client(box, "sts").get_caller_identity()["Account"] == box.account_id


def test_steering_from_outside(box: Sandbox, client: Make, refused: Refused) -> None:
    """Clock, faults, pace and counts can be read and set over HTTP."""
    iam = client(box)
    steer(box.url, "clock", {"set": "2030-01-01T00:00:00Z"})
    assert steer(box.url, "clock", {"advance": "4h"})["clock"].startswith("2030-01-01T04:00:0")
    steer(box.url, "faults", {"faults": [{"kind": "service-failure", "times": 1}], "clear": True})
    assert refused(iam.list_users) == ("ServiceFailure", 500)
    assert steer(box.url, "pace", {"throttle": 7.5, "latency_ms": 1})["throttle"] == 7.5
    state = steer(box.url, "state")
    assert (state["calls"], state["errors"]) == ({"ListUsers": 1}, {"ServiceFailure": 1})
    assert steer(box.url, "reset-counts", {})["total"] == 0
    expected = steer(box.url, "expected")["expected"]
    assert expected[0]["user_name"] == "<root_account>"


@pytest.mark.parametrize(
    ("name", "body", "kind", "status"),
    [
        ("clock", {"set": "soon"}, "application/json", 400),
        ("clock", {"advance": "a bit"}, "application/json", 400),
        ("faults", {"faults": [{"kind": "earthquake"}]}, "application/json", 400),
        ("faults", {}, "application/x-www-form-urlencoded", 415),
        ("nothing", {}, "application/json", 404),
    ],
)
def test_steering_that_is_not_understood(
    box: Sandbox, name: str, body: object, kind: str, status: int
) -> None:
    """Nonsense is told so; what a web page's form could send is not obeyed."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        steer(box.url, name, body, kind)
    caught.value.close()
    assert caught.value.code == status


def start(*args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "birthright.sandbox", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command() -> None:
    """The first line is the URL, the others set up a shell; Ctrl-C ends it without a traceback."""
    with start("--users", "3", "--clock", "2026-01-02T03:04:05Z", "--freeze") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        assert steer(url, "state")["clock"] == "2026-01-02T03:04:05Z"
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        rest, errors = process.stdout.read(), process.stderr.read()
    assert f"export AWS_ENDPOINT_URL={url}\n" in rest
    assert "export AWS_ACCESS_KEY_ID=AKIASANDBOX000000001\n" in rest
    assert (process.returncode, errors) == (0, "stopped\n")


def test_the_command_refuses_in_one_line() -> None:
    """A wrong option ends with 2 and one line."""
    with start("--listen", "0.0.0.0") as process:
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 2
    assert errors == "0.0.0.0 is not loopback (listen on 127.0.0.1 or ::1)\n"


def test_the_environment_is_enough(box: Sandbox) -> None:
    """A process with `environment()` needs nothing else to reach the sandbox."""
    script = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PATH": os.environ["PATH"], **box.environment()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "arn:aws:iam::111122223333:user/birthright-scanner"
