"""Distinguishes many accounts that fail from an outage that affects all of them."""

from collections.abc import Awaitable, Callable, Sequence

from birthright.errors import CredentialsError, ReadError
from birthright.facts.model import AccountFacts
from birthright.fleet.target import Target

_SUSPICIOUS = 50  # accounts

Probe = Callable[[Target | None], Awaitable[None]]


def is_failed(facts: AccountFacts) -> bool:
    """Whether an account could not be entered, and did not say why."""
    return all(line.status == "failed" for line in facts.coverage)


class Outage:
    """Holds accounts that failed back until `probe` shows that AWS answers, or that there is an outage.

    What an outage made unreadable must not be kept as read: a resumed scan reads it again. `probe` is called
    for every fiftieth. The order in which accounts fail and answer proves nothing: those that fail finish
    last, because they are retried, and workers report whole batches.
    """

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._held: list[AccountFacts] = []
        self._entered: Target | None = None
        self._probing = False

    def note(self, entered: Target | None) -> None:
        """Remember an account that was entered, for the probe to enter it again."""
        self._entered = entered or self._entered

    async def hold(self, failed: Sequence[AccountFacts]) -> list[AccountFacts]:
        """Hold accounts back; return those that may be kept.

        Raises ReadError in an outage, CredentialsError if the caller's credentials caused it.
        """
        self._held += failed
        if len(self._held) < _SUSPICIOUS or self._probing:
            return []
        self._probing, last = True, self._held[-1].coverage[0].detail
        try:
            await self._probe(self._entered)
        except CredentialsError:
            raise
        except ReadError as error:
            text = f"{_SUSPICIOUS} accounts could not be entered, the last one: {last}"
            raise ReadError(text, error.hint) from error
        finally:
            self._probing = False
        return self.release()

    def release(self) -> list[AccountFacts]:
        """Return the accounts that are held back, and hold them no more."""
        held, self._held = self._held, []
        return held


def probed_by(target: Target, facts: AccountFacts) -> Target | None:
    """Return the account if entering it again would prove something. The caller's own needs no call."""
    if is_failed(facts):
        return None
    return target if target.profile is not None or facts.coverage[0].source == "AssumeRole" else None
