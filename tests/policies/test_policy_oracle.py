"""Every rule against a second opinion: the same policy in plain, three-valued Python."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birthright.facts.answers import ROOT_NAME
from birthright.facts.model import AccessKey, Coverage, Principal
from birthright.facts.schema import to_tables
from birthright.policies.evaluator import Evaluator
from birthright.policies.pack import load_pack

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
ACCOUNT = "111122223333"
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
OUT = "out"
PAGES = {page.id: page for page in load_pack()}

Verdict = bool | str | None
Keys = Sequence[AccessKey]


class Person(msgspec.Struct, frozen=True):
    """A principal and its keys."""

    principal: Principal
    keys: tuple[AccessKey, ...]


# ---- facts

LIMITS = [5 * HOUR, DAY, 7 * DAY, 30 * DAY, 45 * DAY, 90 * DAY]
AGES = [-5 * SECOND, 0 * SECOND, 400 * DAY] + [
    limit + shift for limit in LIMITS for shift in (-SECOND, 0 * SECOND, SECOND)
]
moments = st.sampled_from([None, *(AS_OF - age for age in AGES)])
maybe = st.sampled_from([True, False, None])
uses = st.one_of(
    st.sampled_from([(False, None), (None, None), (True, None)]),
    moments.map(lambda at: (True, at) if at else (None, None)),
)


@st.composite
def keys_of(draw: st.DrawFn, user: Principal) -> tuple[AccessKey, ...]:
    """Up to four keys of a user, and perhaps the row that stands for keys that could not be read."""
    shared = {name: getattr(user, name) for name in ("account_id", "user_arn", "user_name", "is_root")}
    blank = AccessKey(**shared, console_password=user.console_password, user_created_at=user.created_at)
    gaps = [-SECOND, 0 * SECOND, 6 * SECOND, 7 * SECOND, 60 * SECOND]
    born: list[datetime | None] = [user.created_at and user.created_at + gap for gap in gaps]
    keys = []
    for place in range(draw(st.integers(0, 4))):
        ever_used, last_used_at = draw(uses)
        listed = place > 1 or draw(st.booleans())
        keys.append(
            msgspec.structs.replace(
                blank,
                access_key_id=f"AKIA{user.user_name}{place}" if listed else None,
                slot=place + 1 if place < 2 else None,
                status=draw(st.sampled_from(["Active", "Active", "Active", "Inactive", "Expired", None])),
                created_at=draw(st.sampled_from(born) if draw(st.booleans()) else moments),
                ever_used=ever_used,
                last_used_at=last_used_at,
            )
        )
    return (*keys, blank) if draw(st.integers(0, 9)) == 0 else tuple(keys)


@st.composite
def people(draw: st.DrawFn) -> list[Person]:
    """Draw some users, perhaps with root among them."""
    found = []
    for number in range(draw(st.integers(1, 12))):
        is_root = number == 0 and draw(st.booleans())
        password_ever_used, password_last_used_at = draw(uses)
        principal = Principal(
            account_id=ACCOUNT,
            user_arn=None,
            user_name=ROOT_NAME if is_root else f"user{number}",
            is_root=is_root,
            created_at=draw(moments),
            console_password=draw(maybe),
            password_ever_used=password_ever_used,
            password_last_used_at=password_last_used_at,
            password_last_changed_at=draw(moments),
            mfa_active=draw(maybe),
            active_certificates=draw(st.sampled_from([0, 1, 2, None])),
            in_report=draw(maybe),
            in_listing=None if is_root else draw(maybe),
        )
        # The join makes no key rows for a user deleted since the report.
        keys = () if principal.in_listing is False else draw(keys_of(principal))
        found.append(Person(principal, keys))
    return found


# ---- three-valued logic: True, False, None for "not known"


def both(*parts: bool | None) -> bool | None:
    return False if False in parts else None if None in parts else True


def negation(part: bool | None) -> bool | None:  # noqa: FBT001
    return None if part is None else not part


def at_least(moment: datetime | None, age: timedelta) -> bool | None:
    return None if moment is None else AS_OF - moment >= age


def is_active(key: AccessKey) -> bool | None:
    return None if key.status is None else key.status == "Active"


def idle(key: AccessKey, limit: timedelta) -> bool | None:
    """Whether a key lay unused for that long: since its last use, or since it was made."""
    if key.ever_used is True:
        return at_least(key.last_used_at, limit)
    old = at_least(key.created_at, limit)
    return old if key.ever_used is False or old is False else None


# ---- the policies; each returns whether a subject complies, or OUT


def created_with_user(key: AccessKey, _: Keys, p: dict[str, Any]) -> Verdict:
    person = True if key.is_root and key.console_password is None else key.console_password
    if p["console_users_only"] and person is False:
        return OUT
    if key.status == "Inactive":
        return True
    if key.created_at is None or key.user_created_at is None:
        close = None
    elif key.created_at < key.user_created_at:
        return None
    else:
        close = key.created_at - key.user_created_at < p["window"]
    in_scope = person if p["console_users_only"] else True
    return negation(both(is_active(key), close, in_scope))


def not_rotated(key: AccessKey, _: Keys, p: dict[str, Any]) -> Verdict:
    if is_active(key) is False:
        return OUT
    old = None if key.created_at is None else AS_OF - key.created_at > p["max_age"]
    return negation(both(is_active(key), old))


def unused(key: AccessKey, _: Keys, p: dict[str, Any]) -> Verdict:
    if is_active(key) is False:
        return OUT
    return negation(both(is_active(key), idle(key, p["max_idle"])))


def never_used(key: AccessKey, _: Keys, p: dict[str, Any]) -> Verdict:
    if is_active(key) is False:
        return OUT
    if key.ever_used is True or at_least(key.created_at, p["grace"]) is False:
        return True
    believable = at_least(key.created_at, 5 * HOUR) is True
    return negation(both(is_active(key), True if key.ever_used is False and believable else None))


def inactive(key: AccessKey, _: Keys, p: dict[str, Any]) -> Verdict:
    if is_active(key) is True:
        return OUT
    return negation(both(negation(is_active(key)), idle(key, p["keep_for"])))


def second_active(key: AccessKey, others: Keys, _: dict[str, Any]) -> Verdict:
    if is_active(key) is False:
        return OUT
    if key.status is None:
        return None
    never = datetime.min.replace(tzinfo=UTC)

    def merit(one: AccessKey) -> tuple[object, ...]:
        times = (one.last_used_at or never, one.created_at or never)
        return (*times, one.access_key_id or "", -(one.slot or 99))

    if any(merit(other) > merit(key) for other in others if is_active(other)):
        return False
    unread = any(one.status is None for one in others)
    # Where a last use is missing nobody knows which of several is the one to keep.
    actives = [one for one in others if is_active(one)]
    unread_use = any(one.ever_used is None or (one.ever_used and one.last_used_at is None) for one in actives)
    return None if unread or (len(actives) > 1 and unread_use) else True


def console_user_with_key(key: AccessKey, _: Keys, __: dict[str, Any]) -> Verdict:
    if key.is_root or is_active(key) is False:
        return OUT
    if key.access_key_id is None and key.slot is None and key.status is None:
        return None
    return negation(both(is_active(key), key.console_password))


def without_mfa(user: Principal, _: Keys, __: dict[str, Any]) -> Verdict:
    if user.is_root or user.in_listing is False or user.console_password is False:
        return OUT
    return negation(both(user.console_password, negation(user.mfa_active)))


def password_unused(user: Principal, _: Keys, p: dict[str, Any]) -> Verdict:
    if user.is_root or user.in_listing is False or user.console_password is False:
        return OUT
    since = user.password_last_used_at
    if user.password_ever_used is False:
        since = user.password_last_changed_at
    return negation(both(user.console_password, at_least(since, p["max_idle"])))


def root_key(user: Principal, keys: Keys, _: dict[str, Any]) -> Verdict:
    if not user.is_root:
        return OUT
    if any(key.access_key_id or key.status or key.created_at for key in keys):
        return False
    return True if user.in_report is True and not keys else None


def root_mfa(user: Principal, keys: Keys, _: dict[str, Any]) -> Verdict:
    if not user.is_root:
        return OUT
    known = any(key.access_key_id or key.status or key.created_at for key in keys)
    credentials = user.console_password is not False or known or user.active_certificates
    if user.mfa_active is not False or credentials:
        return user.mfa_active
    return True if user.active_certificates == 0 and not keys else None


def root_used(user: Principal, keys: Keys, p: dict[str, Any]) -> Verdict:
    if not user.is_root:
        return OUT
    quiet = [at_least(key.last_used_at, p["quiet_for"]) for key in keys if key.ever_used is not False]
    if user.password_last_used_at is not None:
        quiet.append(at_least(user.password_last_used_at, p["quiet_for"]))
    elif user.password_ever_used is not False and user.console_password is not False:
        quiet.append(None)
    quiet.append(True if user.in_report is True else None)
    return both(*quiet)


def certificates(user: Principal, _: Keys, __: dict[str, Any]) -> Verdict:
    if user.in_listing is False:
        return OUT
    return None if user.active_certificates is None else user.active_certificates == 0


ORACLES: dict[str, tuple[Callable[..., Verdict], dict[str, list[str]]]] = {
    "access-key-created-with-user": (
        created_with_user,
        {"window": ["7s", "60s"], "console_users_only": ["true", "false"]},
    ),
    "access-key-not-rotated": (not_rotated, {"max_age": ["30d", "90d"]}),
    "access-key-unused": (unused, {"max_idle": ["45d", "90d"]}),
    "access-key-never-used": (never_used, {"grace": ["0s", "1d", "7d"]}),
    "access-key-second-active": (second_active, {}),
    "access-key-inactive": (inactive, {"keep_for": ["30d", "90d"]}),
    "console-user-with-access-key": (console_user_with_key, {}),
    "console-user-without-mfa": (without_mfa, {}),
    "console-password-unused": (password_unused, {"max_idle": ["45d", "90d"]}),
    "root-access-key": (root_key, {}),
    "root-without-mfa": (root_mfa, {}),
    "root-recently-used": (root_used, {"quiet_for": ["7d", "90d"]}),
    "signing-certificate-active": (certificates, {}),
}
WORDS = {True: "pass", False: "fail", None: "unknown"}


def test_every_policy_has_an_oracle() -> None:
    """A page cannot join the pack without a second opinion on its rule."""
    assert ORACLES.keys() == PAGES.keys()


@pytest.mark.usefixtures("in_rounds")
@pytest.mark.parametrize("policy", sorted(ORACLES))
@settings(max_examples=7, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_rule_agrees_with_plain_python(policy: str, data: st.DataObject) -> None:
    """For any facts, known or not, the SQL and the plain Python give each subject one verdict."""
    oracle, choices = ORACLES[policy]
    found = data.draw(people())
    overrides = {name: data.draw(st.sampled_from(texts)) for name, texts in choices.items()}
    assert judged(policy, found, overrides) == expected(policy, oracle, found, overrides)


@pytest.mark.usefixtures("in_rounds")
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_facts_of_an_unknown_time_are_judged_at_both_ends(data: st.DataObject) -> None:
    """A verdict that is not the same at the earliest and at the latest time is unknown; others stay."""
    policy = data.draw(st.sampled_from(sorted(name for name, page in PAGES.items() if "$as_of" in page.rule)))
    found, early = (
        data.draw(people()),
        AS_OF - data.draw(st.sampled_from([0, 1, 20, 80]) | st.integers(0, 400)) * DAY,
    )
    first, last = (judged(policy, found, {}, as_of=at) for at in (early, AS_OF))
    wanted = Counter({verdict: min(first[verdict], last[verdict]) for verdict in first | last})
    wanted.update((*verdict[:-1], "unknown") for verdict in (last - wanted).elements())
    assert judged(policy, found, {}, as_of_earliest=early) == +wanted


def judged(
    policy: str,
    found: list[Person],
    overrides: dict[str, str],
    as_of: datetime = AS_OF,
    as_of_earliest: datetime | None = None,
) -> Counter[tuple[object, ...]]:
    rows: dict[str, list[msgspec.Struct]] = {
        "principals": [one.principal for one in found],
        "access_keys": [key for one in found for key in one.keys],
        "coverage": [
            Coverage(ACCOUNT, source, "ok")
            for source in ("GetCredentialReport", "ListUsers", "ListAccessKeys")
        ],
    }
    tables = to_tables(rows)
    evaluator = Evaluator(tables, as_of, as_of_earliest=as_of_earliest)
    judgement = evaluator.judge(PAGES[policy], overrides, passes=True)
    assert all(row.reason for row in judgement.rows), "every verdict has a reason"
    return Counter((row.user_name, row.access_key_id, row.slot, row.verdict) for row in judgement.rows)


def expected(
    policy: str, oracle: Callable[..., Verdict], found: list[Person], overrides: dict[str, str]
) -> Counter[tuple[object, ...]]:
    page = PAGES[policy]
    values = page.values(overrides)
    verdicts: Counter[tuple[object, ...]] = Counter()
    by_key = page.front.subject == "access-key"
    for one in found:
        subjects: Sequence[Any] = one.keys if by_key else (one.principal,)
        for subject in subjects:
            verdict = oracle(subject, one.keys, values)
            if not isinstance(verdict, str):
                place = (subject.access_key_id, subject.slot) if by_key else (None, None)
                verdicts[one.principal.user_name, *place, WORDS[verdict]] += 1
    return verdicts
