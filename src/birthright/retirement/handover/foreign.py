"""The one place where others' failures become a HandoverError that knows whether something was stored.

Messages name the operation and AWS's code, never AWS's own text: it may repeat what it was given. Errors
are raised outside of the `except` that caught the cause, so that nothing holds on to the cause either.
"""

import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import msgspec

from birthright.errors import BirthrightError, HandoverError, StoreError
from birthright.retirement.handover.interface import Owner
from birthright.secret import Secret

T = TypeVar("T")

# Seconds between attempts, each made longer or shorter by up to a half.
PAUSES = (0.5, 1.0, 2.0, 4.0)
_CODE = re.compile(r"[A-Za-z][A-Za-z.]{0,63}")
_DENIED = (
    "'birthright permissions --for retire' prints what is needed; a KMS key of your own also wants"
    " kms:GenerateDataKey and kms:Decrypt"
)


class _Failure(msgspec.Struct, frozen=True):
    """One attempt that failed. certain: nothing was changed. again: another attempt may do better."""

    message: str
    hint: str = ""
    code: str = ""
    certain: bool = True
    again: bool = False


def ask(owner: Owner, service: str, operation: str, **arguments: object) -> dict[str, Any]:
    """Call an operation that only reads, patiently. Raises HandoverError, certain; `code` is AWS's word."""
    return _call(owner, service, operation, arguments, writes=False)


def tell(owner: Owner, service: str, operation: str, **arguments: object) -> dict[str, Any]:
    """Call an operation that may be repeated as it is, patiently; a Secret is revealed to AWS alone.

    Raises HandoverError: certain only if no attempt can have been carried out; `code` is AWS's word.
    """
    return _call(owner, service, operation, arguments, writes=True)


def region_of(owner: Owner, service: str) -> str:
    """Return the region that a service is asked in. Raises HandoverError, certain."""
    try:
        return str(owner.client(service).meta.region_name)
    except BirthrightError as error:
        raise HandoverError(error.message, error.hint) from None


def request_id(answer: dict[str, Any]) -> str:
    """Return AWS's id of the request that was answered."""
    return str(answer.get("ResponseMetadata", {}).get("RequestId", ""))


def patiently(arrived: Callable[[], bool]) -> bool:
    """Ask whether something arrived, three times before the answer is no; a call may still be under way.

    Raises HandoverError, uncertain.
    """
    failure: HandoverError | None = None
    for pause in (0.0, *PAUSES[:2]):
        time.sleep(pause)
        try:
            if arrived():
                return True
        except HandoverError as error:
            failure = error
            break
    if failure is not None:
        raise HandoverError(failure.message, failure.hint, certain=False)
    return False


def found_after(failure: HandoverError, find: Callable[[], T | None]) -> T:
    """Look at what exists although it was not found before: it may be our own lost attempt.

    Raises HandoverError, as sure as `failure` was that nothing was stored.
    """
    try:
        found = find()
    except HandoverError as error:
        raise HandoverError(error.message, error.hint, certain=failure.certain) from None
    if found is None:
        raise failure
    return found


@contextmanager
def files(arrived: Callable[[], bool | None] = lambda: False) -> Iterator[None]:
    """Translate failures with files into HandoverError; `arrived` says whether all was stored even so."""
    failure: tuple[str, str] | None = None
    try:
        yield
    except StoreError as error:
        failure = error.message, error.hint
    except OSError as error:
        failure = f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}", ""
    if failure is None:
        return
    try:
        certain = arrived() is False
    except (HandoverError, OSError):
        certain = False
    raise HandoverError(*failure, certain=certain) from None


def _call(
    owner: Owner, service: str, operation: str, arguments: dict[str, object], *, writes: bool
) -> dict[str, Any]:
    unsure = False
    failure = _Failure("")
    for pause in (*PAUSES, None):
        answer, failure = _once(owner, service, operation, arguments)
        if answer is not None:
            return answer
        unsure = unsure or (writes and not failure.certain)
        if pause is None or not failure.again:
            break
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads attempts, hides nothing
    error = HandoverError(failure.message, failure.hint, certain=not unsure)
    error.code = failure.code
    raise error


def _once(
    owner: Owner, service: str, operation: str, arguments: dict[str, object]
) -> tuple[dict[str, Any] | None, _Failure]:
    """Make one attempt; the revealed arguments live in botocore's frames only, not in ours."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    action = f"{service}:{''.join(word.capitalize() for word in operation.split('_'))}"
    try:
        method = getattr(owner.client(service), operation)
        with _unlogged():
            return dict(method(**{name: _revealed(value) for name, value in arguments.items()})), _Failure("")
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        return None, _failure(error, action)
    except BirthrightError as error:
        return None, _Failure(error.message, error.hint)


def _revealed(value: object) -> object:
    return value.reveal() if isinstance(value, Secret) else value


_DENIED_ACTION = re.compile(r"not authorized to perform: ([a-z0-9-]{1,40}:[A-Za-z]{1,60})\b")


def _failure(error: Exception, action: str) -> _Failure:
    """Say what an error of botocore's means, in words that repeat nothing of it but AWS's code."""
    from botocore.exceptions import ClientError

    from birthright.aws.errors import meaning_of

    if isinstance(error, ClientError):
        return _answered(error, action)
    name = type(error).__name__
    match meaning_of(error):
        case "unreached":
            return _Failure(f"{action}: AWS cannot be reached ({name})", "is the network up?", again=True)
        case "lost":
            text = f"{action}: the answer was lost ({name})"
            return _Failure(text, "run it again", certain=False, again=True)
    return _Failure(f"{action} could not be asked ({name})", "look at the AWS settings and credentials")


def _answered(error: Any, action: str) -> _Failure:  # noqa: ANN401 - botocore has no types
    from birthright.aws.errors import code_of, meaning_of, status_of

    code = code_of(error) if _CODE.fullmatch(code_of(error)) else str(status_of(error))
    match meaning_of(error):
        case "failed":
            return _Failure(f"{action}: AWS failed: {code}", "run it again", code, certain=False, again=True)
        case "throttled":
            return _Failure(f"{action}: AWS asks to slow down", "run it again later", code, again=True)
        case "denied":
            return _Failure(f"{_denied_action(error) or action} is denied", _DENIED, code)
    return _Failure(f"{action}: AWS refuses: {code}", "look at the destination and the permissions", code)


def _denied_action(error: Any) -> str | None:  # noqa: ANN401 - botocore has no types
    """Return the missing permission: one call may need several, and AWS names the one."""
    named = _DENIED_ACTION.search(str(error.response.get("Error", {}).get("Message", "")))
    return named[1] if named else None


class _Hush(logging.Filter):
    """Drops what botocore and urllib3 say in detail while a secret is on its way: it repeats requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything pass from INFO on, and all that other calls say."""
        return record.levelno > logging.DEBUG or not _under_way.get()


_hush = _Hush()
_under_way: ContextVar[bool] = ContextVar("_under_way", default=False)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep a call out of the logs, whoever has switched them on."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in {"botocore", "boto3", "urllib3"}:
            # A filter counts for its own logger only, and the same one is kept once.
            logging.getLogger(name).addFilter(_hush)
    state = _under_way.set(True)
    try:
        yield
    finally:
        _under_way.reset(state)
