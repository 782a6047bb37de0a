"""A plan: what is to be done with which key, why, and by which steps. Nothing here asks AWS.

The same findings, terms, choices and time give the same plan, byte for byte.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

import msgspec

from birthright.errors import UsageError
from birthright.retirement.model import Action, FindingRef, KeyFacts, Terms
from birthright.retirement.planning import aws_cli
from birthright.retirement.planning.candidates import Candidate, PlanRequest, candidates_of
from birthright.retirement.planning.guards import Refusal, Rules, refusal
from birthright.retirement.planning.limits import PlanLimits, beyond
from birthright.times import format_duration, format_instant
from birthright.version import __version__

if TYPE_CHECKING:
    from birthright.findings.model import Document

PLAN_SCHEMA = "birthright.plan/1"

_SUFFIX = 6
_HAND_OVER = "hand the new secret over: "


class PlannedStep(msgspec.Struct, frozen=True):
    """One step: what, after which wait (empty: at once), and the AWS CLI's way (empty: there is none)."""

    what: str
    after: str
    cli: str


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done with one key.

    why: the reason for the action, one line. advice: what a person can do about a refusal.
    handover: where a replacement's secret goes, as in birthright.toml; None unless it is rotated.
    """

    account_id: str
    partition: str
    user_name: str
    user_arn: str
    access_key_id: str | None
    action: Action
    why: str
    advice: str = ""
    findings: tuple[FindingRef, ...]
    facts: KeyFacts
    handover: str | None = None
    steps: tuple[PlannedStep, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What was planned, from which scan. Times are UTC.

    digest: SHA-256, hexadecimal, over everything else. annotate: whether keys' descriptions are written.
    """

    schema: str
    id: str
    created_at: datetime
    expires_at: datetime
    tool_version: str
    scan_id: str
    scan_as_of: datetime
    terms: Terms
    annotate: bool
    items: tuple[Item, ...]
    digest: str

    def of(self, action: Action) -> tuple[Item, ...]:
        """Return the items with this action."""
        return tuple(item for item in self.items if item.action == action)


def build_plan(document: "Document", terms: Terms, choices: PlanRequest, now: datetime) -> Plan:
    """Plan what the document's failing findings ask for; `now` is UTC, whole seconds.

    Raises UsageError for a hand-over that can never work, and an expiry that no calendar has.
    """
    _check_handover(choices.handover)
    rules = Rules(terms, choices, document.scan.as_of)
    plan = Plan(
        schema=PLAN_SCHEMA,
        id="",
        created_at=now,
        expires_at=_expiry(now, choices.expires),
        tool_version=__version__,
        scan_id=document.scan.id,
        scan_as_of=document.scan.as_of,
        terms=terms,
        annotate=choices.annotate,
        items=tuple(_items(document, rules)),
        digest="",
    )
    plan = msgspec.structs.replace(plan, id=f"plan-{now:%Y%m%dT%H%M%SZ}-{digest_of(plan)[:_SUFFIX]}")
    return msgspec.structs.replace(plan, digest=digest_of(plan))


def digest_of(plan: Plan) -> str:
    """Return the SHA-256 over the plan's canonical JSON without its digest, hexadecimal."""
    bare = msgspec.structs.replace(plan, digest="", items=())
    # A quotation mark within a text has a backslash before it: the place is found once.
    before, none, after = msgspec.json.encode(bare, order="sorted").partition(b'"items":[]')
    digest = hashlib.sha256(before + none[:-1])
    for number, item in enumerate(plan.items):
        digest.update(b"," * (number > 0) + msgspec.json.encode(item, order="sorted"))
    digest.update(b"]" + after)
    return digest.hexdigest()


def _expiry(now: datetime, length: timedelta) -> datetime:
    if length <= timedelta(0):
        raise UsageError("a plan that expires at once is of no use", "--expires 24h")
    try:
        return now + length
    except OverflowError:
        raise UsageError("--expires is longer than the calendar", "--expires 24h") from None


def _check_handover(handover: str | dict[str, str]) -> None:
    from birthright.retirement.handover.registry import parse_spec

    for spec in [handover] if isinstance(handover, str) else handover.values():
        parse_spec(spec)


def _active(document: "Document") -> dict[str, int]:
    return {line.account_id: line.active_access_keys for line in document.accounts}


def _items(document: "Document", rules: Rules) -> Iterator[Item]:
    """Give the items in order, an account's or a file's candidates at a time."""
    active = _active(document)
    places: set[tuple[str, str]] = set()
    for keys in candidates_of(document, rules.choices):
        yield from _each_its_place(keys, _limited(keys, rules, active), places)


def _limited(candidates: Sequence[Candidate], rules: Rules, active: dict[str, int]) -> list[Item]:
    """Plan each key, and refuse those that are too many of their account."""
    made = [_item(key, rules) for key in candidates]
    touched = [key for key, item in zip(candidates, made, strict=True) if item.action != "refuse"]
    limits = PlanLimits(rules.choices.max_keys, rules.choices.max_share)
    too_many = beyond(touched, limits, active)
    return [
        _refused(key, too_many[key.account_id, key.access_key_id])
        if item.action != "refuse" and (key.account_id, key.access_key_id) in too_many
        else item
        for key, item in zip(candidates, made, strict=True)
    ]


def _each_its_place(
    candidates: Sequence[Candidate], items: Sequence[Item], taken: set[tuple[str, str]]
) -> Iterator[Item]:
    """Refuse all but the first of several new secrets that would go to one place: the last would be left."""
    for key, item in zip(candidates, items, strict=True):
        place = _place(item)
        if place is None or place not in taken:
            yield item
        else:
            advice = "give each user a destination of its own in [retirement.handover]"
            yield _refused(key, Refusal("another user's new secret goes to the same place", advice))
        if place is not None:
            taken.add(place)


