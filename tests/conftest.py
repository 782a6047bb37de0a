"""For every test: no network but loopback, and nobody's own AWS configuration, home or store."""

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from postgresql_helpers import tell_what_was_skipped
from timing_helpers import tell_where_time_goes

# How long an example takes says more about the machine than about us.
settings.register_profile("birthright", deadline=None)
settings.load_profile("birthright")


class NetworkForbiddenError(AssertionError):
    """A test wanted to leave this machine."""


@pytest.fixture(scope="session", autouse=True)
def only_loopback() -> Iterator[None]:
    """Refuse every connection that leaves the machine, also those of fixtures of any scope."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        yield


@pytest.fixture(scope="module", autouse=True)
def own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give each module an empty home and store, and no AWS settings of whoever runs the tests.

    Once a module, so that fixtures of a module may set what they need on top.
    """
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "BIRTHRIGHT_"))]:
            patch.delenv(name)
        for name, value in _environment(folder, Path.home()).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(
    scope="module", params=[1, *(pytest.param(number, marks=pytest.mark.slow) for number in (2, 3))]
)
def in_rounds(request: pytest.FixtureRequest) -> int:
    """Run a property three times, twice of which only in `make test-slow`: its examples cost much each."""
    number: int = request.param
    return number


def _environment(folder: Path, home: Path) -> dict[str, str]:
    places = {
        "HOME": "home",
        "XDG_DATA_HOME": "data",
        "BIRTHRIGHT_STORE": "store",
        "AWS_CONFIG_FILE": "aws/config",
        "AWS_SHARED_CREDENTIALS_FILE": "aws/credentials",
    }
    for place in ("home", "data", "aws"):
        (folder / place).mkdir()
    # Package managers that tests start keep their caches and mirrors.
    kept = {
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(home / ".cache")),
        "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME", str(home / ".config")),
    }
    ours = {name: str(folder / place) for name, place in places.items()}
    return {**ours, **kept, "AWS_EC2_METADATA_DISABLED": "true"}


def _guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, address: Any) -> Any:  # noqa: ANN401 - sockets know many addresses
        if self.family in {socket.AF_INET, socket.AF_INET6} and not _is_loopback(address[0]):
            raise NetworkForbiddenError(f"a test connects to {address[0]}")
        return connect(self, address)

    return guarded


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say after everything else where the time went, and what was left out for want of a server."""
    tell_where_time_goes(terminalreporter)
    tell_what_was_skipped(terminalreporter)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End a worker once its results are delivered: DuckDB's bindings would list all that still lives."""
    if hasattr(config, "workerinput"):
        os._exit(0)
