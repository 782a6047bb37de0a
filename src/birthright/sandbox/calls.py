"""One authenticated call, who makes it, and the parameters every action reads the same way."""

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from birthright.sandbox.account import Key, SandboxAccount, User
from birthright.sandbox.cloud import Cloud
from birthright.sandbox.faults import Fault
from birthright.sandbox.sessions import SandboxSession
from birthright.sandbox.wire import AwsError, flag, tag

MAX_ITEMS = 1000
DEFAULT_ITEMS = 100
_NAME = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
_ROLE_OWNER = re.compile(r"arn:[^:]*:iam::(\d{12}):role/", re.ASCII)


@dataclass(slots=True)
class Call:
    """One call whose signature was found right.

    account: the caller's. params: of a query-protocol call; body: of a JSON call. now: the sandbox's time,
    UTC; second: the same cut to the whole second, as IAM stores it. effect: what the call changed, as the
    log keeps it.
    """

    cloud: Cloud
    service: str
    action: str
    params: dict[str, str]
    account: SandboxAccount
    credential: Key | SandboxSession
    region: str
    now: datetime
    body: dict[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    effect: tuple[str, ...] = ()
    second: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.second = self.now.replace(microsecond=0)

    @property
    def subject(self) -> str:
        """What faults are bound to: the user, or else the secret or parameter that the call names."""
        return self.params.get("UserName") or str(self.body.get("SecretId") or self.body.get("Name") or "")

    @property
    def place(self) -> str:
        """The id of the account that faults strike: the caller's, or that of the role to be assumed."""
        role = _ROLE_OWNER.match(self.params.get("RoleArn", "")) if self.action == "AssumeRole" else None
        return role[1] if role else self.account.account_id

    @property
    def user(self) -> User | None:
        """The user who calls, root included; None for an assumed role."""
        key = self.credential
        return self.account.user_of(key) if isinstance(key, Key) else None

    @property
    def caller_arn(self) -> str:
        """The ARN GetCallerIdentity gives for this caller."""
        key = self.credential
        if isinstance(key, SandboxSession):
            return self.account.arn(f"assumed-role/{key.role}/{key.name}", "sts")
        return self.account.user_of(key).arn

    def may(self, action: str) -> bool:
        """Whether the caller's permissions allow an action, `iam:ListUsers`."""
        key = self.credential
        holder = key if isinstance(key, Key) else self.account.roles.get(key.role)
        allow = () if holder is None else holder.allow
        if allow is None:
            return True
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in allow)

    def struck(self, kind: str) -> Fault | None:
        """Return the fault of that kind that strikes this call, if one does."""
        return next((fault for fault in self.faults if fault.kind == kind), None)


def invalid(message: str) -> AwsError:
    """Return IAM's complaint about a parameter."""
    return AwsError(400, "ValidationError", f"1 validation error detected: {message}")


def required(call: Call, name: str) -> str:
    """Return a parameter that must be there."""
    value = call.params.get(name)
    if not value:
        at = name[:1].lower() + name[1:]
        raise invalid(f"Value at '{at}' failed to satisfy constraint: Member must not be null")
    return value


def valid_name(call: Call, name: str = "UserName") -> str:
    """Return a required user name; IAM allows letters, digits and `+=,.@_-`."""
    value = required(call, name)
    if not _NAME.fullmatch(value):
        raise invalid(rf"'{value}' must satisfy regular expression pattern: [\w+=,.@-]+")
    return value


def named_user(call: Call) -> User:
    """Return the user the call names, or NoSuchEntity."""
    name = valid_name(call)
    user = call.account.users.get(name)
    if user is None:
        raise AwsError(404, "NoSuchEntity", f"The user with name {name} cannot be found.")
    return user


def named_or_calling_user(call: Call) -> User:
    """Return the user named, else the caller; a role has no keys of its own and must name one."""
    if "UserName" in call.params:
        return named_user(call)
    if call.user is None:
        message = "Must specify userName when calling with non-User credentials"
        raise AwsError(400, "ValidationError", message)
    return call.user


def numbered(call: Call, prefix: str) -> list[str]:
    """Return a list parameter, `Tags.member.1.Key` and so on, in order."""
    parent, _, leaf = prefix.partition(".*")
    found: list[str] = []
    while (name := f"{parent}.member.{len(found) + 1}{leaf}") in call.params:
        found.append(call.params[name])
    return found


def page(call: Call, names: Sequence[str]) -> tuple[Sequence[str], str]:
    """Return one page of the sorted `names` and the XML that says whether there is more.

    The marker holds the last name given, so that a listing stays right while others write.
    """
    start = bisect_right(names, _marker(call)) if "Marker" in call.params else 0
    chosen = names[start : start + _page_size(call)]
    if start + len(chosen) >= len(names):
        return chosen, "<IsTruncated>false</IsTruncated>"
    marker = base64.b64encode(chosen[-1].encode()).decode()
    return chosen, flag("IsTruncated", value=True) + tag("Marker", marker)


def _page_size(call: Call) -> int:
    text = call.params.get("MaxItems", str(DEFAULT_ITEMS))
    if not text.isdecimal() or not 1 <= int(text) <= MAX_ITEMS:
        raise invalid(f"Value '{text}' at 'maxItems' must be between 1 and {MAX_ITEMS}")
    short = call.struck("short-pages")
    return min(int(text), max(short.size, 1)) if short else int(text)


def _marker(call: Call) -> str:
    try:
        return base64.b64decode(call.params["Marker"], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise AwsError(400, "ValidationError", "Invalid Marker.") from None
