"""A bundle to tamper with."""

from pathlib import Path

import pytest

from evidence_helpers import SIGNER, account, bundle, key


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a signed bundle, which no test changes."""
    return bundle(tmp_path_factory.mktemp("whole"), account([key()]), sign_key=SIGNER)
