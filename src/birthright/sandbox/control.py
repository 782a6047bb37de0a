"""Steering a sandbox from another process: small JSON calls under `/_sandbox/` on the same port.

Only a body of type application/json is obeyed, so that no web page can steer it by a plain form.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from birthright.errors import UsageError
from birthright.sandbox.faults import Fault
from birthright.sandbox.gateway import Gateway
from birthright.sandbox.organization import State
from birthright.sandbox.people import People
from birthright.sandbox.population import Expected
from birthright.sandbox.server import Latency
from birthright.sandbox.wire import WireRequest, WireResponse, http_date
from birthright.times import format_instant, parse_duration, parse_instant

PREFIX = "/_sandbox/"


class Move(msgspec.Struct, forbid_unknown_fields=True):
    """Where the clock goes: to an instant (`set`, ISO 8601) or on by a duration (`advance`, `4h`)."""

    set: str | None = None
    advance: str | None = None


class Troubles(msgspec.Struct, forbid_unknown_fields=True):
    """Faults to add, after ending those in force where `clear` is true."""

    faults: list[Fault] = []
    clear: bool = False


class Pace(msgspec.Struct, forbid_unknown_fields=True):
    """How fast it answers: milliseconds, and calls a second per account (null: no limit; STS has its own)."""

    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    throttle: float | None = None
    burst: float | None = None
    sts_throttle: float | None = None


class Use(msgspec.Struct, forbid_unknown_fields=True):
    """A use of a key by somebody; a real use needs no such call."""

    key: str
    service: str = "s3"
    region: str = "eu-west-1"


class KeySwitch(msgspec.Struct, forbid_unknown_fields=True):
    """A key that somebody switches `Active` or `Inactive`."""

    key: str
    status: str


class AccountState(msgspec.Struct, forbid_unknown_fields=True):
    """An account whose state in the organization changes."""

    account: str
    state: State


class Control:
    """Answers the steering calls itself and passes everything else to the gateway.

    accounts: how many there are. expected: what a scan must find.
    """

    def __init__(
        self,
        gateway: Gateway,
        people: People,
        latency: Latency,
        *,
        accounts: int,
        expected: Sequence[Expected],
    ) -> None:
        self._gateway = gateway
        self._cloud = gateway.cloud
        self._people = people
        self._latency = latency
        self._accounts = accounts
        self._expected = expected
        self._steps: dict[str, Callable[[bytes], None]] = {
            "clock": self._move,
            "faults": self._trouble,
            "pace": self._pace,
            "use": self._use,
            "key-status": self._key_status,
            "account-state": self._account_state,
            "reset-counts": lambda _: gateway.reset_counts(),
        }

    def answer(self, request: WireRequest) -> WireResponse:
        """Answer one HTTP request."""
        if not request.path.startswith(PREFIX):
            return self._gateway.answer(request)
        name = request.path.removeprefix(PREFIX)
        try:
            response = self._steer(request, name)
        except (UsageError, ValueError) as error:
            response = _json(400, {"error": str(error)})
        response.date = http_date(self._cloud.clock.second())
        return response

    def state(self) -> dict[str, Any]:
        """Return what can be seen from outside: counts, clock, troubles."""
        gateway, cloud = self._gateway, self._cloud
        return {
            "clock": format_instant(cloud.clock.now()),
            "calls": dict(gateway.calls),
            "total": gateway.calls.total(),
            "errors": dict(gateway.errors),
            "refused": gateway.throttle.refused.total(),
            "faults": list(gateway.faults),
            "latency_ms": self._latency.ms,
            "throttle": gateway.throttle.rate,
            "sts_throttle": gateway.throttle.sts_rate,
            "accounts": self._accounts,
            "users": len(cloud.account(cloud.home).users),
        }

    def _steer(self, request: WireRequest, name: str) -> WireResponse:
        if request.method == "GET" and name == "state":
            return _json(200, self.state())
        if request.method == "GET" and name == "expected":
            return _json(200, {"expected": self._expected})
        if request.method == "GET" and name == "log":
            return _json(200, {"log": list(self._cloud.log.entries)})
        if request.method != "POST" or name not in self._steps:
            return _json(404, {"error": f"no {request.method} {request.path}"})
        if not request.headers.get("content-type", "").startswith("application/json"):
            return _json(415, {"error": "send application/json"})
        self._steps[name](request.body or b"{}")
        return _json(200, self.state())

    def _move(self, body: bytes) -> None:
        move = msgspec.json.decode(body, type=Move)
        if move.set is not None:
            self._cloud.clock.set(parse_instant(move.set))
        if move.advance is not None:
            self._cloud.clock.advance(parse_duration(move.advance))

    def _trouble(self, body: bytes) -> None:
        troubles = msgspec.json.decode(body, type=Troubles)
        if troubles.clear:
            self._gateway.faults.clear()
        self._gateway.faults.put(troubles.faults)

    def _use(self, body: bytes) -> None:
        use = msgspec.json.decode(body, type=Use)
        self._people.use_key(use.key, use.service, use.region)

    def _key_status(self, body: bytes) -> None:
        wanted = msgspec.json.decode(body, type=KeySwitch)
        self._people.set_status(wanted.key, wanted.status)

    def _account_state(self, body: bytes) -> None:
        wanted = msgspec.json.decode(body, type=AccountState)
        self._cloud.required_organization().set_state(wanted.account, wanted.state)

    def _pace(self, body: bytes) -> None:
        pace = msgspec.json.decode(body, type=Pace)
        self._latency.ms, self._latency.jitter_ms = pace.latency_ms, pace.jitter_ms
        self._gateway.throttle.limit(pace.throttle, pace.burst)
        self._gateway.throttle.limit_sts(pace.sts_throttle)


def _json(status: int, value: object) -> WireResponse:
    return WireResponse(status, msgspec.json.encode(value), "", "application/json")
