"""What happens to keys, and from when on it is seen.

AWS takes a moment to show a change everywhere: with `consistency_seconds` a listing is that many
seconds behind, and with `last_use_lag_seconds` a use is. The state itself is always the present one.
Each function returns its effect as the log keeps it; nothing where nothing changed.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from birthright.sandbox.account import Key, KeyUse, PendingChange, SandboxAccount, User

Effect = tuple[str, ...]


@dataclass(slots=True)
class Delays:
    """How slow the sandbox is to make and to show things; all in seconds of its own time.

    report: how long a credential report takes to be made. consistency: how long a new key is not
    accepted, and listings of keys are behind. last_use_lag: how long a use is not shown.
    last_use_span: for so long after a recorded use no other is recorded (AWS: 900).
    """

    report: float = 0.0
    consistency: float = 0.0
    last_use_lag: float = 0.0
    last_use_span: float = 0.0


def create_key(account: SandboxAccount, user: User, now: datetime, delays: Delays) -> tuple[Key, Effect]:
    """Make a key of a user, created now (cut to the second)."""
    key = account.add_key(user, now.replace(microsecond=0))
    if delays.consistency:
        key.usable_from = now + timedelta(seconds=delays.consistency)
        _remember(user, PendingChange(now, key, ""), delays)
    return key, ("created", user.name, key.access_key_id)


def set_status(user: User, key: Key, status: str, now: datetime, delays: Delays) -> Effect:
    """Switch a key on or off."""
    before = key.status
    if before == status:
        return ()
    if delays.consistency:
        _remember(user, PendingChange(now, key, before), delays)
    key.status = status
    return ("status", user.name, key.access_key_id, before, status)


def delete_key(account: SandboxAccount, user: User, key: Key, now: datetime, delays: Delays) -> Effect:
    """Delete a key for good."""
    if delays.consistency:
        _remember(user, PendingChange(now, key, key.status), delays)
    account.remove_key(user, key)
    return ("deleted", user.name, key.access_key_id)


def listed(user: User, now: datetime, delays: Delays) -> dict[str, tuple[Key, str]]:
    """Return the user's keys and their status by id, as a listing shows them by now."""
    shown = {name: (key, key.status) for name, key in user.keys.items()}
    for change in reversed(user.changes):
        if (now - change.at).total_seconds() >= delays.consistency:
            break
        if change.before:
            shown[change.key.access_key_id] = (change.key, change.before)
        else:
            shown.pop(change.key.access_key_id, None)
    return shown


def use(key: Key, coming: KeyUse, delays: Delays) -> None:
    """Note a use; it counts only where the span since the last one noted is over."""
    at, last_at = coming.at, key.last_used_at
    if delays.last_use_span and at and last_at and 0 <= (at - last_at).total_seconds() < delays.last_use_span:
        return
    if delays.last_use_lag and coming != key.last_use:
        _keep_earlier(key, coming, delays)
    key.last_used_at, key.last_used_region, key.last_used_service = coming


def shown_use(key: Key, now: datetime, delays: Delays) -> KeyUse:
    """Return the last use as AWS shows it by now."""
    if not _hidden(key.last_use, now, delays):
        return key.last_use
    earlier = reversed(key.earlier_uses or ())
    return next((use for use in earlier if not _hidden(use, now, delays)), KeyUse())


def _hidden(use: KeyUse, now: datetime, delays: Delays) -> bool:
    return use.at is not None and 0 <= (now - use.at).total_seconds() < delays.last_use_lag


def _keep_earlier(key: Key, coming: KeyUse, delays: Delays) -> None:
    """Keep what is still shown while `coming` is not; what an older shown use hides is forgotten."""
    key.earlier_uses = earlier = deque() if key.earlier_uses is None else key.earlier_uses
    earlier.append(key.last_use)
    now = coming.at
    while len(earlier) > 1 and now and not _hidden(earlier[1], now, delays):
        earlier.popleft()


def _remember(user: User, change: PendingChange, delays: Delays) -> None:
    """Keep a change for as long as listings are behind it."""
    oldest = change.at - timedelta(seconds=delays.consistency)
    user.changes = [*(other for other in user.changes if other.at > oldest), change]
