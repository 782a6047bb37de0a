"""Nobody's own AWS configuration, and no proxies."""

import os

import pytest


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the process keys of nobody."""
    for name in os.environ:
        if name.startswith(("AWS_ENDPOINT_URL", "BIRTHRIGHT_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
