"""The accounts of a sandbox and what they share."""

from dataclasses import dataclass, field

from birthright.errors import UsageError
from birthright.sandbox.account import SandboxAccount
from birthright.sandbox.accounts import SandboxAccounts
from birthright.sandbox.changes import Delays
from birthright.sandbox.clock import Clock
from birthright.sandbox.ids import account_of
from birthright.sandbox.log import Log
from birthright.sandbox.organization import SandboxOrganization
from birthright.sandbox.report_csv import Style
from birthright.sandbox.sessions import Sessions


@dataclass(slots=True)
class Cloud:
    """All accounts.

    home: the id of the first account, whose keys have ids that do not tell their account.
    style: how credential reports are written. organization: what the accounts belong to; None is no
    organization.
    """

    clock: Clock
    home: str
    seed: int = 0
    style: Style = field(default_factory=Style)
    delays: Delays = field(default_factory=Delays)
    organization: SandboxOrganization | None = None
    log: Log = field(default_factory=Log)
    accounts: SandboxAccounts = field(init=False)
    sessions: Sessions = field(init=False)

    def __post_init__(self) -> None:
        self.accounts = SandboxAccounts(self.style)
        self.sessions = Sessions(self.seed)

    def account(self, account_id: str) -> SandboxAccount:
        """Return an account that may be changed, and keep it; raises UsageError where there is none."""
        found = self.accounts.keep(account_id)
        if found is None:
            raise UsageError(f"the sandbox has no account {account_id}")
        return found

    def owner(self, access_key_id: str) -> SandboxAccount | None:
        """Return the account that a key or temporary credentials would belong to, to be read."""
        home = self.accounts.get(self.home)
        if home is not None and access_key_id in home.credentials:
            return home
        return self.accounts.get(account_of(access_key_id))

    def required_organization(self) -> SandboxOrganization:
        """Return the organization; raises UsageError where there is none."""
        if self.organization is None:
            raise UsageError("the sandbox's accounts are no organization")
        return self.organization
