"""How many keys of one account one plan may touch."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction

import msgspec

from birthright.facts.model import ACTIVE
from birthright.retirement.planning.candidates import Candidate
from birthright.retirement.planning.guards import Refusal

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class PlanLimits(msgspec.Struct, frozen=True):
    """The most keys of one account in one plan: a number, and a share of its active keys."""

    max_keys: int
    max_share: float


def beyond(
    keys: Sequence[Candidate], limits: PlanLimits, active: Mapping[str, int]
) -> dict[tuple[str, str | None], Refusal]:
    """Return which keys are too many, by account and key id, with why.

    Kept first: what was never used, then what was used least recently; of two alike, retiring before
    rotating. `active` is the number of active keys of each account; of an account that is not there,
    one key is kept. Inactive keys count as keys, but not into the share.
    """
    kept: Counter[str] = Counter()
    kept_active: Counter[str] = Counter()
    refused: dict[tuple[str, str | None], Refusal] = {}
    for key in sorted(keys, key=_order):
        account, is_active = key.account_id, key.facts.status == ACTIVE
        over = _too_many(
            limits, active.get(account), kept[account], kept_active[account] if is_active else -1
        )
        if over:
            refused[account, key.access_key_id] = over
            continue
        kept[account] += 1
        kept_active[account] += is_active
    return refused


def _too_many(limits: PlanLimits, active: int | None, kept: int, kept_active: int) -> Refusal | None:
    """Say why one more would be too many; `kept_active` is -1 for a key that is not active."""
    if active is None:
        if not kept:
            return None
        return Refusal(
            "the findings do not say how many keys the account has, so one is planned at a time",
            "scan again and plan from that, or plan again when the one is done",
        )
    if kept >= limits.max_keys:
        return Refusal(
            f"{limits.max_keys} keys of this account are in this plan already (max_keys)",
            "plan again when these are done, or raise max_keys",
        )
    share = _share(limits, active)
    if kept_active < share:
        return None
    return Refusal(
        f"{share} of the account's {active} active keys {'is' if share == 1 else 'are'} in this plan already "
        f"(max_share {limits.max_share:.0%})",
        "plan again when these are done, or raise max_share",
    )


def _share(limits: PlanLimits, active: int) -> int:
    """Return how many active keys the share allows, at least one; exactly, as a person reads 0.29."""
    return max(1, int(Fraction(str(limits.max_share)) * active))


def _order(key: Candidate) -> tuple[bool, datetime, bool, str, str, str]:
    """Order by what is least likely to be missed."""
    used = key.facts.last_used_at or _LONG_AGO
    rotate = "rotate" in key.remedies
    return bool(key.facts.ever_used), used, rotate, key.account_id, key.user_name, key.access_key_id or ""
