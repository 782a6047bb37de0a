"""What the tests of history share: a small world that is scanned again and again."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from birthright.facts.model import AccessKey, Account, AccountFacts, Coverage, Principal
from birthright.facts.schema import TABLES, to_tables
from birthright.findings.document import build_document
from birthright.findings.model import Document
from birthright.history.compare import compare
from birthright.history.earlier import Baseline, EarlierScan
from birthright.history.ledger import ledger_of
from birthright.policies.evaluator import Evaluator
from birthright.policies.pack import choose, load_pack
from birthright.scans.record import ScanInfo
from birthright.scans.request import Judging
from birthright.scans.store import FolderStore
from birthright.scans.writer import save_scan

BORN = "access-key-created-with-user"
START = datetime(2026, 1, 1, tzinfo=UTC)
MADE = datetime(2025, 1, 1, tzinfo=UTC)
AGE = timedelta(days=2.5)
ACCOUNTS = ("111111111111", "222222222222")
PAGES = load_pack()
OTHER = next(page for page in PAGES if page.front.subject == "principal")
READS = ("GetCredentialReport", "ListUsers", "ListAccessKeys")


class World(msgspec.Struct, frozen=True):
    """What one scan meets: how each account answers, and the key of each of its users."""

    accounts: dict[str, str]
    keys: dict[tuple[str, str], str]
    policies: tuple[str, ...] = (BORN,)


def instant(place: int) -> datetime:
    """Give the instant of a scan, from its place."""
    return START + timedelta(days=place)


def judged(world: World, place: int, *, batch_rows: int = 10**6) -> Document:
    """Scan a world."""
    rows: dict[str, list[msgspec.Struct]] = {name: [] for name in TABLES}
    as_of = instant(place)
    for account, how in world.accounts.items():
        rows["accounts"].append(Account(account, source="ListAccounts"))
        rows["coverage"] += coverage_of(account, how, as_of)
        if how in {"read", "broken", "old"}:
            for (owner, user), state in world.keys.items():
                if owner == account and not (how == "broken" and user == "bob"):
                    rows["principals"].append(_principal(account, user))
                    rows["access_keys"] += keys_of(account, user, state)
    info = ScanInfo(
        id=f"{as_of:%Y%m%dT%H%M%SZ}-000000", as_of=as_of, tool_version="0", depth="keys", complete=True
    )
    tables = to_tables(rows)
    pages = choose(PAGES, world.policies)
    return build_document(info, Evaluator(tables, as_of, batch_rows), pages, Judging(), evidence=False)


def coverage_of(account: str, how: str, as_of: datetime) -> list[Coverage]:
    """Make the coverage of an account that answers in this way."""
    if how == "denied":
        return [Coverage(account, "AssumeRole", "denied", "no")]
    if how == "skipped":
        return [Coverage(account, "ListAccounts", "skipped", "SUSPENDED")]
    if how == "old":
        # Only a report, older than what the scans of the two days before knew.
        made = as_of - AGE
        return [Coverage(account, "GetCredentialReport", "ok", as_of=as_of, report_generated_at=made)]
    if how == "broken":
        # There is no report, and the listing of users broke off before bob.
        return [
            Coverage(account, "GetCredentialReport", "denied", "no"),
            Coverage(account, "ListUsers", "partial", "broke off"),
            Coverage(account, "ListAccessKeys", "ok"),
        ]
    made = as_of - timedelta(hours=1)
    return [Coverage(account, read, "ok", as_of=as_of, report_generated_at=made) for read in READS]


def _principal(account: str, user: str) -> Principal:
    return Principal(account, None, user, created_at=MADE, console_password=True, mfa_active=False,
                     in_report=True, in_listing=True)  # fmt: skip


def keys_of(account: str, user: str, state: str) -> list[AccessKey]:
    """Make the rows of a user's key in this state."""
    if state == "none":
        return []
    row = AccessKey(account, None, user, user_created_at=MADE)
    if state == "unread":
        return [row]
    return [
        msgspec.structs.replace(
            row,
            access_key_id=f"AKIA{account}{user}",
            slot=1,
            status=state.capitalize(),
            created_at=MADE,
            created_source="listing",
            ever_used=False,
        )
    ]


def past_of_documents(documents: Sequence[Document], upto: int | None = None) -> Baseline:
    """Make a past of documents, oldest first."""
    scans = tuple(EarlierScan(ledger_of(one), lambda one=one: one) for one in documents)  # type: ignore[misc]
    return Baseline(scans, len(scans) - 1 if upto is None else upto)


def sequence(*scans: World) -> Document:
    """Scan worlds one after the other; give the last document, compared with those before."""
    documents = [judged(world, place) for place, world in enumerate(scans)]
    return compare(documents[-1], past_of_documents(documents[:-1]))


def one(state: str, how: str = "read", *policies: str) -> World:
    """Make a world of one account in which ann's key is in this state."""
    return World({ACCOUNTS[0]: how}, {(ACCOUNTS[0], "ann"): state}, policies or (BORN,))


def states(document: Document) -> list[tuple[str, str | None]]:
    """Give the verdicts and states."""
    return [(finding.verdict, finding.state) for finding in document.findings]


def counts(document: Document) -> tuple[int, int, int, int, int]:
    """Give new, persisting, reappeared, fixed, unread."""
    changes = document.changes
    assert changes
    return changes.new, changes.persisting, changes.reappeared, changes.fixed, changes.unread


def facts(account: str, state: str, as_of: datetime, how: str = "read") -> AccountFacts:
    """Make an account of one user whose key is in that state."""
    read = how == "read"
    users = (Principal(account, None, "ann", console_password=False, in_report=True, in_listing=True),)
    keys = tuple(keys_of(account, "ann", state)) if read else ()
    return AccountFacts(users if read else (), keys, tuple(coverage_of(account, how, as_of)))


def saved(store: FolderStore, place: int, tail: str = "000000", **accounts: str) -> ScanInfo:
    """Keep a scan of accounts `a` and `b`, each with the state of its key."""
    as_of = instant(place)
    info = ScanInfo(
        id=f"{as_of:%Y%m%dT%H%M%SZ}-{tail}", as_of=as_of, tool_version="0", depth="keys", complete=True
    )
    ids = dict(zip("ab", ACCOUNTS, strict=True))
    return save_scan(store, info, [facts(ids[name], state, as_of) for name, state in accounts.items()])
