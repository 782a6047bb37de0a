"""Whether a scan could have seen a finding that it does not have: only then is the finding fixed.

The scan could see it if all of these hold; whatever is not known counts against it.

- The policy judged, and the account was asked for.
- All of the account's users are known: the credential report or the listing of users is whole.
- What the scan knows is at least as late as what the finding rests on. Keys that were listed are known as of
  the scan, and so are the users if their listing is whole; otherwise as of the report.
- The key was made before the report: which keys a user has who had none in the report is not asked.
- No unknown finding of the policy may be about the same: one without a user may be about any user, and one of
  the same user about the same key, unless both say when their key was made.

`COULD_SEE` states this once, for millions of findings of a store's scans and for those in Security Hub.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from birthright.facts.coverage import ANSWERED, reach_of
from birthright.findings.model import Document

if TYPE_CHECKING:
    import pyarrow as pa

_REPORT, _USERS, _KEYS = "GetCredentialReport", "ListUsers", "ListAccessKeys"

# As of when the scan r knows what `found` is about: a key (its creation time is known) or a user.
KNOWN_AT = "case when found.created is null then r.users_at else r.keys_at end"
# Needs `found` (a finding, and the time `seen_at` of what it rests on), `r` (what a scan could see of its
# account), and the tables `rows` (findings by scan) and `runs` (policies by scan).
COULD_SEE = f"""
    r.whole and {KNOWN_AT} >= found.seen_at
    and (found.created is null or r.report_at is null or found.created < r.report_at)
    and not exists (select 1 from rows as b
                    where b.scan = r.scan and not b.failing and b.account = found.account
                      and b.policy = found.policy
                      and (b.subject is null
                           or (b.subject = found.subject and (b.created is null or found.created is null))))
    and exists (select 1 from runs where runs.scan = r.scan and runs.policy = found.policy)
"""  # noqa: S608


K = TypeVar("K")

_TIME = "timestamp[us]"
_VISIBILITY = {"whole": "bool", "users_at": _TIME, "keys_at": _TIME, "report_at": _TIME}
_SIGHTING = {"policy": "string", "account": "string", "subject": "string", "created": _TIME, "seen_at": _TIME}


class Visibility(msgspec.Struct, frozen=True):
    """What one scan could see of one account that it asked for.

    whole: all of its users are known. users_at, keys_at: as of when its users and their keys are known.
    report_at: when the credential report was made, if it was read and says so.
    """

    whole: bool
    users_at: datetime
    keys_at: datetime
    report_at: datetime | None


class Sighting(NamedTuple):
    """A finding that is or was somewhere: what it is about, and by which policy.

    user_name: None where it is about the account. created: of its key. seen_at: as of when it was found.
    """

    policy: str
    account: str
    user_name: str | None
    created: datetime | None
    seen_at: datetime


def visibilities(document: Document) -> dict[str, Visibility]:
    """Return what a scan could see of each account that it asked for, by account id."""
    answered: dict[str, dict[str, str]] = {}
    reports: dict[str, datetime] = {}
    for row in document.coverage:
        if row.status in ANSWERED:
            answered.setdefault(row.account_id, {})[row.source] = row.status
            if row.report_generated_at:
                reports[row.account_id] = row.report_generated_at
    return {
        account: _visibility(answered.get(account, {}), reports.get(account), document.scan.as_of)
        for account in reach_of(document.coverage)
    }


def _visibility(answered: Mapping[str, str], report_at: datetime | None, as_of: datetime) -> Visibility:
    # If only part of either was read, a missing user may still exist.
    is_listed = answered.get(_USERS) == "ok"
    return Visibility(
        whole=is_listed or answered.get(_REPORT) == "ok",
        users_at=as_of if is_listed or report_at is None else report_at,
        keys_at=as_of if _KEYS in answered or report_at is None else report_at,
        report_at=report_at,
    )


def could_see(document: Document, unknown: Iterable[Sighting], missing: Sequence[Sighting]) -> list[bool]:
    """Say of each finding that a scan does not have whether the scan could have seen it.

    unknown: the scan's own unknown findings.
    """
    import duckdb

    noted = [(0, False, *one) for one in unknown]
    sought = [(place, *one) for place, one in enumerate(missing)]
    with duckdb.connect() as connection:
        # DuckDB would allow itself the working directory's .tmp.
        connection.execute("set temp_directory = ''")
        tables = scan_tables([(visibilities(document), [line.id for line in document.policies])])
        connection.register("sights", tables["sights"])
        connection.register("runs", tables["runs"])
        connection.register("rows", table_of(noted, {"scan": "int32", "failing": "bool", **_SIGHTING}))
        connection.register("missing", table_of(sought, {"place": "int64", **_SIGHTING}))
        sql = f"""select coalesce({COULD_SEE}, false)
                  from missing as found left join sights as r on r.account = found.account
                  order by found.place"""  # noqa: S608
        return [seen for (seen,) in connection.execute(sql).fetchall()]


def scan_tables(
    scans: Sequence[tuple[Mapping[K, Visibility], Iterable[K]]], names: str = "string"
) -> "dict[str, pa.Table]":
    """Make the tables `sights` (what each scan could see, by account) and `runs` (which policies judged it).

    Scans are numbered as they come. names: the type of accounts' and policies' names.
    """
    sights = [
        (scan, account, *msgspec.structs.astuple(sight))
        for scan, (accounts, _) in enumerate(scans)
        for account, sight in accounts.items()
    ]
    runs = [(scan, policy) for scan, (_, policies) in enumerate(scans) for policy in policies]
    return {
        "sights": table_of(sights, {"scan": "int32", "account": names, **_VISIBILITY}),
        "runs": table_of(runs, {"scan": "int32", "policy": names}),
    }


def table_of(rows: Sequence[tuple[object, ...]], columns: "Mapping[str, str] | pa.Schema") -> "pa.Table":
    """Make a table of rows; `columns` are its schema, or types' names by columns' names."""
    import pyarrow as pa

    schema = pa.schema(columns)
    cells = zip(*rows, strict=True) if rows else ((),) * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(cells, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
