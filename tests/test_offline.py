"""Tests cannot reach the network, nor the configuration of whoever runs them."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

# TEST-NET-1 and the documentation prefix: nobody lives there.
_ELSEWHERE = [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")]


@pytest.mark.parametrize(("family", "host"), _ELSEWHERE)
def test_a_socket_cannot_leave_the_machine(family: int, host: str) -> None:
    """Connecting to another machine is an AssertionError, which nothing takes for a lost connection."""
    with socket.socket(family) as one:
        for connect in (one.connect, one.connect_ex):
            with pytest.raises(AssertionError, match=host):
                connect((host, 443))


def test_asyncio_cannot_leave_the_machine() -> None:
    """The loop's own connections are refused, too."""
    with pytest.raises(AssertionError, match=r"192\.0\.2\.1"):
        asyncio.run(asyncio.open_connection("192.0.2.1", 443))


def test_loopback_is_reached() -> None:
    """Servers on this machine answer."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


def test_the_environment_is_nobodys() -> None:
    """No AWS setting is inherited; home, store and AWS's files are empty places of the test's own."""
    ours = {"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED"}
    assert {name for name in os.environ if name.startswith("AWS_")} == ours
    assert os.environ["AWS_EC2_METADATA_DISABLED"] == "true"
    assert not list(Path.home().iterdir())
    assert not Path(os.environ["AWS_CONFIG_FILE"]).exists()
    assert not Path(os.environ["BIRTHRIGHT_STORE"]).exists()
