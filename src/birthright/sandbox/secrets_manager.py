"""Secrets Manager's actions, as far as a secret is written, staged, read and deleted.

Names, shapes and error codes: botocore's model secretsmanager/2017-10-17; rules: the API reference.
"""

import base64
import re
from datetime import timedelta
from typing import Any

from birthright.sandbox.calls import Call
from birthright.sandbox.ids import digest
from birthright.sandbox.secret_state import CURRENT, SecretVersion, StoredSecret
from birthright.sandbox.stored import Input, Tag, epoch, read, read_tags, written_tags
from birthright.sandbox.wire import AwsError

_NAME = re.compile(r"[\w/+=.@!-]{1,512}", re.ASCII)
_TOKEN_SIZES = range(32, 65)
_MAX_VALUE = 65_536  # bytes
_WINDOW, _WINDOWS = 30, range(7, 31)  # days
_MAX_STAGES = 20


class CreateSecret(Input):
    """Input of CreateSecret."""

    name: str
    client_request_token: str = ""
    secret_string: str | None = None
    description: str = ""
    tags: tuple[Tag, ...] = ()


class PutSecretValue(Input):
    """Input of PutSecretValue."""

    secret_id: str
    client_request_token: str = ""
    secret_string: str | None = None
    version_stages: tuple[str, ...] = (CURRENT,)


class Named(Input):
    """Input of DescribeSecret and GetSecretValue."""

    secret_id: str
    version_id: str = ""
    version_stage: str = ""


class DeleteSecret(Input):
    """Input of DeleteSecret."""

    secret_id: str
    recovery_window_in_days: int | None = None
    force_delete_without_recovery: bool = False


class UpdateSecretVersionStage(Input):
    """Input of UpdateSecretVersionStage."""

    secret_id: str
    version_stage: str
    remove_from_version_id: str = ""
    move_to_version_id: str = ""


def create_secret(call: Call) -> dict[str, Any]:
    """CreateSecret: the same token and value again is no error; a taken name is."""
    asked = read(call, CreateSecret)
    if not _NAME.fullmatch(asked.name):
        allowed = "alphanumeric characters, or any of the following: -/_+=.@!"
        raise _wrong(f"Invalid name. Must be a valid name containing {allowed}")
    token, value = _token(asked.client_request_token), asked.secret_string
    secret = _lookup(call, asked.name)
    if secret is not None:
        return _created_before(secret, token, value)
    secret = StoredSecret(asked.name, _arn(call, asked.name), call.now, call.now, asked.description)
    secret.tags = read_tags(asked.tags)
    if value is not None:
        secret.versions[token] = SecretVersion(token, _sized(value), call.now, {CURRENT})
    call.account.secret_state(call.region).secrets[asked.name] = secret
    call.effect = ("secret-created", secret.name, token if value is not None else "")
    return _named(secret) | ({"VersionId": token} if value is not None else {})


def put_secret_value(call: Call) -> dict[str, Any]:
    """PutSecretValue: a version named by the token; the same again is no error, another value is."""
    asked = read(call, PutSecretValue)
    secret, token = _present(call, asked.secret_id), _token(asked.client_request_token)
    if asked.secret_string is None:
        raise _wrong("You must provide either SecretString or SecretBinary.")
    if not 1 <= len(asked.version_stages) <= _MAX_STAGES:
        raise _wrong("VersionStages must have 1 to 20 items.")
    version = secret.versions.get(token)
    if version is None:
        version = _put(call, secret, token, asked)
    elif version.value != asked.secret_string:
        raise _token_taken(secret, token)
    return _named(secret) | {"VersionId": token, "VersionStages": sorted(version.stages)}


