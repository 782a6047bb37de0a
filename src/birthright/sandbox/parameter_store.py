"""Systems Manager's Parameter Store, as far as a parameter is written, tagged, found and read.

Names, shapes and error codes: botocore's model ssm/2014-11-06; rules: the API reference.
"""

import base64
import re
from typing import Any, Literal

from birthright.sandbox.calls import Call
from birthright.sandbox.ids import digest
from birthright.sandbox.secret_state import StoredParameter
from birthright.sandbox.stored import Input, Tag, epoch, read, read_tags, written_tags
from birthright.sandbox.wire import AwsError

_NAME = re.compile(r"/?[\w.-]+(/[\w.-]+)*", re.ASCII)
_MAX_VALUE = 4096  # bytes, in the standard tier
_MAX_NAME = 1011
_PAGE = 50
_SECURE = "SecureString"


class PutParameter(Input):
    """Input of PutParameter."""

    name: str
    value: str
    type: Literal["String", "StringList", "SecureString", ""] = ""
    overwrite: bool = False
    description: str = ""
    tags: tuple[Tag, ...] = ()


class GetParameter(Input):
    """Input of GetParameter."""

    name: str
    with_decryption: bool = False


class Filter(Input):
    """One filter of DescribeParameters."""

    key: str
    option: str = "Equals"
    values: tuple[str, ...] = ()


class DescribeParameters(Input):
    """Input of DescribeParameters."""

    parameter_filters: tuple[Filter, ...] = ()
    max_results: int = _PAGE
    next_token: str = ""


class Tagged(Input):
    """Input of AddTagsToResource and ListTagsForResource."""

    resource_type: str
    resource_id: str
    tags: tuple[Tag, ...] = ()


def put_parameter(call: Call) -> dict[str, Any]:
    """PutParameter: a taken name needs Overwrite, and tags cannot be given with it."""
    asked = read(call, PutParameter)
    _check(asked)
    parameters = call.account.secret_state(call.region).parameters
    parameter = parameters.get(asked.name)
    if parameter is None:
        parameter = parameters[asked.name] = _new(call, asked)
    elif not asked.overwrite:
        how = "To overwrite this value, set the overwrite option in the request to true."
        raise AwsError(400, "ParameterAlreadyExists", f"The parameter already exists. {how}")
    elif asked.type not in {"", parameter.kind}:
        raise AwsError(400, "HierarchyTypeMismatchException", "The parameter's type can't be changed.")
    parameter.values.append(asked.value)
    parameter.changed_at, parameter.changed_by = call.now, call.caller_arn
    parameter.description = asked.description or parameter.description
    call.effect = ("parameter-put", parameter.name, str(parameter.version))
    return {"Version": parameter.version, "Tier": "Standard"}


def get_parameter(call: Call) -> dict[str, Any]:
    """GetParameter: the newest value, or `name:version`; a SecureString stays coded unless decrypted."""
    asked = read(call, GetParameter)
    name, _, selector = asked.name.removeprefix(_arn(call, "")).partition(":")
    found = call.account.secret_state(call.region).parameters
    parameter = found.get(name) or found.get(f"/{name}" if asked.name.startswith("arn:") else name)
    if parameter is None:
        raise AwsError(400, "ParameterNotFound", "")
    number = int(selector) if selector.isdecimal() else parameter.version
    if not 1 <= number <= parameter.version or (selector and not selector.isdecimal()):
        message = f"Systems Manager could not find version {selector} of {name}."
        raise AwsError(400, "ParameterVersionNotFound", message)
    value = parameter.values[number - 1]
    hidden = parameter.kind == _SECURE and not asked.with_decryption
    shown = {"Value": _coded(value) if hidden else value, "Version": number, "DataType": "text"}
    return {"Parameter": _metadata(parameter) | shown}


