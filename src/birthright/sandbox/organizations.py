"""Organizations: its listings, for the management account and those that act for it.

Members, errors and their reasons are those of botocore's model organizations/2016-11-28.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from birthright.sandbox.calls import Call
from birthright.sandbox.organization import MemberAccount, SandboxOrganization, Unit
from birthright.sandbox.stored import Input, epoch, read, written_tags
from birthright.sandbox.wire import AwsError

HOME = {"aws": "us-east-1", "aws-cn": "cn-northwest-1", "aws-us-gov": "us-gov-west-1"}
_MOST = 20  # items a page, asked for or not
_PARENT = re.compile(r"r-[0-9a-z]{4,32}|ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}")
# What State CLOSED and PENDING_ACTIVATION were called before there was a State.
_OLDER = {"CLOSED": "SUSPENDED", "PENDING_ACTIVATION": "SUSPENDED"}
_DENIED = "You don't have permissions to access this resource."
_NOT_IN_USE = "Your account is not a member of an organization."
_TOKEN = re.compile(r"(\d{1,9})(e?)", re.ASCII)

T = TypeVar("T")
Answer = dict[str, Any]
Action = Callable[[Call], Answer]
Handler = Callable[[Call, SandboxOrganization], Answer]


class _Listing(Input):
    next_token: str | None = None
    max_results: int = _MOST


class _OfParent(_Listing):
    parent_id: str = ""


class _OfResource(_Listing):
    resource_id: str = ""


class _OfAccount(Input):
    account_id: str = ""


class _OfUnit(Input):
    organizational_unit_id: str = ""


class _Place(NamedTuple):
    """Where a listing goes on; `spent`: the empty page that may come before it has been given."""

    start: int = 0
    spent: bool = False


def check_region(partition: str, region: str) -> None:
    """Refuse a signature for another Region than the one the partition's Organizations has."""
    if region != HOME.get(partition, region):
        raise AwsError(403, "SignatureDoesNotMatch", "Credential should be scoped to a valid region.")


def _in_use(handler: Handler) -> Action:
    def answer(call: Call) -> Answer:
        organization = call.cloud.organization
        if organization is None or call.account.account_id not in organization:
            raise AwsError(400, "AWSOrganizationsNotInUseException", _NOT_IN_USE)
        return handler(call, organization)

    return answer


def _listed(handler: Handler) -> Action:
    def answer(call: Call, organization: SandboxOrganization) -> Answer:
        if not organization.may_list(call.account.account_id):
            raise AwsError(400, "AccessDeniedException", _DENIED)
        return handler(call, organization)

    return _in_use(answer)


def _list_accounts(call: Call, organization: SandboxOrganization) -> Answer:
    """ListAccounts: all of them, at most 20 a page."""
    chosen, more = _page(call, read(call, _Listing), organization.account_ids)
    return {"Accounts": _accounts(organization, chosen), **more}


def _list_accounts_for_parent(call: Call, organization: SandboxOrganization) -> Answer:
    """ListAccountsForParent: those right in a unit, and not in units below it."""
    asked = read(call, _OfParent)
    parent = _parent(organization, asked.parent_id)
    chosen, more = _page(call, asked, organization.accounts_in(parent.id))
    return {"Accounts": _accounts(organization, chosen), **more}


def _list_units(call: Call, organization: SandboxOrganization) -> Answer:
    """ListOrganizationalUnitsForParent: those right below a unit or the root."""
    asked = read(call, _OfParent)
    below = organization.children(_parent(organization, asked.parent_id).id)
    chosen, more = _page(call, asked, below)
    return {"OrganizationalUnits": [_unit(organization, unit) for unit in chosen], **more}


def _list_roots(call: Call, organization: SandboxOrganization) -> Answer:
    """ListRoots: the one root there is."""
    chosen, more = _page(call, read(call, _Listing), [organization.root])
    return {"Roots": [_root(organization, root) for root in chosen], **more}


def _list_tags(call: Call, organization: SandboxOrganization) -> Answer:
    """ListTagsForResource: of accounts; units and the root have none."""
    asked = read(call, _OfResource)
    member = organization.member(asked.resource_id)
    if member is None and asked.resource_id not in organization.units:
        raise AwsError(400, "TargetNotFoundException", "You specified a target that doesn't exist.")
    tags = written_tags(dict(member.tags) if member else {})
    chosen, more = _page(call, asked, tags)
    return {"Tags": list(chosen), **more}


def _describe_account(call: Call, organization: SandboxOrganization) -> Answer:
    """DescribeAccount: one account."""
    member = organization.member(read(call, _OfAccount).account_id)
    if member is None:
        raise AwsError(400, "AccountNotFoundException", "You specified an account that doesn't exist.")
    return {"Account": _account(organization, member)}


def _describe_unit(call: Call, organization: SandboxOrganization) -> Answer:
    """DescribeOrganizationalUnit: one unit; the root is none."""
    unit = organization.units.get(read(call, _OfUnit).organizational_unit_id)
    if unit is None or not unit.parent:
        message = "You specified an organizational unit that doesn't exist."
        raise AwsError(400, "OrganizationalUnitNotFoundException", message)
    return {"OrganizationalUnit": _unit(organization, unit)}


