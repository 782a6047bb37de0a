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
from birthright.facts.model import Coverage, Principal, Status
from birthright.facts.schema import TABLES, sources, to_tables
from birthright.policies.evaluator import Evaluator, Judgement, Row
from birthright.policies.page import Page, check_known, read_yaml
from birthright.policies.subjects import BORN, USER, Subject, case_of
from birthright.times import format_instant, parse_duration, parse_instant

Expected = Literal["pass", "fail", "unknown", "out"]

_AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
_RELATIVE = re.compile(r"(user|as_of)(?: *([+-]) *(\w+))?")
# A look-up per key, made only where the report does not say it.
_NOT_ASKED = {"GetAccessKeyLastUsed"}
_OK: Status = "ok"
_WANTED = ("fail", "pass", "unknown")
_IDENTITY = ("access_key_id", "slot", "created_at", "subject_id")
_OWN_PLACE = {"principals": "user", "access_keys": "keys", "coverage": "coverage"}

Fact = TypeVar("Fact", bound=msgspec.Struct)


class PageCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case as it is written; `expect` is one verdict for all subjects, or a list, one for each.

    `facts` are rows of other tables, by table.
    """

    name: str
    expect: Expected | list[Expected]
    parameters: dict[str, str] = {}
    user: dict[str, Any] = {}
    keys: list[dict[str, Any]] = []
    facts: dict[str, list[dict[str, Any]]] = {}
    coverage: dict[str, Status] = {}
    as_of: Any = _AS_OF


class CaseResult(msgspec.Struct, frozen=True):
    """The result of a case. `differences` has a line for every subject judged otherwise than expected."""

    name: str
    passed: bool
    expected: tuple[str, ...]
    got: tuple[str, ...]
    differences: tuple[str, ...] = ()


class _Account(msgspec.Struct, frozen=True):
    """The facts of one case, by table, and the moment at which it is judged."""

    case: PageCase
    as_of: datetime
    account_id: str
    facts: dict[str, list[msgspec.Struct]]


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
    """Return which of fail, pass and unknown no case expects: such a page is not fully tested."""
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
    """Name the page and the case in errors raised inside."""
    try:
        yield
    except PageError:
        raise
    except UsageError as error:
        raise PageError(f"{origin}, case {case.name!r}: {error.message}", error.hint) from error


def _tables(accounts: Sequence[_Account]) -> dict[str, Any]:
    rows: dict[str, list[msgspec.Struct]] = {}
    for account in accounts:
        for table, facts in account.facts.items():
            rows.setdefault(table, []).extend(facts)
    return to_tables(rows)


def _account(case: PageCase, number: int, origin: str) -> _Account:
    """Fill in what a case leaves out."""
    with _naming(origin, case):
        as_of = _instant(case.as_of, BORN, _AS_OF, "as_of")
        account_id = f"{number:012}"
        principal = _principal(case, account_id, as_of)
        facts: dict[str, list[msgspec.Struct]] = {"principals": [principal], "coverage": []}
        check_known(case.facts, TABLES.keys() - _OWN_PLACE.keys(), f"{origin}, case {case.name!r}: facts")
        for table, rows in {"access_keys": case.keys, **case.facts}.items():
            facts[table] = [_fact(table, principal, place, one, as_of) for place, one in enumerate(rows)]
        check_known(case.coverage, sources(), f"{origin}, case {case.name!r}: coverage")
        reads = {**dict.fromkeys(set(sources()) - _NOT_ASKED, _OK), **case.coverage}
        facts["coverage"] += [
            Coverage(account_id=account_id, source=source, status=status, as_of=as_of)
            for source, status in sorted(reads.items())
        ]
        return _Account(case, as_of, account_id, facts)


def _principal(case: PageCase, account_id: str, as_of: datetime) -> Principal:
    is_root = case.user.get("is_root") is True
    name = case.user.get("user_name", ROOT_NAME if is_root else "someone")
    defaults = {
        "account_id": account_id,
        "user_arn": f"arn:aws:iam::{account_id}:{'root' if is_root else f'user/{name}'}",
        "user_name": name,
        "is_root": is_root,
        "created_at": BORN,
        "console_password": False,
        "password_ever_used": case.user.get("password_last_used_at") is not None or None,
        "mfa_active": False,
        "active_certificates": 0,
        "in_report": True,
        "in_listing": None if is_root else True,
    }
    return _convert(Principal, defaults, case.user, "user", BORN, as_of)


def _fact(
    table: str, user: Principal, place: int, given: Mapping[str, Any], as_of: datetime
) -> msgspec.Struct:
    """Fill in a fact about the user."""
    row = TABLES[table].row
    shared = {name: getattr(user, name) for name in USER if name in row.__struct_fields__}
    if "user_created_at" in row.__struct_fields__:
        shared["user_created_at"] = user.created_at
    defaults = {**shared, **case_of(table)(user, place, given, as_of)}
    where = f"{_OWN_PLACE.get(table, f'facts.{table}')}, number {place + 1}"
    return _convert(row, defaults, given, where, user.created_at or BORN, as_of)


def _convert(
    kind: type[Fact],
    defaults: Mapping[str, Any],
    given: Mapping[str, Any],
    where: str,
    born: datetime,
    as_of: datetime,
) -> Fact:
    """Override the defaults by what a case gives. Raises UsageError naming the field."""
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
    """Read a time: a timestamp, or `user` or `as_of` plus or minus a duration."""
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
    table = page.subject.table
    subjects: list[Any] = account.facts.get(table, []) if table else [None]
    expected = _expected(page, account.case, len(subjects))
    rows = [row for row in judgement.rows if row.account_id == account.account_id]
    unread = judgement.unread.get(account.account_id)
    verdicts = [_verdict(page.subject, fact, rows, unread) for fact in subjects] or [
        ("out", f"no {page.subject.label}s")
    ]
    differences = [
        f"{_name(page.subject, fact)}: expected {wanted}, got {got}{f' ({reason})' if reason else ''}"
        for fact, wanted, (got, reason) in zip(subjects or [None], expected, verdicts, strict=True)
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


def _verdict(
    subject: Subject,
    fact: Any,  # noqa: ANN401 - a row of any table
    rows: list[Row],
    unread: str | None,
) -> tuple[str, str | None]:
    """Take the row about a fact, or about its account, out of `rows`; return its verdict and reason."""
    if unread is not None:
        return "unknown", unread
    identity = [(field, column) for field, column in subject.places.items() if field in _IDENTITY]
    for row in rows:
        if fact is None or all(getattr(row, field) == getattr(fact, column) for field, column in identity):
            rows.remove(row)
            return row.verdict, row.reason
    return "out", None


def _name(subject: Subject, fact: Any) -> str:  # noqa: ANN401 - a row of any table
    if fact is None:
        return "the user"
    label, slot = subject.label, getattr(fact, "slot", None)
    named = getattr(fact, subject.id_column, None) or (f"slot {slot}" if slot else f"unread {label}s")
    made = getattr(fact, "created_at", None)
    return f"{label} {named}, made {format_instant(made) if made else 'at an unknown time'}"


def _list(expect: Expected | list[Expected]) -> list[Expected]:
    return expect if isinstance(expect, list) else [expect]
