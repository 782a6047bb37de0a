"""From a request to its answer: who signed it, whether it may, and what the account says."""

from collections import Counter
from collections.abc import Iterable

from birthright.sandbox.account import ACTIVE, Key, KeyUse, SandboxAccount
from birthright.sandbox.actions import ACTIONS, TAGGING, WRITES
from birthright.sandbox.calls import Call
from birthright.sandbox.changes import use
from birthright.sandbox.cloud import Cloud
from birthright.sandbox.faults import AFTER_EFFECT, Fault, Faults, Throttle, failure_after, refusal, spoil
from birthright.sandbox.log import LogEntry, public
from birthright.sandbox.organizations import check_region
from birthright.sandbox.protocol import SERVICES, read, translated, unknown_action, write, write_error
from birthright.sandbox.sessions import SandboxSession
from birthright.sandbox.sigv4 import Claim, Verifier, parse
from birthright.sandbox.wire import SERVER_FAULT, AwsError, WireRequest, WireResponse, http_date

_BAD_TOKEN = "The security token included in the request is invalid."  # noqa: S105 - a message


class Gateway:
    """The one address of all services: it authenticates, throttles, permits and counts.

    calls: authenticated calls by action, refused and failed ones included. errors: error answers by
    AWS's code.
    """

    def __init__(self, cloud: Cloud, throttle: Throttle, faults: Iterable[Fault] = ()) -> None:
        self.cloud = cloud
        self.throttle = throttle
        self.faults = Faults(cloud.seed)
        self.faults.put(faults)
        self.calls: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._verifier = Verifier()
        self._served = 0

    def reset_counts(self) -> None:
        """Start to count again from nothing."""
        self.calls.clear()
        self.errors.clear()
        self.throttle.refused.clear()

    def answer(self, request: WireRequest) -> WireResponse:
        """Answer one request; whatever is wrong with it becomes an error document.

        The answer's `deliver` says what goes over the wire. Not for several threads at once.
        """
        self._served += 1
        request_id = f"{self.cloud.seed & 0xFFFFFFFF:08x}-0000-4000-8000-{self._served:012x}"
        service, call, refused = "iam", None, ""
        try:
            claim = parse(request.headers.get("authorization"))
            service = claim.service if claim.service in SERVICES else service
            call = self._call(request, claim)
            if self.faults and self.faults.lose(call.action, call.subject, call.place):
                return WireResponse(0, b"", deliver="lost")
            response = write(service, call.action, self._run(call), request_id)
        except AwsError as raised:
            error = translated(service, raised)
            refused = error.code
            self.errors[refused] += 1
            response = write_error(service, error, request_id)
        response.date = http_date(call.second if call else self.cloud.clock.second())
        if call is None:
            return response
        spoil(response, call.faults)
        if (service, call.action) in WRITES:
            self._write_down(call, response, refused)
        return response

    def _call(self, request: WireRequest, claim: Claim) -> Call:
        account, credential = self._authenticate(request, claim)
        action, params, body = read(request, claim.service)
        if (claim.service, action) not in ACTIONS:
            raise unknown_action(action)
        now = self.cloud.clock.now()
        return Call(self.cloud, claim.service, action, params, account, credential, claim.region, now, body)

    def _run(self, call: Call) -> object:
        self.calls[call.action] += 1
        if not self.throttle.admit(call.account.account_id, call.service):
            raise AwsError(400, "Throttling", "Rate exceeded")
        if self.faults:
            call.faults = self.faults.strike(call.action, call.subject, call.place)
        key = call.credential
        if isinstance(key, Key) or (call.service, call.action) in WRITES:
            self.cloud.accounts.keep(call.account.account_id)
        if isinstance(key, Key):  # used by being accepted, also when the call is then denied
            use(key, KeyUse(call.second, call.region, call.service), self.cloud.delays)
        self._permit(call)
        result = ACTIONS[call.service, call.action](call)
        error = failure_after(call.faults)
        if error is not None:
            raise error
        return result

    def _write_down(self, call: Call, response: WireResponse, error: str) -> None:
        fault = next((one.kind for one in call.faults if one.kind in AFTER_EFFECT), "")
        if fault == "service-failure-after" and response.status != SERVER_FAULT:
            fault = ""  # the call had failed before
        self.cloud.log.entries.append(
            LogEntry(
                self.cloud.log.next_seq(),
                call.now,
                call.account.account_id,
                call.caller_arn,
                call.credential.access_key_id,
                call.service,
                call.action,
                public(call.params or call.body),
                response.request_id,
                error,
                call.effect,
                not fault,
                fault,
            )
        )

    def _authenticate(
        self, request: WireRequest, claim: Claim
    ) -> tuple[SandboxAccount, Key | SandboxSession]:
        if claim.service not in SERVICES:
            message = f"Credential should be scoped to correct service: {', '.join(sorted(SERVICES))}."
            raise AwsError(403, "SignatureDoesNotMatch", message)
        account = self.cloud.owner(claim.access_key_id)
        credential = self._credential(account, claim.access_key_id)
        if account is None or credential is None:
            raise AwsError(403, "InvalidClientTokenId", _BAD_TOKEN)
        token = request.headers.get("x-amz-security-token", "")
        self._usable(credential, token)
        self._verifier.check(request, claim, credential.secret)
        if claim.service == "organizations":
            check_region(account.partition, claim.region)
        if isinstance(credential, SandboxSession) and self.cloud.clock.now() >= credential.expires_at:
            message = "The security token included in the request is expired"
            raise AwsError(403, "ExpiredToken", message)
        return account, credential

    def _credential(self, account: SandboxAccount | None, access_key_id: str) -> Key | SandboxSession | None:
        session = self.cloud.sessions.get(access_key_id)
        return account.credentials.get(access_key_id) if account and session is None else session

    def _usable(self, credential: Key | SandboxSession, token: str) -> None:
        """Long-lived keys carry no session token; temporary ones theirs, and no other."""
        if isinstance(credential, SandboxSession):
            usable = token == credential.token
        else:
            early = credential.usable_from is not None and (self.cloud.clock.now() < credential.usable_from)
            usable = credential.status == ACTIVE and not token and not early
        if not usable:
            raise AwsError(403, "InvalidClientTokenId", _BAD_TOKEN)

    def _permit(self, call: Call) -> None:
        action = f"{call.service}:{call.action}"
        if call.action != "GetCallerIdentity" and not call.may(action):
            raise _denied(call, action)
        more = TAGGING.get((call.service, call.action))
        if more and call.body.get("Tags") and not call.may(more):
            raise _denied(call, more)
        if call.faults:
            error = refusal(call.faults, _denied(call, action).message)
            if error is not None:
                raise error


def _denied(call: Call, action: str) -> AwsError:
    message = (
        f"User: {call.caller_arn} is not authorized to perform: {action} "
        f"because no identity-based policy allows the {action} action"
    )
    return AwsError(403, "AccessDenied", message)