def describe_parameters(call: Call) -> dict[str, Any]:
    """DescribeParameters: by Name, Equals or BeginsWith, in pages of up to 50; no values."""
    asked = read(call, DescribeParameters)
    parameters = call.account.secret_state(call.region).parameters
    names = [name for name in sorted(parameters) if all(_fits(name, one) for one in asked.parameter_filters)]
    start = int(asked.next_token) if asked.next_token.isdecimal() else 0
    end = start + max(1, min(asked.max_results, _PAGE))
    more = {"NextToken": str(end)} if end < len(names) else {}
    return {"Parameters": [_described(parameters[name]) for name in names[start:end]]} | more


def add_tags_to_resource(call: Call) -> dict[str, Any]:
    """AddTagsToResource: adds or overwrites."""
    asked = read(call, Tagged)
    parameter = _resource(call, asked)
    new = read_tags(asked.tags)
    parameter.tags.update(new)
    call.effect = ("parameter-tagged", parameter.name, *new)
    return {}


def list_tags_for_resource(call: Call) -> dict[str, Any]:
    """ListTagsForResource: all of them."""
    return {"TagList": written_tags(_resource(call, read(call, Tagged)).tags)}


def _new(call: Call, asked: PutParameter) -> StoredParameter:
    if not asked.type:
        raise _invalid("A parameter type is required when you create a parameter.")
    made = StoredParameter(
        asked.name, _arn(call, asked.name.lstrip("/")), asked.type, call.now, call.caller_arn
    )
    made.tags = read_tags(asked.tags)
    return made


def _check(asked: PutParameter) -> None:
    name = asked.name
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME or ("/" in name and name[0] != "/"):
        raise _invalid(f"Parameter name {name[:80]!r} must be a fully qualified name.")
    if name.lstrip("/").lower().startswith(("aws", "ssm")):
        raise _invalid('Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive).')
    if not 1 <= len(asked.value.encode()) <= _MAX_VALUE:
        raise _invalid(f"Standard tier parameters hold 1 to {_MAX_VALUE} characters.")
    if asked.tags and asked.overwrite:
        how = "To update tags for an existing parameter, please use AddTagsToResource."
        raise _invalid(f"Invalid request: tags and overwrite can't be used together. {how}")


def _resource(call: Call, asked: Tagged) -> StoredParameter:
    if asked.resource_type != "Parameter":
        raise AwsError(400, "InvalidResourceType", "The sandbox has parameters only.")
    parameter = call.account.secret_state(call.region).parameters.get(asked.resource_id)
    if parameter is None:
        raise AwsError(400, "InvalidResourceId", "The resource ID isn't valid.")
    return parameter


def _fits(name: str, wanted: Filter) -> bool:
    if wanted.key != "Name":
        raise AwsError(400, "InvalidFilterKey", "The sandbox filters by Name only.")
    if wanted.option == "Equals":
        return name in wanted.values
    if wanted.option == "BeginsWith":
        return name.startswith(wanted.values)
    raise AwsError(400, "InvalidFilterOption", "The sandbox knows Equals and BeginsWith.")


def _metadata(parameter: StoredParameter) -> dict[str, Any]:
    return {
        "Name": parameter.name,
        "ARN": parameter.arn,
        "Type": parameter.kind,
        "LastModifiedDate": epoch(parameter.changed_at),
    }


def _described(parameter: StoredParameter) -> dict[str, Any]:
    shown = {
        "LastModifiedUser": parameter.changed_by,
        "Version": parameter.version,
        "Tier": "Standard",
        "DataType": "text",
        "Policies": [],
    }
    text = {"Description": parameter.description} if parameter.description else {}
    key = {"KeyId": "alias/aws/ssm"} if parameter.kind == _SECURE else {}
    return _metadata(parameter) | shown | text | key


def _coded(value: str) -> str:
    """Stand in for the ciphertext: nothing of the value can be read from it."""
    return base64.b64encode(digest("ciphertext", value)).decode()


def _arn(call: Call, name: str) -> str:
    return f"arn:{call.account.partition}:ssm:{call.region}:{call.account.account_id}:parameter/{name}"


def _invalid(message: str) -> AwsError:
    return AwsError(400, "ValidationException", message)
