"""Tells many accounts that fail from an outage of everything."""

from collections.abc import Awaitable, Callable

from birthright.errors import CredentialsError, ReadError
from birthright.facts.model import AccountFacts
from birthright.fleet.target import Target

_SILENT = 50

Probe = Callable[[Target | None], Awaitable[None]]


class Outage:
    """Tells accounts that fail from an outage of everything, after which nothing need be asked any more.

    An account that could not even be entered is held back until another one answers. So what an outage
    did not let anybody read is not kept as if it had been read, and is asked for again by a resumed scan.
    Accounts that fail come last, as they are tried again, and a resumed scan may have no others left: so
    many in a row are an outage only if `probe`, too, gets no answer.
    """

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._silent: list[AccountFacts] = []
        self._answered: Target | None = None
        self._probing = False

    def heard(self, asked: Target, facts: AccountFacts) -> None:
        """Remember an account that let us in, or said that it does not, for the probe to enter again."""
        first = facts.coverage[0]
        if asked.profile is not None or first.source == "AssumeRole":
            self._answered = self._answered if _is_silent(facts) else asked

    async def settled(self, facts: AccountFacts) -> list[AccountFacts]:
        """Take an account's facts; return those that may be kept.

        Raises ReadError if nobody answers, CredentialsError if it is because of the caller's credentials.
        """
        if all(line.status == "skipped" for line in facts.coverage):
            # Nobody was asked.
            return [facts]
        if not _is_silent(facts):
            return [*self.left(), facts]
        self._silent.append(facts)
        if len(self._silent) < _SILENT or self._probing:
            return []
        self._probing = True
        try:
            await self._probe(self._answered)
        except CredentialsError:
            raise
        except ReadError as error:
            detail = facts.coverage[0].detail
            text = f"{_SILENT} accounts in a row could not be entered, the last one: {detail}"
            raise ReadError(text, error.hint) from error
        finally:
            self._probing = False
        return self.left()

    def left(self) -> list[AccountFacts]:
        """Return what is held back, and hold it no more."""
        silent, self._silent = self._silent, []
        return silent


def _is_silent(facts: AccountFacts) -> bool:
    return all(line.status == "failed" for line in facts.coverage)
