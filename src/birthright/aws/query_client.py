"""AWS's query protocol: one signed form POST, one XML answer; retried with care, errors in our words."""

import asyncio
import hashlib
import logging
import random
import time
from collections import Counter, defaultdict
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any
from urllib.parse import quote_plus
from xml.etree import ElementTree as ET

from birthright.aws.async_pacing import Pacer
from birthright.aws.errors import meaning_of_code, read_error
from birthright.aws.http import Response, TimedOutError
from birthright.aws.session import Session
from birthright.aws.signing import sign
from birthright.errors import AnswerError, ReadError, ThrottledError
from birthright.times import now_exactly

_log = logging.getLogger(__name__.rpartition(".")[0])

_jitter = random.Random()  # noqa: S311  it needs no secrecy
_FAILED_TRIES = 5
_HUNG_TRIES = 2
_THROTTLED_TRIES = 25
_LONGEST_PAUSE = 10.0
_VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15"}


# A limit of the calls in flight that several clients share.
Gate = AbstractAsyncContextManager[Any]
OPEN: Gate = nullcontext()


class QueryClient:
    """Calls one service with one user's credentials. `calls` and `refused` count requests by action.

    `digests` holds the SHA-256 of each result that came, by action, as it stands in the answer.
    `pacer` is the account's own; `gate` is passed last, so that a slow account delays no other at it.
    """

    def __init__(self, session: Session, service: str, pacer: Pacer, gate: Gate = OPEN) -> None:
        self._session = session
        self._endpoint = session.endpoint(service)
        self._pool = session.pool(self._endpoint)
        self._version = _VERSIONS[service]
        self._pacer = pacer
        self._gate = gate
        self.calls: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.digests: defaultdict[str, list[bytes]] = defaultdict(list)

    async def call(self, action: str, **parameters: str) -> ET.Element:
        """Make one call, however many requests that takes; return the `<ActionResult>` element.

        Raises AccessDeniedError, CredentialsError, ThrottledError, AnswerError, or ReadError whose `code` is
        AWS's. The retry budget is per call: 5 failures, 2 of them because nothing came for a minute, and 25
        refusals (which take about a minute).
        """
        words = [f"&{name}={quote_plus(value)}" for name, value in parameters.items()]
        body = f"Action={action}&Version={self._version}{''.join(words)}".encode()
        failures = refusals = hung = 0
        while True:
            try:
                return await self._once(action, body)
            except ThrottledError:
                refusals += 1
                if refusals >= _THROTTLED_TRIES:
                    raise
                await self._back_off(min(refusals, 6))
            except AnswerError as error:
                failures += 1
                hung += isinstance(error, TimedOutError)
                if failures >= _FAILED_TRIES or hung >= _HUNG_TRIES:
                    raise
                await self._back_off(failures)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    async def _once(self, action: str, body: bytes) -> ET.Element:
        # Renewing credentials may take a while: no place is held meanwhile.
        credentials = await self._session.credentials()
        left_at = await self._pacer.enter()
        try:
            async with self._gate:
                if self._gate is not OPEN:
                    left_at = time.monotonic()
                self.calls[action] += 1
                headers = sign(body, self._pool.host, self._endpoint.scope, credentials, now_exactly())
                response = await self._post(action, headers, body)
            result = _read(action, response)
            self.digests[action].append(_digest(action, response.body))
        except ThrottledError as error:
            self.refused[action] += 1
            # Of a limit of one kind of call slower calls are no cure: it is waited for, not paced.
            if meaning_of_code(error.code) != "limit":
                self._pacer.throttled(left_at)
            raise
        except ReadError as error:
            # A refusal of AWS's is an answer, and a fast one: it says nothing against more calls.
            if error.code and not isinstance(error, AnswerError):
                self._pacer.answered()
            raise
        else:
            self._pacer.answered()
            return result
        finally:
            self._pacer.leave()

    async def _post(self, action: str, headers: dict[str, str], body: bytes) -> Response:
        if not _log.isEnabledFor(logging.DEBUG):
            return await self._pool.post(headers, body)
        began = time.monotonic()
        outcome: object = "no answer"
        try:
            response = await self._pool.post(headers, body)
            request_id = response.headers.get("x-amzn-requestid", "-")
            outcome = f"{response.status} {_code(response)} {request_id}"
        except ReadError as error:
            outcome = type(error).__name__
            raise
        finally:
            _log.debug("%s %s %.0f ms", action, outcome, (time.monotonic() - began) * 1000)
        return response

    async def _back_off(self, tries: int) -> None:
        """Pause before a retry: doubling, with full jitter so that callers do not march in step."""
        await asyncio.sleep(_jitter.uniform(0.0, min(_LONGEST_PAUSE, 0.1 * 2**tries)))


def _read(action: str, response: Response) -> ET.Element:
    try:
        root = ET.fromstring(response.body)  # noqa: S314  expat bounds entity expansion
    except (ET.ParseError, ValueError, LookupError) as error:
        # An unknown encoding is a LookupError, one that is not available a ValueError.
        raise _no_document(action, response, error) from None
    _drop_namespaces(root)
    if response.status != 200:  # noqa: PLR2004  HTTP's "OK"
        code = root.findtext(".//Code") or f"HTTP {response.status}"
        raise read_error(action, code, response.status, root.findtext(".//Message") or "")
    result = root.find(f"{action}Result")
    if result is None:
        raise AnswerError(f"{action}: the answer is a <{root.tag[:40]}>, not a <{action}Result>")
    return result


def _digest(action: str, body: bytes) -> bytes:
    """Hash `<ActionResult>...</ActionResult>` as it came: the request's id beside it is never the same."""
    last = f"</{action}Result>".encode()
    start, end = body.find(f"<{action}Result".encode()), body.rfind(last)
    return hashlib.sha256(body[start : end + len(last)] if 0 <= start < end else body).digest()


def _no_document(action: str, response: Response, error: Exception) -> ReadError:
    """Return the error for an answer that AWS did not write, or not completely."""
    if response.status in {429, 503}:
        return ThrottledError(f"{action}: HTTP {response.status}")
    if response.status == 407:  # noqa: PLR2004  HTTP's "proxy authentication required"
        return ReadError("the proxy wants a name and a password", "HTTP_PROXY=http://name:password@host:port")
    return AnswerError(f"{action}: HTTP {response.status}, and the answer is not XML ({error})")


def _code(response: Response) -> str:
    """Find the error code of an answer for the log."""
    if response.status == 200:  # noqa: PLR2004  HTTP's "OK"
        return "OK"
    code = response.body.partition(b"<Code>")[2].partition(b"</Code>")[0]
    return code[:60].decode("latin-1") or "-"


def _drop_namespaces(root: ET.Element) -> None:
    """Forget XML namespaces: partitions and look-alikes differ in them, the words are the same."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