def describe_secret(call: Call) -> dict[str, Any]:
    """DescribeSecret: everything but the values, also of a secret that is going to be deleted."""
    secret = _found(call, read(call, Named).secret_id)
    stages = {one.version_id: sorted(one.stages) for one in secret.versions.values() if one.stages}
    shown: dict[str, Any] = {
        "CreatedDate": epoch(secret.created_at),
        "LastChangedDate": epoch(secret.changed_at),
    }
    shown |= {"VersionIdsToStages": stages} if stages else {}
    shown |= {"Description": secret.description} if secret.description else {}
    shown |= {"Tags": written_tags(secret.tags)} if secret.tags else {}
    shown |= {"DeletedDate": epoch(secret.deleted_at)} if secret.deleted_at else {}
    return _named(secret) | shown


def get_secret_value(call: Call) -> dict[str, Any]:
    """GetSecretValue: AWSCURRENT, or the stage or version asked for."""
    asked = read(call, Named)
    secret = _present(call, asked.secret_id)
    version = _asked_version(secret, asked)
    shown = {"VersionId": version.version_id, "SecretString": version.value}
    stages = {"VersionStages": sorted(version.stages)} if version.stages else {}
    return _named(secret) | shown | stages | {"CreatedDate": epoch(version.created_at)}


