"""A journal in each kind of database."""

from collections.abc import Iterator

import pytest

from birthright.retirement.journal.journal import Journal
from birthright.retirement.journal.opening import open_journal
from postgresql_helpers import place, postgresql_server, postgresql_url

__all__ = ["place", "postgresql_server", "postgresql_url"]


@pytest.fixture
def journal(place: str) -> Iterator[Journal]:
    """Open a new journal."""
    with open_journal(place) as journal:
        yield journal
