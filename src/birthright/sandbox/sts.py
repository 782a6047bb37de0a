"""STS: GetCallerIdentity, and AssumeRole with credentials that expire by the sandbox's clock."""

import re
from datetime import timedelta

from birthright.sandbox.account import SandboxAccount, SandboxRole
from birthright.sandbox.calls import Call, invalid, required
from birthright.sandbox.ids import identifier
from birthright.sandbox.sessions import SandboxSession
from birthright.sandbox.wire import AwsError, instant, tag

_SHORTEST, _LONGEST, _CHAINED, _DEFAULT = 900, 43_200, 3_600, 3_600  # seconds
_ROLE_ARN = re.compile(r"arn:([\w-]+):iam::(\d{12}):role(/(?:.*/)?)([\w+=,.@-]+)", re.ASCII)
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)


def get_caller_identity(call: Call) -> str:
    """GetCallerIdentity: who signed; needs no permission."""
    key, user = call.credential, call.user
    if user is not None:
        user_id = user.user_id
    else:
        user_id = f"{_role_id(call.account, key.role)}:{key.name}" if isinstance(key, SandboxSession) else ""
    arn = tag("Arn", call.caller_arn)
    return f"{arn}{tag('UserId', user_id)}{tag('Account', call.account.account_id)}"


def assume_role(call: Call) -> str:
    """AssumeRole: 900 s to what the role allows, 3,600 at most from a role's own session.

    A role is found by its account, its path and its name; one of an account that is not active in its
    organization cannot be assumed.
    """
    arn, name = required(call, "RoleArn"), required(call, "RoleSessionName")
    if not _SESSION_NAME.fullmatch(name):
        raise invalid(f"Value '{name}' at 'roleSessionName' must match [\\w+=,.@-]*")
    seconds = _duration(call)
    account, role = _role(call, arn)
    if seconds > role.longest:
        message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise AwsError(400, "ValidationError", message)
    expires_at = call.second + timedelta(seconds=seconds)
    session = call.cloud.sessions.add(account.account_id, role.name, name, call.now, expires_at)
    return _written(account, session)


def _role(call: Call, arn: str) -> tuple[SandboxAccount, SandboxRole]:
    """Return the role, or AccessDenied: AWS does not tell an unknown role from a forbidden one."""
    parts = _ROLE_ARN.fullmatch(arn)
    account = call.cloud.accounts.get(parts[2]) if parts and _active(call, parts[2]) else None
    role = account.roles.get(parts[4]) if account and parts else None
    if account and role and parts and (parts[1], parts[3]) == (account.partition, role.path):
        given = call.params.get("ExternalId", "")
        if not role.external_id or role.external_id == given:
            return account, role
    message = f"User: {call.caller_arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
    raise AwsError(403, "AccessDenied", message)


def _active(call: Call, account_id: str) -> bool:
    organization = call.cloud.organization
    return organization is None or organization.is_active(account_id)


def _written(account: SandboxAccount, session: SandboxSession) -> str:
    assumed = account.arn(f"assumed-role/{session.role}/{session.name}", "sts")
    user_id = tag("AssumedRoleId", f"{_role_id(account, session.role)}:{session.name}")
    return (
        f"<Credentials>{tag('AccessKeyId', session.access_key_id)}"
        f"{tag('SecretAccessKey', session.secret)}{tag('SessionToken', session.token)}"
        f"{tag('Expiration', instant(session.expires_at))}</Credentials>"
        f"<AssumedRoleUser>{user_id}{tag('Arn', assumed)}</AssumedRoleUser>"
    )


def _duration(call: Call) -> int:
    text = call.params.get("DurationSeconds", str(_DEFAULT))
    longest = _CHAINED if isinstance(call.credential, SandboxSession) else _LONGEST
    if not text.isdecimal() or not _SHORTEST <= int(text) <= longest:
        raise invalid(f"'durationSeconds' must be between {_SHORTEST} and {longest}")
    return int(text)


def _role_id(account: SandboxAccount, role: str) -> str:
    return identifier("AROA", account.seed, account.account_id, role)