def delete_secret(call: Call) -> dict[str, Any]:
    """DeleteSecret: after 7 to 30 days, 30 if not said; or at once where that is forced."""
    asked = read(call, DeleteSecret)
    days, force = asked.recovery_window_in_days, asked.force_delete_without_recovery
    if force and days is not None:
        raise _wrong("You can't use ForceDeleteWithoutRecovery with RecoveryWindowInDays.")
    if days is not None and days not in _WINDOWS:
        raise _wrong("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
    secret = _found(call, asked.secret_id) if force else _present(call, asked.secret_id)
    if force:
        del call.account.secret_state(call.region).secrets[secret.name]
    else:
        secret.deleted_at = call.now + timedelta(days=days or _WINDOW)
    call.effect = ("secret-deleted", secret.name)
    return _named(secret) | {"DeletionDate": epoch(secret.deleted_at or call.now)}


def update_secret_version_stage(call: Call) -> dict[str, Any]:
    """UpdateSecretVersionStage: moves a stage, and AWSPREVIOUS with AWSCURRENT; or takes it off."""
    asked = read(call, UpdateSecretVersionStage)
    secret, stage = _present(call, asked.secret_id), asked.version_stage
    holder, target = secret.staged(stage), _version(secret, asked.move_to_version_id)
    _may_move(secret, holder, target, asked)
    if target is not None:
        secret.move(stage, target)
    elif holder is not None:
        holder.stages.discard(stage)
    secret.changed_at = call.now
    if holder is not target:
        call.effect = ("secret-staged", secret.name, stage, asked.move_to_version_id)
    return _named(secret)


def _created_before(secret: StoredSecret, token: str, value: str | None) -> dict[str, Any]:
    if secret.deleted_at is not None:
        scheduled = "a secret with this name is already scheduled for deletion."
        raise _not_now(f"You can't create this secret because {scheduled}")
    version = secret.versions.get(token)
    if version is None:
        message = f"The operation failed because the secret {secret.name} already exists."
        raise AwsError(400, "ResourceExistsException", message)
    if version.value != value:
        raise _token_taken(secret, token)
    return _named(secret) | {"VersionId": token}


def _put(call: Call, secret: StoredSecret, token: str, asked: PutSecretValue) -> SecretVersion:
    """Add a version; the first one is AWSCURRENT whatever stages were asked for."""
    first = secret.staged(CURRENT) is None
    version = SecretVersion(token, _sized(asked.secret_string or ""), call.now)
    secret.versions[token] = version
    for stage in {*asked.version_stages, *([CURRENT] if first else [])}:
        secret.move(stage, version)
    secret.changed_at = call.now
    call.effect = ("secret-put", secret.name, token)
    return version


def _may_move(
    secret: StoredSecret,
    holder: SecretVersion | None,
    target: SecretVersion | None,
    asked: UpdateSecretVersionStage,
) -> None:
    """Refuse to take a stage from a version that the caller does not name, or to lose AWSCURRENT."""
    stage, named = asked.version_stage, asked.remove_from_version_id
    if named and _version(secret, named) is not holder:
        raise _wrong(f"The version {named} does not have the staging label {stage}.")
    if holder is not None and not named and holder is not target:
        attached = f"Staging label {stage} is currently attached to version {holder.version_id}"
        raise _wrong(f"The parameter RemoveFromVersionId can't be empty. {attached}.")
    if stage == CURRENT and target is None:
        raise _wrong("You can only move staging label AWSCURRENT to a different secret version.")


def _asked_version(secret: StoredSecret, asked: Named) -> SecretVersion:
    stage = asked.version_stage
    if not asked.version_id:
        version = secret.staged(stage or CURRENT)
        if version is None:
            label = f"value for staging label: {stage or CURRENT}"
            raise _missing(f"Secrets Manager can't find the specified secret {label}")
        return version
    version = _version(secret, asked.version_id)
    assert version is not None  # noqa: S101 - for the type checker
    if stage and stage not in version.stages:
        message = "You provided a VersionStage that is not associated to the provided VersionId."
        raise _not_now(message)
    return version


def _version(secret: StoredSecret, version_id: str) -> SecretVersion | None:
    """Return the version named; None if none is named."""
    if version_id and version_id not in secret.versions:
        raise _missing(f"Secrets Manager can't find the specified secret value for VersionId: {version_id}")
    return secret.versions.get(version_id)


def _lookup(call: Call, name: str) -> StoredSecret | None:
    """Return the secret of that name, unless its time to be deleted has come."""
    secrets = call.account.secret_state(call.region).secrets
    secret = secrets.get(name)
    if secret is not None and secret.deleted_at is not None and secret.deleted_at <= call.now:
        del secrets[name]
        return None
    return secret


def _found(call: Call, secret_id: str) -> StoredSecret:
    """Return the secret by name, ARN, or ARN without its six last characters."""
    prefix = _arn_prefix(call)
    name = secret_id.removeprefix(prefix)
    secret = _lookup(call, name)
    if secret is None and secret_id.startswith(prefix):
        secret = _lookup(call, name.rpartition("-")[0])
        secret = secret if secret and secret.arn == secret_id else None
    if secret is None:
        raise _missing("Secrets Manager can't find the specified secret.")
    return secret


def _present(call: Call, secret_id: str) -> StoredSecret:
    """Return a secret that is not going to be deleted."""
    secret = _found(call, secret_id)
    if secret.deleted_at is not None:
        marked = "because it was marked for deletion."
        raise _not_now(f"You can't perform this operation on the secret {marked}")
    return secret


def _arn_prefix(call: Call) -> str:
    return f"arn:{call.account.partition}:secretsmanager:{call.region}:{call.account.account_id}:secret:"


def _arn(call: Call, name: str) -> str:
    """Return a new secret's ARN; the six characters differ each time the name is used anew."""
    unique = digest(call.account.seed, call.account.account_id, call.region, name, call.now)
    return f"{_arn_prefix(call)}{name}-{base64.b32encode(unique).decode()[:6]}"


def _named(secret: StoredSecret) -> dict[str, Any]:
    return {"ARN": secret.arn, "Name": secret.name}


def _token(token: str) -> str:
    if len(token) not in _TOKEN_SIZES:
        raise _wrong("ClientRequestToken must be 32-64 characters long.")
    return token


def _sized(value: str) -> str:
    if not 1 <= len(value.encode()) <= _MAX_VALUE:
        raise _wrong(f"SecretString must be 1 to {_MAX_VALUE} bytes long.")
    return value


def _wrong(message: str) -> AwsError:
    return AwsError(400, "InvalidParameterException", message)


def _not_now(message: str) -> AwsError:
    return AwsError(400, "InvalidRequestException", message)


def _missing(message: str) -> AwsError:
    return AwsError(400, "ResourceNotFoundException", message)


def _token_taken(secret: StoredSecret, token: str) -> AwsError:
    why = f"it's already in use for a version of secret {secret.arn}"
    return AwsError(
        400, "ResourceExistsException", f"You can't use ClientRequestToken {token} because {why}."
    )
