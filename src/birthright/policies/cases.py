"""Runs a page's own tests: each case is an account of one principal, judged by the page's rule.

A case names only the facts that matter. The rest is an ordinary account: all reads answered, a user of
2026-01-01 without a password, and keys that are active, a day younger than the user and in use. Cases
that differ in nothing but their facts are judged together.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, TypeVar

import msgspec

from birthright.errors import PageError, UsageError
from birthright.facts.answers import ROOT_NAME
from birthright.facts.model import ACTIVE, AccessKey, Coverage, Principal, Status
from birthright.policies.evaluator import Evaluator, Judgement, Row
from birthright.policies.page import Page, Source, read_yaml
from birthright.times import format_instant, parse_duration, parse_instant

Expected = Literal["pass", "fail", "unknown", "out"]

_AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
_BORN = datetime(2026, 1, 1, tzinfo=UTC)
_RELATIVE = re.compile(r"(user|as_of)(?: *([+-]) *(\w+))?")
_READS: tuple[Source, ...] = ("GetCredentialReport", "ListUsers", "ListAccessKeys")
_OK: Status = "ok"
_WANTED = ("fail", "pass", "unknown")
_SHARED = ("account_id", "user_arn", "user_name", "is_root", "console_password")
_IDENTITY = ("access_key_id", "slot", "created_at")

Facts = TypeVar("Facts", Principal, AccessKey)


class PageCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case as it is written; `expect` is one verdict for all subjects, or a list, one per key."""

    name: str
    expect: Expected | list[Expected]
    parameters: dict[str, str] = {}
    user: dict[str, Any] = {}
    keys: list[dict[str, Any]] = []
    coverage: dict[Source, Status] = {}
    as_of: Any = _AS_OF


class CaseResult(msgspec.Struct, frozen=True):
    """What came of a case. `differences` has a line for every subject judged otherwise than expected."""

    name: str
    passed: bool
    expected: tuple[str, ...]
    got: tuple[str, ...]
    differences: tuple[str, ...] = ()


class _Account(msgspec.Struct, frozen=True):
    """The facts of one case, and the moment at which it is judged."""

    case: PageCase
    as_of: datetime
    principal: Principal
    keys: tuple[AccessKey, ...]
    coverage: tuple[Coverage, ...]


def run_cases(page: Page) -> list[CaseResult]:
    """Run all cases of a page, in their order. Raises PageError naming page, case and field."""
    accounts = [_account(case, number, page.origin) for number, case in enumerate(read_cases(page), 1)]
    judged = {id(account): judgement for account, judgement in _judge(page, accounts)}
    return [_result(page, account, judged[id(account)]) for account in accounts]


def read_cases(page: Page) -> list[PageCase]:
    """Read the `## Tests` of a page. Two cases of one name are refused."""
    cases = read_yaml(page.tests or "[]", list[PageCase], f"{page.origin}, ## Tests")
    names = [case.name for case in cases]
    for name in names:
        if names.count(name) > 1:
            raise PageError(f"{page.origin}: two cases are called {name!r}")
    return cases


def missing_verdicts(page: Page) -> tuple[str, ...]:
    """Say which of fail, pass and unknown no case expects: such a page is not tested."""
    expected = {verdict for case in read_cases(page) for verdict in _list(case.expect)}
    return tuple(verdict for verdict in _WANTED if verdict not in expected)


def _judge(page: Page, accounts: Sequence[_Account]) -> Iterator[tuple[_Account, Judgement]]:
    """Judge the accounts, as few times as their moments and parameters allow."""
    for as_of in {account.as_of for account in accounts}:
        together = [account for account in accounts if account.as_of == as_of]
        evaluator = Evaluator(_tables(together), as_of)
        judgements: dict[tuple[tuple[str, str], ...], Judgement] = {}
        for account in together:
            parameters = tuple(sorted(account.case.parameters.items()))
            if parameters not in judgements:
                with _naming(page.origin, account.case):
                    judgements[parameters] = evaluator.judge(page, dict(parameters), passes=True)
            yield account, judgements[parameters]


@contextmanager
def _naming(origin: str, case: PageCase) -> Iterator[None]:
    """Name the page and the case in whatever is found to be wrong with it."""
    try:
        yield
    except PageError:
        raise
    except UsageError as error:
        raise PageError(f"{origin}, case {case.name!r}: {error.message}", error.hint) from error


def _tables(accounts: Sequence[_Account]) -> dict[str, Any]:
    from birthright.facts.schema import to_tables

    rows: dict[str, list[msgspec.Struct]] = {
        "principals": [account.principal for account in accounts],
        "access_keys": [key for account in accounts for key in account.keys],
        "coverage": [row for account in accounts for row in account.coverage],
    }
    return to_tables(rows)


def _account(case: PageCase, number: int, origin: str) -> _Account:
    """Fill in what a case leaves out."""
    with _naming(origin, case):
        as_of = _instant(case.as_of, _BORN, _AS_OF, "as_of")
        account_id = f"{number:012}"
        principal = _principal(case, account_id, as_of)
        keys = tuple(_key(principal, place, given, as_of) for place, given in enumerate(case.keys))
        reads: dict[Source, Status] = {**dict.fromkeys(_READS, _OK), **case.coverage}
        coverage = tuple(
            Coverage(account_id=account_id, source=source, status=status, as_of=as_of)
            for source, status in reads.items()
        )
        return _Account(case, as_of, principal, keys, coverage)


