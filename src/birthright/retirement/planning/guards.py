"""What a plan refuses, and what to do about each: one function a guard, asked in order.

A guard sees facts only. None of them asks AWS: what moves after the plan, `apply` sees.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

import msgspec

from birthright.aws.identifiers import is_access_key_id, is_account_id, is_user_name
from birthright.facts.model import ACTIVE, INACTIVE
from birthright.retirement.model import Terms
from birthright.retirement.planning.candidates import Candidate, PlanRequest, Sibling
from birthright.text import printable
from birthright.times import format_duration, format_instant

# AWS shows `never used` for a key that was used a moment ago: a young key's disuse is not known.
SETTLED = timedelta(days=1)

_SCAN_AGAIN = "scan again and plan from that"
_LOOK = "look at the key in IAM yourself"


class Refusal(msgspec.Struct, frozen=True):
    """Why a key is not touched, and what a person can do about it; each one line."""

    why: str
    advice: str


class Rules(msgspec.Struct, frozen=True):
    """What the guards go by; `as_of` is the scan's instant, UTC."""

    terms: Terms
    choices: PlanRequest
    as_of: datetime


Guard = Callable[[Candidate, Rules], Refusal | None]


def refusal(key: Candidate, rules: Rules) -> Refusal | None:
    """Return the first reason not to touch a key; None if there is none."""
    return next((found for guard in GUARDS if (found := guard(key, rules))), None)


def _root(key: Candidate, _: Rules) -> Refusal | None:
    if not key.is_root:
        return None
    return Refusal(
        "it is a key of the root user, which nobody but root can remove",
        "find out what uses it, then sign in as root and delete it there",
    )


def _damaged(key: Candidate, _: Rules) -> Refusal | None:
    if not key.agreed:
        return Refusal("its findings contradict each other", _SCAN_AGAIN)
    if not key.user_arn and is_account_id(key.account_id):
        return Refusal("could not read the user's ARN", "allow iam:ListUsers and scan again")
    if not (key.proper and is_account_id(key.account_id) and is_user_name(key.user_name)):
        return Refusal("no such account, user and ARN go together in AWS", _SCAN_AGAIN)
    return None


def _protected(key: Candidate, rules: Rules) -> Refusal | None:
    pattern = protecting(key.user_name, key.user_arn, rules.choices.protected)
    if pattern is None:
        return None
    return Refusal(
        f"the user is protected by {pattern!r}",
        "nothing, or take the pattern out of [retirement] protected in birthright.toml",
    )


def protecting(user_name: str, user_arn: str, patterns: Iterable[str]) -> str | None:
    """Return the first pattern that protects a user, by name or ARN; None if none does."""
    for pattern in patterns:
        if fnmatchcase(user_name, pattern) or fnmatchcase(user_arn, pattern):
            return pattern
    return None


def _waived(key: Candidate, rules: Rules) -> Refusal | None:
    # Accepted by one policy: to retire it for another's sake would take the same key away.
    waiver = key.waiver
    if waiver is None or key.access_key_id in rules.choices.keys:
        return None
    return Refusal(
        f"waived until {waiver.expires} by {printable(waiver.owner)}: {printable(waiver.reason)}",
        f"nothing, or take the entry out of the waivers; if you are sure, say --key {key.access_key_id}",
    )


def _own(key: Candidate, rules: Rules) -> Refusal | None:
    if key.access_key_id not in rules.choices.own_key_ids:
        return None
    return Refusal(
        "birthright itself runs with this key", "use other credentials, best a role, and plan again"
    )


def _nameless(key: Candidate, _: Rules) -> Refusal | None:
    if key.access_key_id is None:
        return Refusal("its id was not read: the scan read the report only", "scan again with --depth keys")
    if not is_access_key_id(key.access_key_id):
        return Refusal("its id is not one that AWS gives", _SCAN_AGAIN)
    return None


def _status(key: Candidate, _: Rules) -> Refusal | None:
    if key.facts.status is None:
        return Refusal("could not read whether it is active", "allow iam:ListAccessKeys and scan again")
    if key.facts.status not in {ACTIVE, INACTIVE}:
        return Refusal(f"its status is {key.facts.status}, neither Active nor Inactive", _LOOK)
    return None


def _creation(key: Candidate, _: Rules) -> Refusal | None:
    if key.facts.created_at is not None:
        return None
    return Refusal("could not read when it was created", "allow iam:ListAccessKeys and scan again")


def _last_use(key: Candidate, _: Rules) -> Refusal | None:
    facts = key.facts
    if facts.ever_used is None or facts.ever_used is (facts.last_used_at is None):
        advice = "allow iam:GetAccessKeyLastUsed and scan again"
        return Refusal("could not read when it was last used", advice)
    return None


