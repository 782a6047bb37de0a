"""IAM's actions on access keys."""

from birthright.sandbox import changes
from birthright.sandbox.account import KEYS_PER_USER, SETTABLE, Key, User
from birthright.sandbox.calls import Call, invalid, named_or_calling_user, page, required
from birthright.sandbox.wire import AwsError, instant, tag


def list_access_keys(call: Call) -> str:
    """ListAccessKeys: of the user named, or the caller's own; not in order of age, and maybe behind."""
    user = named_or_calling_user(call)
    shown = changes.listed(user, call.now, call.cloud.delays)
    chosen, more = page(call, sorted(shown))
    members = "".join(f"<member>{_metadata(*shown[name])}</member>" for name in chosen)
    return f"<AccessKeyMetadata>{members}</AccessKeyMetadata>{more}"


def get_access_key_last_used(call: Call) -> str:
    """GetAccessKeyLastUsed: no date and "N/A" twice when never used.

    An id that is no key of this account is answered with AccessDenied; the service model names no
    error for this action.
    """
    access_key_id = required(call, "AccessKeyId")
    key = call.account.credentials.get(access_key_id)
    if not isinstance(key, Key):
        message = f"User: {call.caller_arn} is not authorized to perform: "
        message += f"iam:GetAccessKeyLastUsed on resource: access key {access_key_id}"
        raise AwsError(403, "AccessDenied", message)
    use = changes.shown_use(key, call.now, call.cloud.delays)
    used = tag("LastUsedDate", instant(use.at)) if use.at else ""
    place = tag("ServiceName", use.service) + tag("Region", use.region)
    last = f"<AccessKeyLastUsed>{used}{place}</AccessKeyLastUsed>"
    return tag("UserName", key.user_name) + last


def create_access_key(call: Call) -> str:
    """CreateAccessKey: at most two a user, active or not; the only time the secret is shown."""
    user = named_or_calling_user(call)
    if len(user.keys) >= KEYS_PER_USER:
        message = f"Cannot exceed quota for AccessKeysPerUser: {KEYS_PER_USER}"
        raise AwsError(409, "LimitExceeded", message)
    key, call.effect = changes.create_key(call.account, user, call.now, call.cloud.delays)
    return f"<AccessKey>{_metadata(key, key.status)}{tag('SecretAccessKey', key.secret)}</AccessKey>"


def update_access_key(call: Call) -> None:
    """UpdateAccessKey: Active or Inactive; reversible, and IAM keeps no date of it."""
    user, key = _named_key(call)
    status = required(call, "Status")
    if status not in SETTABLE:
        raise invalid(f"Value '{status}' at 'status' must be one of [Active, Inactive]")
    call.effect = changes.set_status(user, key, status, call.now, call.cloud.delays)


def delete_access_key(call: Call) -> None:
    """DeleteAccessKey: for good."""
    user, key = _named_key(call)
    call.effect = changes.delete_key(call.account, user, key, call.now, call.cloud.delays)


def _named_key(call: Call) -> tuple[User, Key]:
    user, access_key_id = named_or_calling_user(call), required(call, "AccessKeyId")
    key = user.keys.get(access_key_id)
    if key is None:
        message = f"The Access Key with id {access_key_id} cannot be found."
        raise AwsError(404, "NoSuchEntity", message)
    return user, key


def _metadata(key: Key, status: str) -> str:
    name = key.user_name
    return (
        f"{tag('UserName', name)}<AccessKeyId>{key.access_key_id}</AccessKeyId>"
        f"<Status>{status}</Status><CreateDate>{instant(key.created_at)}</CreateDate>"
    )
