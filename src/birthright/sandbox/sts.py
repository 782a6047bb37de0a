"""STS: GetCallerIdentity, and AssumeRole with credentials that expire by the sandbox's clock."""

import re
from collections.abc import Callable
from datetime import timedelta

from birthright.sandbox.account import Account, Role, Session, identifier
from birthright.sandbox.calls import Call, invalid, required
from birthright.sandbox.wire import AwsError, instant, tag

_SHORTEST, _LONGEST, _CHAINED, _DEFAULT = 900, 43_200, 3_600, 3_600  # seconds
_ROLE_ARN = re.compile(r"arn:[\w-]+:iam::(\d{12}):role/(?:.*/)?([\w+=,.@-]+)", re.ASCII)
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)


def get_caller_identity(call: Call) -> str:
    """GetCallerIdentity: who signed; needs no permission."""
    key, user = call.credential, call.user
    if user is not None:
        user_id = user.user_id
    else:
        user_id = f"{_role_id(call.account, key)}:{key.name}" if isinstance(key, Session) else ""
    arn = tag("Arn", call.caller_arn)
    return f"{arn}{tag('UserId', user_id)}{tag('Account', call.account.account_id)}"


def assume_role(call: Call, find: Callable[[str], Account | None]) -> str:
    """AssumeRole: 900 to 43,200 s, 3,600 at most from a role's own session."""
    arn, name = required(call, "RoleArn"), required(call, "RoleSessionName")
    if not _SESSION_NAME.fullmatch(name):
        raise invalid(f"Value '{name}' at 'roleSessionName' must match [\\w+=,.@-]*")
    account, role = _role(call, arn, find)
    expires_at = call.second + timedelta(seconds=_duration(call))
    session = account.add_session(role, name, expires_at)
    assumed = account.arn(f"assumed-role/{role.name}/{name}", "sts")
    user_id = tag("AssumedRoleId", f"{_role_id(account, session)}:{name}")
    return (
        f"<Credentials>{tag('AccessKeyId', session.access_key_id)}"
        f"{tag('SecretAccessKey', session.secret)}{tag('SessionToken', session.token)}"
        f"{tag('Expiration', instant(expires_at))}</Credentials>"
        f"<AssumedRoleUser>{user_id}{tag('Arn', assumed)}</AssumedRoleUser>"
    )


def _role(call: Call, arn: str, find: Callable[[str], Account | None]) -> tuple[Account, Role]:
    """Return the role, or AccessDenied: AWS does not tell an unknown role from a forbidden one."""
    parts = _ROLE_ARN.fullmatch(arn)
    account = find(parts[1]) if parts else None
    role = account.roles.get(parts[2]) if account and parts else None
    given = call.params.get("ExternalId", "")
    if account is None or role is None or (role.external_id and role.external_id != given):
        who = call.caller_arn
        message = f"User: {who} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        raise AwsError(403, "AccessDenied", message)
    return account, role


def _duration(call: Call) -> int:
    text = call.params.get("DurationSeconds", str(_DEFAULT))
    longest = _CHAINED if isinstance(call.credential, Session) else _LONGEST
    if not text.isdecimal() or not _SHORTEST <= int(text) <= longest:
        raise invalid(f"'durationSeconds' must be between {_SHORTEST} and {longest}")
    return int(text)


def _role_id(account: Account, session: Session) -> str:
    return identifier("AROA", account.seed, account.account_id, session.role.name)