def _principal(case: PageCase, account_id: str, as_of: datetime) -> Principal:
    is_root = case.user.get("is_root") is True
    name = case.user.get("user_name", ROOT_NAME if is_root else "someone")
    defaults = {
        "account_id": account_id,
        "user_arn": f"arn:aws:iam::{account_id}:{'root' if is_root else f'user/{name}'}",
        "user_name": name,
        "is_root": is_root,
        "created_at": _BORN,
        "console_password": False,
        "password_ever_used": case.user.get("password_last_used_at") is not None or None,
        "mfa_active": False,
        "active_certificates": 0,
        "in_report": True,
        "in_listing": None if is_root else True,
    }
    return _convert(Principal, defaults, case.user, "user", _BORN, as_of)


def _key(user: Principal, place: int, given: Mapping[str, Any], as_of: datetime) -> AccessKey:
    """Fill in a key. Root's keys are never listed, so that nobody knows their ids."""
    born = user.created_at or _BORN
    used = given.get("ever_used", True) is True
    defaults = {
        **{name: getattr(user, name) for name in _SHARED},
        "user_created_at": user.created_at,
        "access_key_id": None if user.is_root else f"AKIA{user.account_id}{place + 1:04}",
        "slot": place + 1 if place < 2 else None,  # noqa: PLR2004
        "status": ACTIVE,
        "created_at": born + timedelta(days=1),
        "created_source": "report" if user.is_root else "listing",
        "ever_used": True,
        "last_used_at": as_of - timedelta(days=1) if used else None,
        "last_used_region": "us-east-1" if used else None,
        "last_used_service": "s3" if used else None,
        "last_used_source": "report",
    }
    return _convert(AccessKey, defaults, given, f"keys, number {place + 1}", born, as_of)


def _convert(
    kind: type[Facts],
    defaults: Mapping[str, Any],
    given: Mapping[str, Any],
    where: str,
    born: datetime,
    as_of: datetime,
) -> Facts:
    """Lay what a case says over the defaults. Raises UsageError naming the field."""
    fields = dict(defaults)
    for name, value in given.items():
        if name not in kind.__struct_fields__ or name == "account_id":
            raise UsageError(f"{where}: there is no field {name!r}", _near(name, kind))
        is_time = name.endswith("_at") and value is not None
        fields[name] = _instant(value, born, as_of, f"{where}.{name}") if is_time else value
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}") from error


def _near(name: str, kind: type[msgspec.Struct]) -> str:
    import difflib

    near = difflib.get_close_matches(name, kind.__struct_fields__, n=1)
    return f"did you mean {near[0]}?" if near else ""


def _instant(value: object, born: datetime, as_of: datetime, where: str) -> datetime:
    """Read a time: an instant, or `user` or `as_of` with a duration added or taken away."""
    try:
        if isinstance(value, datetime):
            return parse_instant(value.isoformat())
        if isinstance(value, date):
            return datetime.combine(value, time(), UTC)
        relative = _RELATIVE.fullmatch(str(value).strip())
        if not relative:
            return parse_instant(str(value))
        length = parse_duration(relative[3]) if relative[3] else timedelta()
        start = born if relative[1] == "user" else as_of
        return start - length if relative[2] == "-" else start + length
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{where}: {value!r} is not a time", "like user + 6s, as_of - 45d or 2026-01-01"
        ) from error


def _result(page: Page, account: _Account, judgement: Judgement) -> CaseResult:
    """Compare what was expected of each subject with the rows of its account."""
    subjects = list(account.keys) if page.front.subject == "access-key" else [None]
    expected = _expected(page, account.case, len(subjects))
    rows = [row for row in judgement.rows if row.account_id == account.principal.account_id]
    unread = judgement.unread.get(account.principal.account_id)
    verdicts = [_verdict(subject, rows, unread) for subject in subjects] or [("out", "no keys")]
    differences = [
        f"{_name(subject)}: expected {wanted}, got {got}{f' ({reason})' if reason else ''}"
        for subject, wanted, (got, reason) in zip(subjects or [None], expected, verdicts, strict=True)
        if wanted != got
    ]
    differences += [f"a row too many: {row.verdict} ({row.reason})" for row in rows]
    got = tuple(verdict for verdict, _ in verdicts)
    return CaseResult(account.case.name, not differences, expected, got, tuple(differences))


def _expected(page: Page, case: PageCase, subjects: int) -> tuple[str, ...]:
    wanted = _list(case.expect)
    if isinstance(case.expect, list) and len(wanted) != subjects:
        raise PageError(
            f"{page.origin}, case {case.name!r}: expect has {len(wanted)} verdicts for {subjects} subject(s)"
        )
    return tuple(wanted) if isinstance(case.expect, list) else (case.expect,) * max(subjects, 1)


def _verdict(subject: AccessKey | None, rows: list[Row], unread: str | None) -> tuple[str, str | None]:
    """Take the subject's row out of `rows` and return its verdict and reason."""
    if unread is not None:
        return "unknown", unread
    for row in rows:
        if subject is None or _same(row, subject):
            rows.remove(row)
            return row.verdict, row.reason
    return "out", None


def _same(row: Row, key: AccessKey) -> bool:
    return all(getattr(row, name) == getattr(key, name) for name in _IDENTITY)


def _name(subject: AccessKey | None) -> str:
    if subject is None:
        return "the user"
    named = subject.access_key_id or (f"slot {subject.slot}" if subject.slot else "unread keys")
    made = format_instant(subject.created_at) if subject.created_at else "at an unknown time"
    return f"key {named}, made {made}"


def _list(expect: Expected | list[Expected]) -> list[Expected]:
    return expect if isinstance(expect, list) else [expect]
