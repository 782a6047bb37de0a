"""Changes AWS as a plan says: opens retirements, advances those that are due, undoes one. All journaled."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from birthright.aws.clock import AwsClock
from birthright.aws.own_keys import own_keys
from birthright.aws.role import Role
from birthright.aws.session import AwsSession
from birthright.errors import UsageError
from birthright.operations.requests import ApplyRequest, CallerChoice, RetirementQuery
from birthright.operations.workspace import Workspace
from birthright.retirement.engine.accounts import AccountDirectory
from birthright.retirement.engine.run import Stop, holder, run_all, run_one
from birthright.retirement.engine.state_machine import Result, advance
from birthright.retirement.engine.task import RunContext
from birthright.retirement.engine.undo import undo
from birthright.retirement.journal.journal import Journal
from birthright.retirement.model import WANTED_BACK, Retirement
from birthright.retirement.planning.guards import protecting
from birthright.retirement.planning.orders import orders
from birthright.retirement.planning.plan import Plan
from birthright.retirement.planning.plan_file import check_fresh
from birthright.retirement.planning.vetting import vet
from birthright.times import parse_duration

Confirm = Callable[[Plan], bool]

_SESSION_NAME = "birthright-retire"


class Retiring:
    """A run that changes AWS: who asks, the journal, the accounts. `stop` ends it between two steps."""

    def __init__(self, workspace: Workspace, caller: CallerChoice, journal: Journal) -> None:
        settings = workspace.settings
        profile = caller.profile or settings.scan.profile
        self.settings = settings.retirement
        self.warn = workspace.warn
        self.stop: Stop = Stop()
        clock = AwsClock()
        role = Role(caller.role, caller.external_id, _SESSION_NAME) if caller.role else None
        session = AwsSession(profile, caller.region or settings.scan.region)
        self.accounts: AccountDirectory = AccountDirectory(session, clock, role, self.stop.sleep)
        self.tools: RunContext = RunContext(
            journal=journal,
            now=clock.now,
            sleep=self.stop.sleep,
            stopping=self.stop.is_set,
            holder=holder(),
            lease=parse_duration(settings.retirement.lease),
            own_key_ids=frozenset(own_keys(profile)),
        )

    def begin(self, plan: Plan, request: ApplyRequest, confirm: Confirm) -> list[Retirement] | None:
        """Open the plan's retirements once `confirm` agreed; None if it did not.

        Raises PlanError for a plan that has expired or goes beyond the settings, UsageError.
        """
        caller, now = self.accounts.own.identity.arn, self.tools.now()
        check_fresh(plan, now)
        vet(plan, self.settings, request.handover)
        if self.settings.require_ticket and not request.ticket:
            raise UsageError("a ticket is required here", "name the change's ticket with --ticket")
        if not confirm(plan):
            return None
        wanted = orders(plan, ticket=request.ticket, reason=request.reason, by=caller, now=now)
        opened, standing = self.tools.journal.begin(wanted, caller, again=request.again)
        self._warn_of_restored(standing, plan.id)
        return opened + standing

    def due(self) -> list[Retirement]:
        """Find what can be continued now, by AWS's clock; users who are protected by now are left alone."""
        self.accounts.own  # noqa: B018 - the answer sets the clock
        due = self.tools.journal.due(self.tools.now())
        spared = [r for r in due if protecting(r.user_name, r.user_arn, self.settings.protected) is not None]
        for r in spared:
            self.warn(f"{r.user_name} is protected by now: {r.access_key_id} is left as it is")
        return [r for r in due if r not in spared]

    def advance(self, retirements: Sequence[Retirement]) -> Iterator[Result]:
        """Advance each as far as it comes now; yield how far that is, as they come. Raises JournalError."""
        yield from run_all(retirements, advance, self.tools, self.accounts)

    def undo(self, key: str) -> list[Result]:
        """Enable a key again that was disabled, and close its retirement. Raises UsageError."""
        return [run_one(one, undo, self.tools, self.accounts) for one in self._to_undo(key)]

    def _to_undo(self, key: str) -> list[Retirement]:
        """Find the key's last retirement and, if that found it disabled, the one that left it so."""
        found = [r for r in self.tools.journal.find(key=key) if r.access_key_id == key]
        if not found:
            raise UsageError(f"the journal knows no retirement of {key}", "'birthright status' lists all")
        *earlier, last = found
        left_off = [r for r in earlier if r.disabled_at and r.is_left_off]
        look_back = last.planned.is_inactive and last.state != "deleted"
        return [last, *left_off[-1:]] if look_back else [last]

    def _warn_of_restored(self, standing: Sequence[Retirement], plan_id: str) -> None:
        """Say which keys of an earlier plan were wanted back: they are left alone."""
        keys = [r.access_key_id for r in standing if r.state in WANTED_BACK and r.plan.id != plan_id]
        if keys:
            self.warn(f"left alone, as somebody wanted them back before (--again): {', '.join(keys)}")


@contextmanager
def open_retiring(workspace: Workspace, caller: CallerChoice) -> Iterator[Retiring]:
    """Open the journal and make ready to change AWS. Raises BirthrightError."""
    with workspace.open_journal(must_exist=False) as journal:
        yield Retiring(workspace, caller, journal)


def find_retirements(workspace: Workspace, query: RetirementQuery) -> list[Retirement]:
    """Find retirements in the journal, which must exist. Raises JournalError, UsageError."""
    with workspace.open_journal() as journal:
        found = journal.find(
            key=query.key,
            account=query.account,
            user=query.user,
            ticket=query.ticket,
            open_only=query.open_only,
        )
    if query.key and not found:
        raise UsageError(f"the journal knows no key {query.key}", "'birthright status' lists all")
    return found