def _place(item: Item) -> tuple[str, str] | None:
    """Name the place that a rotation's new secret has for itself."""
    from birthright.retirement.handover.registry import slot

    if item.action != "rotate" or item.handover is None:
        return None
    step = next(step.what for step in item.steps if step.what.startswith(_HAND_OVER))
    return slot(item.handover, item.account_id, step)


def _item(key: Candidate, rules: Rules) -> Item:
    found = refusal(key, rules)
    if found or key.access_key_id is None:
        return _refused(key, found or Refusal("its id is not known", ""))
    if "retire" in key.remedies:
        return _of(key, "retire", _why(key, rules), steps=_retiring(key, key.access_key_id, rules))
    try:
        spec, hand_over = _handed_over(key, rules.choices.handover)
    except UsageError as error:
        return _refused(key, Refusal(f"its new secret has no place to go: {error.message}", error.hint))
    steps = _rotating(key, key.access_key_id, rules, hand_over)
    return _of(key, "rotate", _why(key, rules), handover=spec, steps=steps)


def _refused(key: Candidate, found: Refusal) -> Item:
    return _of(key, "refuse", found.why, advice=found.advice)


def _of(
    key: Candidate,
    action: Action,
    why: str,
    *,
    advice: str = "",
    handover: str | None = None,
    steps: tuple[PlannedStep, ...] = (),
) -> Item:
    return Item(
        account_id=key.account_id,
        partition=key.partition,
        user_name=key.user_name,
        user_arn=key.user_arn,
        access_key_id=key.access_key_id,
        action=action,
        why=why,
        advice=advice,
        findings=key.findings,
        facts=key.facts,
        handover=handover,
        steps=steps,
    )


def _why(key: Candidate, rules: Rules) -> str:
    """Say what the action follows from: the key's use."""
    facts = key.facts
    use = "never used"
    if facts.last_used_at:
        use = f"last used {format_duration(max(rules.as_of - facts.last_used_at, timedelta()))} ago"
        places = [("for", facts.last_used_service), ("in", facts.last_used_region)]
        use += "".join(f" {word} {place}" for word, place in places if place)
    if facts.is_inactive:
        return f"inactive already: {use}"
    return f"{'in use' if 'rotate' in key.remedies else 'not in use'}: {use}"


def _handed_over(key: Candidate, handover: str | dict[str, str]) -> tuple[str, PlannedStep]:
    """Return where a user's new secret goes, as written, and the step. Raises UsageError."""
    from birthright.retirement.handover.interface import Owner
    from birthright.retirement.handover.registry import parse_spec, spec_for
    from birthright.retirement.handover.template import for_owner

    spec = spec_for(key.user_name, handover)
    owner = Owner(
        account_id=key.account_id,
        partition=key.partition,
        user_name=key.user_name,
        user_arn=key.user_arn,
        client=_no_client,
    )
    kind, rest = parse_spec(spec)
    where = kind.destination(rest, owner).where
    by_hand = aws_cli.hand_over(kind.aws_cli, for_owner(rest, owner)) if kind.aws_cli else ""
    return spec, _now(f"{_HAND_OVER}{where}", by_hand)


def _no_client(service: str) -> NoReturn:
    raise AssertionError(f"planning asks AWS nothing, and {service} neither")


def _retiring(key: Candidate, access_key_id: str, rules: Rules) -> tuple[PlannedStep, ...]:
    used = key.facts.last_used_at
    since = f"since {format_instant(used)}" if used else "at all"
    disable = "disable it once more, for the record" if key.facts.is_inactive else "disable it"
    return (
        _now(
            f"look again; stop if anything changed, or it was used {since}",
            aws_cli.look_at_last_use(access_key_id),
        ),
        *_removing(key, access_key_id, rules, disable),
    )


def _rotating(
    key: Candidate, access_key_id: str, rules: Rules, hand_over: PlannedStep
) -> tuple[PlannedStep, ...]:
    quiet, deadline = format_duration(rules.terms.quiet), format_duration(rules.terms.deadline)
    return (
        _now("look again; stop if anything changed", aws_cli.list_keys(key.user_name)),
        _now("create the replacement", aws_cli.create(key.user_name)),
        hand_over,
        _now("prove that AWS accepts the new key", aws_cli.prove()),
        PlannedStep(
            "look at the last use of both keys",
            f"when somebody uses the new key and this one has been quiet for {quiet}; "
            f"overdue after {deadline}, never forced",
            "\n".join(map(aws_cli.look_at_last_use, (aws_cli.NEW_KEY, access_key_id))),
        ),
        *_removing(key, access_key_id, rules, "disable the old key"),
    )


def _removing(key: Candidate, access_key_id: str, rules: Rules, disable: str) -> tuple[PlannedStep, ...]:
    quarantine = format_duration(rules.terms.quarantine)
    note = _now(
        "write so into its description",
        aws_cli.describe(key.user_name, access_key_id, "disabled by birthright DATE TICKET"),
    )
    return (
        _now(disable, aws_cli.disable(key.user_name, access_key_id)),
        *([note] if rules.choices.annotate else []),
        PlannedStep(
            "look again; stop unless it is still inactive and unused",
            f"{quarantine} later",
            f"{aws_cli.list_keys(key.user_name)}\n{aws_cli.look_at_last_use(access_key_id)}",
        ),
        _now("delete it", aws_cli.delete(key.user_name, access_key_id)),
    )


def _now(what: str, cli: str) -> PlannedStep:
    return PlannedStep(what, "", cli)
