"""AWS Security Hub in one account and region: the findings of birthright that it holds, and their import.

Together with `retirement/` the one place that changes anything in AWS. What it writes are findings in
Security Hub; it never touches IAM.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from birthright.aws.errors import change_error, code_of, translated
from birthright.aws.session import AwsSession
from birthright.aws.sts import Caller, caller_of
from birthright.errors import AccessDeniedError, AnswerError, BirthrightError, ReadError

# Every GeneratorId that birthright writes begins so.
GENERATOR = "birthright/"
# AWS's limits: findings in a call, and bytes of one finding. A call may be larger, but need not.
MOST_FINDINGS = 100
MOST_BYTES = 240_000
_ENVELOPE = len('{"Findings": []}')
_ATTEMPTS = 6  # for findings that AWS says it could not take just now
_CALL_ATTEMPTS = 8
_LONGEST_PAUSE = 20.0
_CONNECT_TIMEOUT = 5
_READ_TIMEOUT = 30
_NAMED = 3  # ids that are named for each kind of failure
_LONGEST_ID = 200
_PASSING = ("throttl", "limitexceeded", "internal", "concurrent", "serviceunavailable", "toomanyrequests")
_NOT_ENABLED = frozenset({"InvalidAccess", "InvalidAccessException"})
_TOO_LARGE = "TooLarge"

Item = dict[str, Any]
"""A finding in AWS's format (ASFF)."""


class Failed(msgspec.Struct, frozen=True):
    """Why findings were refused: AWS's code (or `TooLarge`), how many, the first few ids."""

    code: str
    count: int
    ids: tuple[str, ...]


