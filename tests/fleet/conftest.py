"""What tests of scans of many accounts share."""

import pytest

from birthright.aws import query_client
from birthright.fleet import reading


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once where something failed, instead of after some seconds."""
    monkeypatch.setattr(reading, "_BACK_OFF", 0.01)
    monkeypatch.setattr(query_client, "_LONGEST_PAUSE", 0.01)