def _describe_organization(call: Call, organization: SandboxOrganization) -> Answer:  # noqa: ARG001 - as the others
    """DescribeOrganization: any member may ask."""
    management = organization.member(organization.management_id)
    return {
        "Organization": {
            "Id": organization.id,
            "Arn": _arn(organization, "organization", organization.id),
            "FeatureSet": "ALL",
            "MasterAccountArn": _arn(organization, "account", organization.id, organization.management_id),
            "MasterAccountId": organization.management_id,
            "MasterAccountEmail": management.email if management else "",
            "AvailablePolicyTypes": [{"Type": "SERVICE_CONTROL_POLICY", "Status": "ENABLED"}],
        }
    }


def _parent(organization: SandboxOrganization, parent_id: str) -> Unit:
    if not _PARENT.fullmatch(parent_id):
        raise _wrong("INVALID_PATTERN", "You provided a value that does not match the required pattern.")
    if parent_id not in organization.units:
        message = "You specified parent that doesn't exist."
        raise AwsError(400, "ParentNotFoundException", message)
    return organization.units[parent_id]


def _page(call: Call, asked: _Listing, items: Sequence[T]) -> tuple[Sequence[T], dict[str, str]]:
    """Return one page and the token of the next; under `empty-pages` an empty one comes first."""
    page, size = _start(asked.next_token), _size(call, asked.max_results)
    if not page.spent and call.struck("empty-pages"):
        return (), {"NextToken": _token(_Place(page.start, spent=True))}
    end = page.start + size
    chosen = items[page.start : end]
    return chosen, ({"NextToken": _token(_Place(end))} if end < len(items) else {})


def _size(call: Call, asked: int) -> int:
    if asked < 1:
        raise _wrong("MIN_VALUE_EXCEEDED", "You provided a value below the minimum: 1.")
    if asked > _MOST:
        raise _wrong("MAX_VALUE_EXCEEDED", f"You provided a value above the maximum: {_MOST}.")
    short = call.struck("short-pages")
    return min(asked, max(short.size, 1)) if short else asked


def _token(page: _Place) -> str:
    return base64.b64encode(f"{page.start}{'e' if page.spent else ''}".encode()).decode()


def _start(token: str | None) -> _Place:
    if token is None:
        return _Place()
    try:
        parts = _TOKEN.fullmatch(base64.b64decode(token, validate=True).decode())
    except (binascii.Error, ValueError):
        parts = None
    if parts is None:
        raise _wrong("INVALID_NEXT_TOKEN", "You provided an invalid NextToken.")
    return _Place(int(parts[1]), spent=bool(parts[2]))


def _accounts(organization: SandboxOrganization, account_ids: Sequence[str]) -> list[Answer]:
    members = (organization.member(account_id) for account_id in account_ids)
    return [_account(organization, member) for member in members if member is not None]


def _account(organization: SandboxOrganization, member: MemberAccount) -> Answer:
    answer = {
        "Id": member.account_id,
        "Arn": _arn(organization, "account", organization.id, member.account_id),
        "Email": member.email,
        "Name": member.name,
        "Paths": [f"{member.unit.path}{member.account_id}/"],
        "JoinedMethod": member.joined_method,
        "JoinedTimestamp": epoch(member.joined_at),
    }
    if organization.fields != "state":
        answer["Status"] = _OLDER.get(member.state, member.state)
    if organization.fields != "status":
        answer["State"] = member.state
    return answer


def _unit(organization: SandboxOrganization, unit: Unit) -> Answer:
    arn = _arn(organization, "ou", organization.id, unit.id)
    return {"Id": unit.id, "Arn": arn, "Name": unit.name, "Path": unit.path}


def _root(organization: SandboxOrganization, root: Unit) -> Answer:
    arn = _arn(organization, "root", organization.id, root.id)
    policies = [{"Type": "SERVICE_CONTROL_POLICY", "Status": "ENABLED"}]
    return {"Id": root.id, "Arn": arn, "Name": root.name, "PolicyTypes": policies}


def _arn(organization: SandboxOrganization, *parts: str) -> str:
    place = f"arn:{organization.partition}:organizations::{organization.management_id}"
    return f"{place}:{'/'.join(parts)}"


def _wrong(reason: str, message: str) -> AwsError:
    return AwsError(400, "InvalidInputException", message, Reason=reason)


ACTIONS: Mapping[str, Action] = {
    "ListAccounts": _listed(_list_accounts),
    "ListRoots": _listed(_list_roots),
    "ListOrganizationalUnitsForParent": _listed(_list_units),
    "ListAccountsForParent": _listed(_list_accounts_for_parent),
    "ListTagsForResource": _listed(_list_tags),
    "DescribeAccount": _listed(_describe_account),
    "DescribeOrganizationalUnit": _listed(_describe_unit),
    "DescribeOrganization": _in_use(_describe_organization),
}
