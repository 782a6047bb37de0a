"""From a request to its answer: who signed it, whether it may, and what the account says."""

from collections import Counter
from collections.abc import Callable
from urllib.parse import parse_qsl

from birthright.sandbox import iam, keys, report, sts
from birthright.sandbox.account import Account, Key, Session
from birthright.sandbox.calls import Call
from birthright.sandbox.clock import Clock
from birthright.sandbox.faults import Faults, Throttle, refusal, spoil
from birthright.sandbox.sigv4 import Claim, Verifier, parse
from birthright.sandbox.wire import (
    VERSIONS,
    AwsError,
    Request,
    Response,
    document,
    error_document,
)

_BAD_TOKEN = "The security token included in the request is invalid."  # noqa: S105 - a message

Action = Callable[[Call], str | None]


class Cloud:
    """All accounts behind one endpoint.

    `build(account_id)` makes an account the first time it is asked for, so that thousands need not
    be kept; None where there is no such account. `index` finds the account of a credential id.
    """

    def __init__(self, clock: Clock, *, seed: int = 0) -> None:
        self.clock = clock
        self.seed = seed
        self.accounts: dict[str, Account] = {}
        self.index: dict[str, Account] = {}
        self.build: Callable[[str], Account | None] = lambda _: None
        self.faults = Faults(seed)
        self.throttle = Throttle()
        self.style = report.Style()
        self.report_seconds = 0.0
        self.consistency_seconds = 0.0
        self.calls: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._verifier = Verifier()
        self._served = 0
        self._actions = self._table()

    def account(self, account_id: str) -> Account | None:
        """Return an account, made now if it is asked for the first time."""
        if account_id not in self.accounts:
            built = self.build(account_id)
            if built is None:
                return None
            self.accounts[account_id] = built
        return self.accounts[account_id]

    def reset_counts(self) -> None:
        """Start to count again from nothing."""
        self.calls.clear()
        self.errors.clear()
        self.throttle.refused.clear()

    def answer(self, request: Request) -> Response:
        """Answer one request; whatever is wrong with it becomes an error document."""
        self._served += 1
        request_id = f"{self.seed & 0xFFFFFFFF:08x}-0000-4000-8000-{self._served:012x}"
        claim, call = None, None
        try:
            claim = parse(request.headers.get("authorization"))
            call = self._call(request, claim)
            response = Response(200, document(claim.service, call.action, self._run(call), request_id))
        except AwsError as error:
            self.errors[error.code] += 1
            service = claim.service if claim and claim.service in VERSIONS else "iam"
            response = Response(error.status, error_document(service, error, request_id))
        response.request_id = request_id
        return spoil(response, call.faults) if call and call.faults else response

    def _call(self, request: Request, claim: Claim) -> Call:
        account, credential = self._authenticate(request, claim)
        params, service = _params(request), claim.service
        action, version = params.get("Action", ""), params.get("Version", "")
        if (service, action) not in self._actions or version != VERSIONS[service]:
            message = f"Could not find operation {action} for version {version}"
            raise AwsError(400, "InvalidAction", message)
        now = self.clock.now()
        call = Call(service, action, params, account, credential, claim.region, now)
        call.report_seconds = self.report_seconds
        call.consistency_seconds = self.consistency_seconds
        return call

    def _run(self, call: Call) -> str | None:
        self.calls[call.action] += 1
        if not self.throttle.admit(call.account.account_id, call.service):
            raise AwsError(400, "Throttling", "Rate exceeded")
        call.faults = self.faults.strike(call.action, call.params.get("UserName", ""))
        self._mark_used(call)
        self._permit(call)
        return self._actions[call.service, call.action](call)

    def _authenticate(self, request: Request, claim: Claim) -> tuple[Account, Key | Session]:
        if claim.service not in VERSIONS:
            message = "Credential should be scoped to correct service: 'iam' or 'sts'."
            raise AwsError(403, "SignatureDoesNotMatch", message)
        account = self.index.get(claim.access_key_id)
        if account is None:
            raise AwsError(403, "InvalidClientTokenId", _BAD_TOKEN)
        credential = account.credentials[claim.access_key_id]
        token = request.headers.get("x-amz-security-token", "")
        self._usable(credential, token)
        self._verifier.check(request, claim, credential.secret)
        if isinstance(credential, Session) and self.clock.now() >= credential.expires_at:
            message = "The security token included in the request is expired"
            raise AwsError(403, "ExpiredToken", message)
        return account, credential

    def _usable(self, credential: Key | Session, token: str) -> None:
        """Long-lived keys carry no session token; temporary ones theirs, and no other."""
        if isinstance(credential, Session):
            usable = token == credential.token
        else:
            early = credential.usable_from is not None and (self.clock.now() < credential.usable_from)
            usable = credential.status == "Active" and not token and not early
        if not usable:
            raise AwsError(403, "InvalidClientTokenId", _BAD_TOKEN)

    def _mark_used(self, call: Call) -> None:
        """Note the use: a key is used by being accepted, also when the call is then denied."""
        key = call.credential
        if isinstance(key, Key):
            key.last_used_at = call.second
            key.last_used_region = call.region
            key.last_used_service = call.service

    def _permit(self, call: Call) -> None:
        action = f"{call.service}:{call.action}"
        denied = (
            f"User: {call.caller_arn} is not authorized to perform: {action} "
            f"because no identity-based policy allows the {action} action"
        )
        if not call.may():
            raise AwsError(403, "AccessDenied", denied)
        error = refusal(call.faults, denied)
        if error is not None:
            raise error

    def _table(self) -> dict[tuple[str, str], Action]:
        return {
            ("iam", "GenerateCredentialReport"): lambda call: report.generate(call, self.style),
            ("iam", "GetCredentialReport"): report.get,
            ("iam", "ListUsers"): iam.list_users,
            ("iam", "GetUser"): iam.get_user,
            ("iam", "CreateUser"): iam.create_user,
            ("iam", "DeleteUser"): iam.delete_user,
            ("iam", "CreateLoginProfile"): iam.create_login_profile,
            ("iam", "DeleteLoginProfile"): iam.delete_login_profile,
            ("iam", "ListUserTags"): iam.list_user_tags,
            ("iam", "TagUser"): iam.tag_user,
            ("iam", "UntagUser"): iam.untag_user,
            ("iam", "ListAccessKeys"): keys.list_access_keys,
            ("iam", "GetAccessKeyLastUsed"): keys.get_access_key_last_used,
            ("iam", "CreateAccessKey"): keys.create_access_key,
            ("iam", "UpdateAccessKey"): keys.update_access_key,
            ("iam", "DeleteAccessKey"): keys.delete_access_key,
            ("sts", "GetCallerIdentity"): sts.get_caller_identity,
            ("sts", "AssumeRole"): lambda call: sts.assume_role(call, self.account),
        }


def _params(request: Request) -> dict[str, str]:
    """Read the parameters from the form, and from the query string as GET requests send them."""
    try:
        text = request.body.decode("ascii")
    except UnicodeDecodeError:
        raise AwsError(400, "MalformedQueryString", "The body is no form.") from None
    joined = f"{request.query}&{text}" if request.query else text
    return dict(parse_qsl(joined, keep_blank_values=True))
