"""Where an operation works: its settings, the store of its scans, its journal, and who hears its warnings."""

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from birthright.settings import Settings, load_settings

if TYPE_CHECKING:
    from birthright.findings.model import DocumentScan
    from birthright.retirement.journal.journal import Journal
    from birthright.scans.record import ScanInfo
    from birthright.scans.store import Store

Warn = Callable[[str], None]


def silent(_: str) -> None:
    """Drop a warning."""


class Workspace:
    """The places that settings, or their caller, name; `config` is the settings' file, if it was named.

    `profile` is whose credentials open a bucket. `warn` takes a line about what is no reason to stop.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        store: str | None = None,
        journal: str | None = None,
        profile: str | None = None,
        warn: Warn = silent,
    ) -> None:
        self.settings = settings or Settings()
        self.config: Path | None = None
        self.warn = warn
        self._store = store
        self._journal = journal
        self.profile = profile

    @classmethod
    def load(
        cls,
        config: Path | None,
        *,
        store: str | None = None,
        journal: str | None = None,
        profile: str | None = None,
        warn: Warn = silent,
    ) -> "Workspace":
        """Read the settings: the file named, or ./birthright.toml where there is one. Raises UsageError."""
        place = cls(load_settings(config), store=store, journal=journal, profile=profile, warn=warn)
        place.config = config
        return place

    @cached_property
    def store(self) -> "Store":
        """The store of scans: as named, in the settings, BIRTHRIGHT_STORE, or the user's data folder.

        Raises UsageError, StoreError, CredentialsError.
        """
        from birthright.scans.opening import open_store

        return open_store(self._store_name(), self.profile or self.settings.scan.profile)

    @property
    def journal_place(self) -> str:
        """The journal: as named, in the settings, or journal.sqlite in the store's folder."""
        named = self._store_name()
        folder = Path(_data_folder() if "://" in named else named).expanduser()
        return self._journal or self.settings.retirement.journal or str(folder / "journal.sqlite")

    def options(self) -> list[str]:
        """Repeat the options without which the same scans, or AWS, would not be found again."""
        said = {"--store": self._store, "--config": self.config, "--profile": self.profile}
        return [word for name, value in said.items() if value for word in (name, str(value))]

    @property
    def names_journal(self) -> bool:
        """Whether the caller named the journal, so that it has to exist."""
        return bool(self._journal)

    def open_journal(self, *, must_exist: bool = True) -> "Journal":
        """Open the journal; a context manager. Raises JournalError, UsageError."""
        from birthright.retirement.journal.opening import open_journal

        return open_journal(self.journal_place, must_exist=must_exist)

    def warn_incomplete(self, scan: "DocumentScan | ScanInfo", *, complete: bool) -> None:
        """Warn, in one line, of a scan that lacks something."""
        if scan.finished and complete:
            return
        why = "not everything could be read"
        if not scan.finished:
            why = f"it did not finish; 'birthright scan --resume {scan.id}' goes on"
        self.warn(f"scan {scan.id} is not complete: {why}")

    def _store_name(self) -> str:
        return self._store or self.settings.scan.store or os.environ.get("BIRTHRIGHT_STORE") or _data_folder()


def _data_folder() -> str:
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return f"{data}/birthright"