class Hub:
    """One account's Security Hub, in one region, as the session's credentials reach it."""

    def __init__(self, session: AwsSession, sleep: Callable[[float], None]) -> None:
        """Look up the caller's account and region. Raises BirthrightError."""
        self._sleep = sleep
        self._client = _client(session, "securityhub")
        self.region: str = self._client.meta.region_name
        caller = _get_caller(_client(session, "sts"))
        self.account_id, self.partition = caller.account_id, caller.partition
        self._failed: Counter[str] = Counter()
        self._failed_ids: dict[str, list[str]] = {}

    @property
    def product_arn(self) -> str:
        """The product that findings of an account's own tools belong to."""
        start = f"arn:{self.partition}:securityhub:{self.region}:{self.account_id}"
        return f"{start}:product/{self.account_id}/default"

    @property
    def failed(self) -> tuple[Failed, ...]:
        """The findings refused so far, the most frequent reason first."""
        return tuple(
            Failed(code, count, tuple(self._failed_ids[code])) for code, count in self._failed.most_common()
        )

    def active(self) -> Iterator[Item]:
        """Yield the findings of birthright that are not archived. Raises BirthrightError."""
        wanted = {"ProductArn": self.product_arn, "AwsAccountId": self.account_id, "RecordState": "ACTIVE"}
        filters = {name: [{"Value": value, "Comparison": "EQUALS"}] for name, value in wanted.items()}
        filters["GeneratorId"] = [{"Value": GENERATOR, "Comparison": "PREFIX"}]
        token: dict[str, str] = {}
        while True:
            answer = self._call("GetFindings", Filters=filters, MaxResults=MOST_FINDINGS, **token)
            for item in answer.get("Findings", ()):
                # No filter of AWS selects exactly the findings of birthright.
                if item.get("RecordState", "ACTIVE") == "ACTIVE" and _is_ours(item, self.product_arn):
                    yield item
            following = answer.get("NextToken")
            if not following:
                return
            if following == token.get("NextToken"):
                raise AnswerError("securityhub:GetFindings: the pages go round in a circle", "run it again")
            token = {"NextToken": following}

    def put(self, items: Iterable[Item]) -> Iterator[Item]:
        """Import findings as they come; yield those that AWS accepted. Raises BirthrightError.

        What AWS refuses of a batch is in `failed`; what it could not take just now is sent again.
        """
        for batch in self._batches(items):
            yield from self._put(batch)

    def _batches(self, items: Iterable[Item]) -> Iterator[dict[str, Item]]:
        """Cut into batches that AWS accepts; a finding that is too large alone is a failure."""
        batch: dict[str, Item] = {}
        size = _ENVELOPE
        for item in items:
            # As botocore writes it.
            length = len(json.dumps(item)) + len(", ")
            if length + _ENVELOPE > MOST_BYTES:
                self._note(_TOO_LARGE, item["Id"])
                continue
            if len(batch) == MOST_FINDINGS or size + length > MOST_BYTES:
                yield batch
                batch, size = {}, _ENVELOPE
            batch[item["Id"]] = item
            size += length
        if batch:
            yield batch

    def _put(self, waiting: dict[str, Item]) -> Iterator[Item]:
        for attempt in range(1, _ATTEMPTS + 1):
            answer = self._call("BatchImportFindings", Findings=list(waiting.values()))
            codes = {one["Id"]: one["ErrorCode"] for one in answer.get("FailedFindings", ())}
            if not _NOT_ENABLED.isdisjoint(codes.values()):
                raise self._not_enabled()
            yield from (item for name, item in waiting.items() if name not in codes)
            waiting = {name: item for name, item in waiting.items() if name in codes}
            for name in list(waiting):
                if attempt == _ATTEMPTS or not _is_passing(codes[name]):
                    self._note(codes[name], name)
                    del waiting[name]
            if not waiting:
                return
            longest = min(2.0**attempt, _LONGEST_PAUSE)
            self._sleep(random.uniform(longest / 2, longest))  # noqa: S311 - not for cryptography

    def _note(self, code: str, name: str) -> None:
        self._failed[code] += 1
        ids = self._failed_ids.setdefault(code, [])
        if len(ids) < _NAMED:
            ids.append(name[:_LONGEST_ID])

    def _call(self, operation: str, **arguments: Any) -> Item:  # noqa: ANN401 - botocore's
        action = f"securityhub:{operation}"
        try:
            answer: Item = getattr(self._client, xform_name(operation))(**arguments)
        except (ClientError, BotoCoreError, ResponseParserError) as error:
            raise self._refusal(error, action) from None
        return answer

    def _refusal(self, error: Exception, action: str) -> BirthrightError:
        if isinstance(error, ClientError) and code_of(error) in _NOT_ENABLED:
            return self._not_enabled()
        refused = change_error(error, action)
        if isinstance(refused, AccessDeniedError):
            needed = "'birthright permissions --for security-hub' prints what is needed"
            return AccessDeniedError(refused.message, needed, refused.code)
        return refused

    def _not_enabled(self) -> ReadError:
        return ReadError(
            f"Security Hub is not enabled in account {self.account_id}, region {self.region}",
            "enable it there (Security Hub CSPM), or choose another --region or --profile",
            "InvalidAccess",
        )


def _get_caller(sts: Any) -> Caller:  # noqa: ANN401 - botocore has no types
    try:
        return caller_of(sts.get_caller_identity().get("Arn", ""))
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        raise change_error(error, "sts:GetCallerIdentity") from None


def _client(session: AwsSession, service: str) -> Any:  # noqa: ANN401 - botocore makes its clients at run time
    """Make a client that retries a bounded number of times when AWS throttles or fails."""
    config = Config(
        retries={"mode": "standard", "total_max_attempts": _CALL_ATTEMPTS},
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
    )
    with translated():
        return session.botocore.create_client(service, region_name=session.region, config=config)


def _is_ours(item: Item, product_arn: str) -> bool:
    return item.get("ProductArn") == product_arn and str(item.get("GeneratorId", "")).startswith(GENERATOR)


def _is_passing(code: str) -> bool:
    """Whether a failure is worth a retry; AWS writes its codes in more than one way."""
    return code.lower().startswith(_PASSING)