def _young(key: Candidate, _: Rules) -> Refusal | None:
    facts = key.facts
    if facts.ever_used or facts.created_at is None or facts.as_of is None:
        return None
    if facts.as_of - facts.created_at >= SETTLED:
        return None
    return Refusal(
        "it was less than a day old when AWS said that it was never used; a use may show up late",
        "scan again when the key is older than a day",
    )


def _review(key: Candidate, _: Rules) -> Refusal | None:
    if "review" not in key.remedies:
        return None
    return Refusal(
        "a person has to look: its finding says so", "look with 'birthright explain', or scan again"
    )


def _disagreement(key: Candidate, _: Rules) -> Refusal | None:
    if len(key.remedies) != 1:
        return Refusal("its findings disagree whether to retire or to rotate it", _SCAN_AGAIN)
    if "rotate" in key.remedies and (key.facts.status != ACTIVE or not key.facts.ever_used):
        return Refusal("it is to be rotated, yet it is not in use: that contradicts itself", _SCAN_AGAIN)
    return None


def _in_use(key: Candidate, rules: Rules) -> Refusal | None:
    used, in_use = key.facts.last_used_at, rules.terms.in_use
    if "retire" not in key.remedies or used is None or rules.as_of - used >= in_use:
        return None
    why = f"it was used within {format_duration(in_use)}, the in_use of this plan"
    if key.facts.is_inactive:
        return Refusal(f"it is inactive, but {why}", f"plan again {_later(used, in_use)}")
    return Refusal(why, "scan again, so that its findings go by the same in_use")


def _later(used: datetime, in_use: timedelta) -> str:
    try:
        return f"after {format_instant(used + in_use)}"
    except OverflowError:
        return "with a shorter in_use"


def _smtp(key: Candidate, rules: Rules) -> Refusal | None:
    facts = key.facts
    if rules.choices.allow_ses or not facts.ever_used:
        return None
    if facts.last_used_service is None:
        return Refusal(
            "the findings do not say which service it was last used for: it may be an SMTP password",
            "plan from a scan, or from findings written with evidence; if you are sure, say --allow-ses",
        )
    service = facts.last_used_service.strip().lower()
    if service.partition("-")[0] != "ses":
        return None
    return Refusal(
        f"it was last used for {printable(service)}: it may be an SMTP password, and mail would stop",
        "find out what sends mail with it; if you are sure, say --allow-ses",
    )


def _second_key(key: Candidate, rules: Rules) -> Refusal | None:
    if "rotate" not in key.remedies:
        return None
    if key.user_keys is None:
        return Refusal(
            "the findings do not say how many keys the user has, and a rotation needs room", _SCAN_AGAIN
        )
    if key.user_keys <= 1:
        return None
    why = f"the user has {key.user_keys} keys, so there is no room for a replacement"
    return Refusal(why, _which_first(key, rules))


def _which_first(key: Candidate, rules: Rules) -> str:
    """Say which of the user's keys could make room: an inactive or unused one, else the longer unused."""
    if not key.siblings:
        return "another key of the user has to go first; 'birthright explain' with the user's name shows it"
    first = min(key.siblings, key=_ease)
    name = first.access_key_id
    if first.status == INACTIVE:
        return f"{name} is inactive and could go first: delete it, then plan again"
    if first.ever_used is False:
        if _is_new(first, rules):
            return f"{name} is new and not used yet: if somebody is rotating by hand, let them finish"
        return f"{name} was never used and could go first: retire it, then plan again"
    return _longer_unused(key, first)


def _longer_unused(key: Candidate, other: Sibling) -> str:
    name, own = other.access_key_id, key.facts.last_used_at
    if other.last_used_at is None or own is None:
        return f"find out whether {name}, whose last use is not known, could go first"
    if other.last_used_at > own:
        return f"this key could go first: move what uses it over to {name}, which was used later"
    used = format_instant(other.last_used_at)
    return f"{name} was last used {used} and could go first: move what uses it over to this one"


def _is_new(other: Sibling, rules: Rules) -> bool:
    """Whether a key was made so lately that it may be the replacement of a rotation under way."""
    return other.created_at is None or rules.as_of - other.created_at < rules.terms.deadline


def _ease(other: Sibling) -> tuple[bool, bool, str, str]:
    """Order siblings by how easily they go."""
    used = format_instant(other.last_used_at) if other.last_used_at else "9"
    return other.status != INACTIVE, other.ever_used is not False, used, other.access_key_id


GUARDS: tuple[Guard, ...] = (
    _root,
    _damaged,
    _protected,
    _waived,
    _own,
    _nameless,
    _status,
    _creation,
    _last_use,
    _young,
    _review,
    _disagreement,
    _in_use,
    _smtp,
    _second_key,
)
