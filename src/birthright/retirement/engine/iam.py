"""The few calls of IAM and STS that a retirement makes, one account's.

Reads are asked again until they are answered; a change is asked for once, because nobody knows whether
one that got no answer was made. Only being throttled is certain not to have changed anything.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from birthright.aws.clock import AwsClock
from birthright.aws.errors import UNREACHABLE, change_error
from birthright.aws.thread_pacing import ThreadPacer
from birthright.errors import AnswerError, ReadError, ThrottledError, UncertainError
from birthright.facts.model import KeyStatus
from birthright.secret import Secret

_ATTEMPTS = 6  # for a read that fails
_FIRST_PAUSE = 0.2  # seconds; doubled each time
_THROTTLED_ATTEMPTS = 40


# Whether a change may still be made; asked right before it, every time.
Go = Callable[[], bool]


class SeenKey(msgspec.Struct, frozen=True):
    """A key as ListAccessKeys shows it; time UTC."""

    access_key_id: str
    status: str
    created_at: datetime


class KeyLastUse(msgspec.Struct, frozen=True):
    """What GetAccessKeyLastUsed says; `at` is None where it knows of no use; `user_name`: whose key it is."""

    at: datetime | None
    region: str = ""
    service: str = ""
    user_name: str = ""


class NewKey(msgspec.Struct, frozen=True):
    """A key just made."""

    access_key_id: str
    secret: Secret
    created_at: datetime
    request_id: str


class Iam:
    """One account's IAM. `client` is a botocore client that does not repeat anything by itself."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - botocore makes its clients at run time
        clock: AwsClock,
        pace: ThreadPacer,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._clock = clock
        self._pace = pace
        self._sleep = sleep

    def keys(self, user_name: str) -> tuple[SeenKey, ...]:
        """List a user's keys; none for a user who does not exist. Raises ReadError."""
        found: list[SeenKey] = []
        page: dict[str, str] = {}
        while True:
            try:
                answer = self._read("ListAccessKeys", "AccessKeyMetadata", UserName=user_name, **page)
            except ReadError as error:
                if error.code == "NoSuchEntity":
                    return ()
                raise
            found.extend(map(_seen, answer["AccessKeyMetadata"]))
            if not answer.get("IsTruncated"):
                return tuple(found)
            if not answer.get("Marker"):
                raise AnswerError("iam:ListAccessKeys: a page says nothing of the next one", "run it again")
            page = {"Marker": answer["Marker"]}

    def last_use(self, access_key_id: str) -> KeyLastUse:
        """Ask when a key was last used. Raises ReadError."""
        answer = self._read("GetAccessKeyLastUsed", "AccessKeyLastUsed", AccessKeyId=access_key_id)
        used = answer["AccessKeyLastUsed"]
        owner = answer.get("UserName", "")
        return KeyLastUse(
            used.get("LastUsedDate"), used.get("Region", ""), used.get("ServiceName", ""), owner
        )

    def set_status(self, go: Go, user_name: str, access_key_id: str, status: KeyStatus) -> str:
        """Switch a key `Active` or `Inactive`; return AWS's request id. Raises ReadError, UncertainError."""
        return self._change(
            "UpdateAccessKey", go, UserName=user_name, AccessKeyId=access_key_id, Status=status
        )

    def delete(self, go: Go, user_name: str, access_key_id: str) -> str:
        """Delete a key for good; return AWS's request id. Raises ReadError, UncertainError."""
        return self._change("DeleteAccessKey", go, UserName=user_name, AccessKeyId=access_key_id)

    def create(self, go: Go, user_name: str) -> NewKey:
        """Make a key. Raises ReadError, UncertainError."""
        answer = self._once("CreateAccessKey", go, UserName=user_name)
        try:
            key = answer["AccessKey"]
            secret = Secret(key["SecretAccessKey"])
            return NewKey(key["AccessKeyId"], secret, key["CreateDate"], _request_id(answer))
        except KeyError:
            raise UncertainError("iam:CreateAccessKey: the answer is empty", "run it again") from None

    def tag(self, go: Go, user_name: str, name: str, value: str) -> str:
        """Set one tag of a user; return AWS's request id. Raises ReadError, UncertainError."""
        return self._change("TagUser", go, UserName=user_name, Tags=[{"Key": name, "Value": value}])

    def _change(self, operation: str, go: Go, **parameters: object) -> str:
        answer = self._once(operation, go, **parameters)
        if not _request_id(answer):
            raise UncertainError(f"iam:{operation}: the answer is empty", "run it again")
        return _request_id(answer)

    def _read(self, operation: str, needed: str, **parameters: object) -> dict[str, Any]:
        """Ask until there is a whole answer, or no hope. Only what may pass by itself is asked again."""
        for attempt in range(_ATTEMPTS):
            try:
                answer = self._once(operation, _always, **parameters)
                if needed in answer:
                    return answer
                error: ReadError = AnswerError(f"iam:{operation}: the answer is empty", "run it again")
            except UncertainError as lost:
                error = lost
            except ReadError as refused:
                if refused.code != UNREACHABLE:
                    raise
                error = refused
            self._sleep(_FIRST_PAUSE * 2**attempt)
        raise error

    def _once(self, operation: str, go: Go, **parameters: object) -> dict[str, Any]:
        """Ask once; while AWS asks to slow down nothing has happened, so that is asked again.

        Waiting for one's turn takes time, in which the world moves: a change goes only while it may.
        """
        for _ in range(_THROTTLED_ATTEMPTS):
            left_at = self._pace.wait()
            if left_at is None:
                raise ThrottledError(
                    f"iam:{operation}: stopped before AWS could be asked", "run it again", "Throttling"
                )
            if not go():
                raise ThrottledError(
                    f"iam:{operation}: AWS was too busy for too long, nothing was done", "run it again later"
                )
            try:
                answer = self._ask(operation, parameters)
            except ThrottledError as error:
                self._pace.throttled(left_at)
                throttled = error
            else:
                self._pace.answered()
                return answer
        raise throttled

    def _ask(self, operation: str, parameters: dict[str, object]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, xform_name(operation))(**parameters)
        except ClientError as error:
            self._observe(error.response)
            raise change_error(error, f"iam:{operation}") from None
        except (BotoCoreError, ResponseParserError) as error:
            raise change_error(error, f"iam:{operation}") from None
        except ValueError:
            # botocore lets through a date that is none.
            raise UncertainError(f"iam:{operation}: the answer cannot be read", "run it again") from None
        self._observe(answer)
        return answer

    def _observe(self, answer: Any) -> None:  # noqa: ANN401 - botocore's parsed answers
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        if "date" in headers:
            self._clock.observe(headers["date"])


def _seen(key: dict[str, Any]) -> SeenKey:
    try:
        return SeenKey(key["AccessKeyId"], key["Status"], key["CreateDate"])
    except KeyError as lacking:
        raise AnswerError(f"iam:ListAccessKeys: a key without {lacking.args[0]}", "run it again") from None


def _always() -> bool:
    return True


def _request_id(answer: dict[str, Any]) -> str:
    return str(answer.get("ResponseMetadata", {}).get("RequestId", ""))
