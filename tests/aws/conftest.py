"""An event loop in which waiting takes no time, for the tests of the AWS reader."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from transport_helpers import run_jumping


@pytest.fixture(scope="session")
def virtual() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run something in virtual time; whoever it talks to must live in the same loop."""
    return run_jumping
