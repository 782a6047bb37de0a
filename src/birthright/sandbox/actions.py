"""Every action the sandbox serves, and which of them can change something."""

from collections.abc import Callable
from typing import Any

from birthright.sandbox import iam, keys, organizations, parameter_store, report, secrets_manager, sts
from birthright.sandbox.calls import Call

Action = Callable[[Call], Any]  # gives XML, a JSON object, or None

# What else a call needs to be allowed when it brings tags with it.
TAGGING = {
    ("secretsmanager", "CreateSecret"): "secretsmanager:TagResource",
    ("ssm", "PutParameter"): "ssm:AddTagsToResource",
}
READS: dict[tuple[str, str], Action] = {
    ("iam", "GenerateCredentialReport"): report.generate,
    ("iam", "GetCredentialReport"): report.get,
    ("iam", "ListUsers"): iam.list_users,
    ("iam", "GetUser"): iam.get_user,
    ("iam", "ListUserTags"): iam.list_user_tags,
    ("iam", "ListAccessKeys"): keys.list_access_keys,
    ("iam", "GetAccessKeyLastUsed"): keys.get_access_key_last_used,
    ("sts", "AssumeRole"): sts.assume_role,
    ("sts", "GetCallerIdentity"): sts.get_caller_identity,
    ("secretsmanager", "DescribeSecret"): secrets_manager.describe_secret,
    ("secretsmanager", "GetSecretValue"): secrets_manager.get_secret_value,
    ("ssm", "GetParameter"): parameter_store.get_parameter,
    ("ssm", "DescribeParameters"): parameter_store.describe_parameters,
    ("ssm", "ListTagsForResource"): parameter_store.list_tags_for_resource,
    **{("organizations", name): action for name, action in organizations.ACTIONS.items()},
}
WRITES: dict[tuple[str, str], Action] = {
    ("iam", "CreateUser"): iam.create_user,
    ("iam", "DeleteUser"): iam.delete_user,
    ("iam", "CreateLoginProfile"): iam.create_login_profile,
    ("iam", "DeleteLoginProfile"): iam.delete_login_profile,
    ("iam", "TagUser"): iam.tag_user,
    ("iam", "UntagUser"): iam.untag_user,
    ("iam", "CreateAccessKey"): keys.create_access_key,
    ("iam", "UpdateAccessKey"): keys.update_access_key,
    ("iam", "DeleteAccessKey"): keys.delete_access_key,
    ("secretsmanager", "CreateSecret"): secrets_manager.create_secret,
    ("secretsmanager", "PutSecretValue"): secrets_manager.put_secret_value,
    ("secretsmanager", "DeleteSecret"): secrets_manager.delete_secret,
    ("secretsmanager", "UpdateSecretVersionStage"): secrets_manager.update_secret_version_stage,
    ("ssm", "PutParameter"): parameter_store.put_parameter,
    ("ssm", "AddTagsToResource"): parameter_store.add_tags_to_resource,
}
ACTIONS = {**READS, **WRITES}
