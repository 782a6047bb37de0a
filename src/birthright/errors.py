"""Every error birthright raises on purpose.

    BirthrightError                      exit code
    |- UsageError                        2   an option, a setting, a file or a page is wrong
    |  |- PageError                          a policy page is broken
    |  |- QueryError                         a query or rule is not one plain SELECT, or does not run
    |  |- PlanError                          a plan was edited, has expired, or is none
    |  |- LockedError                        somebody else is working on this key
    |  `- NoSuchUserError                    the account has no IAM user of that name
    |- ReadError                         3   something outside could not be read
    |  |- CredentialsError                   there are no credentials, or AWS refuses them
    |  |- AccessDeniedError                  AWS refuses this one call
    |  |- ThrottledError                     AWS kept saying "slow down" until the budget was spent
    |  |- AnswerError                        the answer is cut, malformed or not what was asked for
    |  |- RefusedError                       AWS refuses a change, and did not make it
    |  |- UncertainError                     nobody knows whether AWS made a change
    |  `- HandoverError                      a new key's secret could not be handed over
    `- StoreError                        4   birthright's own files cannot be read or written
       `- JournalError                       the journal cannot be read, written or believed

Each carries a hint: what the person who sees it can do next.
"""


class BirthrightError(Exception):
    """Base of the tree; `exit_code` is what the process ends with."""

    exit_code = 4

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """One line: what happened and, where known, what to do next."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(BirthrightError):
    """An option, a setting or a file the user gave is wrong."""

    exit_code = 2


class PageError(UsageError):
    """A policy page cannot be read; the message names the page and the place in it."""


class QueryError(UsageError):
    """A query or a rule is refused, or the engine could not run it."""


class PlanError(UsageError):
    """A plan cannot be applied: it was edited, has expired, or is no plan."""


class LockedError(UsageError):
    """Somebody else is working on this user's keys; the message says who, and until when."""


class NoSuchUserError(UsageError):
    """The account has no IAM user of that name; it may have been deleted."""


class ReadError(BirthrightError):
    """Something outside birthright could not be read."""

    exit_code = 3

    def __init__(self, message: str, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class CredentialsError(ReadError):
    """There are no credentials, or AWS does not accept them."""


class AccessDeniedError(ReadError):
    """AWS understood who asks and refuses this one call."""


class ThrottledError(ReadError):
    """AWS answered `Throttling` until the retry budget was spent."""


class AnswerError(ReadError):
    """An answer was cut short, malformed, or not what was asked for."""


class RefusedError(ReadError):
    """AWS refuses a change and did not make it; `code` is AWS's word for why."""


class UncertainError(ReadError):
    """A change was asked for and no answer came: AWS may have made it."""


class HandoverError(ReadError):
    """A secret could not be handed over; `certain` is whether nothing of it was stored, for sure."""

    def __init__(self, message: str, hint: str = "", *, certain: bool = True) -> None:
        super().__init__(message, hint)
        self.certain = certain


class StoreError(BirthrightError):
    """birthright's own files cannot be read or written."""


class JournalError(StoreError):
    """The journal cannot be read, written or believed."""
