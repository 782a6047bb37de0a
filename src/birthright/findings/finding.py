"""Verdicts become findings, as SQL: fingerprints, remedies, their order, evidence, and the text of JSON.

Findings are made by the hundred thousand, so the engine makes them, up to their JSON: what Python would do
for each of them costs ten times as much. `docs/architecture.md` says how; the tests have it in Python.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from birthright.findings.model import Finding
from birthright.policies.rule import VERDICT, Rule

_FOREVER = datetime.max.replace(tzinfo=UTC)
_NEVER = "timestamp '9999-12-31 23:59:59.999999'"
# The order of findings; `place` is the policy's among those that judge, by id.
_ORDER = f"""account_id, place, coalesce(user_name, ''), coalesce(created_at, {_NEVER}),
             coalesce(access_key_id, ''), fingerprint"""

# Keys of one user made in the same second are told apart by their number. Failures are counted first, passes
# last, so that a failure has the same number whether or not passes are asked for, and at the depth that knows
# the keys' slots as at the one that knows their ids.
_NUMBER = f"""
    row_number() over (
        partition by place, account_id, coalesce(user_name, ''), subject_id, created_at,
                     case when created_at is null then nullif(slot, 0) end
        order by coalesce(compliant::int * 2, 1), coalesce(access_key_id, ''), coalesce(slot, 0),
                 coalesce(status, ''), coalesce(last_used_at, {_NEVER}), coalesce(reason, '')) - 1"""


def order(finding: Finding) -> tuple[str, str, str, datetime, str, str]:
    """Return what findings are sorted by."""
    return (
        finding.account_id,
        finding.policy,
        finding.user_name or "",
        finding.created_at or _FOREVER,
        finding.access_key_id or "",
        finding.fingerprint,
    )


def constants(rules: Iterable[Rule]) -> dict[str, list[Any]]:
    """Return what is the same for all findings of a rule, by its place: parameters of the SQL here."""
    pages = [rule.page for rule in rules]
    return {
        "policies": [page.id for page in pages],
        "risks": [page.front.risk for page in pages],
        "titles": [page.front.title for page in pages],
        "labels": [page.subject.label for page in pages],
        "of_keys": [page.subject.is_key for page in pages],
        "retires": [page.front.remedy == "retire" for page in pages],
    }


def remedy(instants: Iterable[str]) -> str:
    """Write the remedy of a verdict. `instants` are the parameters between which its facts were read.

    An inactive key cannot be used, however lately it was. AWS shows a use hours late: the disuse of a key
    younger than a day is not known.
    """
    in_use = [
        f"""case when status = 'Inactive' then false
                 when last_used_at is not null then ${at} - last_used_at < $in_use
                 when not ever_used and ${at} - created_at >= interval 1 day then false end"""
        for at in instants
    ]
    return f"""
        case when compliant is null or compliant or not $retires[place] then 'none'
             when is_root then 'review'
             when {" and ".join(f"({one})" for one in in_use)} then 'rotate'
             when {" and ".join(f"not ({one})" for one in in_use)} then 'retire'
             else 'review' end"""


def ordered(verdicts: str, instants: Iterable[str], within: str, *, evidence: bool) -> str:
    """Write the SELECT of the findings of a table of verdicts, in their order.

    `within` is the condition on the accounts of the table.
    """
    named = f"case when subject_id is not null then {_exactly('subject_id')} end"
    identity = f"""{_exactly("account_id")}, ',', {_exactly("coalesce(user_name, '')")}, ',',
        coalesce({named}, {_time("created_at")}, '"slot ' || nullif(slot, 0) || '"', '""')"""
    fingerprint = f"""left(sha256(concat('["', $policies[place], '",', {identity}, ',', number, ']')), 32)"""
    beside = "case when access_key_id is null then null when several.name is null then 1 else keys end"
    return f"""
        with numbered as (select *, {_NUMBER} as number from {verdicts}),
             several as (select account_id as account, user_name as name,
                                case when count(*) = count(access_key_id) then count(*) end as keys
                         from access_keys where {within}
                         group by all having count(access_key_id) > 0 and count(*) > 1)
        select place, compliant, {", ".join(name for name in VERDICT if name != "compliant")},
               {fingerprint} as fingerprint, {remedy(instants)} as remedy, {beside} as user_keys
               {_WITNESSES if evidence else ""}
        from numbered
        left join several on several.account = account_id and several.name = coalesce(user_name, '')
        {_witnesses(within) if evidence else ""}
        order by {_ORDER}"""  # noqa: S608


def json_lines(findings: str, *, evidence: bool) -> str:
    """Write the SELECT of the JSON of findings, a line each, from what `ordered` gave."""
    fields = {
        "fingerprint": _quoted("fingerprint"),
        "policy": _quoted("$policies[place]"),
        "verdict": _quoted("case compliant when true then 'pass' when false then 'fail' else 'unknown' end"),
        "risk": _quoted("$risks[place]"),
        "account_id": "to_json(account_id)",
        "user_name": "to_json(user_name)",
        "user_arn": "to_json(user_arn)",
        "access_key_id": "to_json(access_key_id)",
        "status": "status_said",
        "created_at": "created_said",
        "user_created_at": "born_said",
        "gap_seconds": "(epoch(created_at) - epoch(user_created_at))::bigint",
        "ever_used": "ever_used",
        "last_used_at": "used_said",
        "console_password": "console_password",
        "remedy": _quoted("remedy"),
        "reason": "to_json(coalesce(nullif(reason, ''), $titles[place]))",
        "evidence": f"concat('[', {_EVIDENCE}, ']')" if evidence else "'[]'",
        "user_keys": "user_keys",
        "state": "null",
        "first_seen": "null",
        "waiver": "null",
    }
    parts = (f"""'"{name}":', coalesce(({value})::varchar, 'null')""" for name, value in fields.items())
    named = """case when subject_id is not null
                    then concat(',"subject":', to_json($labels[place] || ' ' || subject_id)) end"""
    line = f"""concat('{{', {", ',', ".join(parts)}, {named}, '}}', chr(10))"""
    said = {
        "status_said": "to_json(status)",
        "created_said": _time("created_at"),
        "born_said": _time("user_created_at"),
        "used_said": _time("last_used_at"),
        **(_SOURCES if evidence else {}),
    }
    once = ", ".join(f"{value} as {name}" for name, value in said.items())
    return f"select {line} as line from (select *, {once} from {findings})"  # noqa: S608


def _quoted(text: str) -> str:
    """Write a text that holds nothing to be escaped as JSON; NULL stays NULL."""
    return f"""'"' || ({text}) || '"'"""


def _time(time: str) -> str:
    """Write a time as JSON."""
    return f"""strftime({time}, '"%Y-%m-%dT%H:%M:%SZ"')"""


def _exactly(text: str) -> str:
    r"""Write a text as JSON as msgspec does: the engine escapes some characters in capitals (`\u001B`)."""
    rare = "ord(c) < 32 and ord(c) not in (8, 9, 10, 12, 13)"
    escaped = f"case when {rare} then printf('\\u%04x', ord(c)) else to_json(c)[2:-2] end"
    characters = f"list_transform(regexp_extract_all({text}, '(?s).'), lambda c: {escaped})"
    return f"""case when regexp_matches({text}, '[[:cntrl:]]')
                    then {_quoted(f"array_to_string({characters}, '')")} else to_json({text}) end"""


def _source(name: str, at: str) -> str:
    """Write who told a fact, and when: the end of its JSON."""
    return f"""concat(',"source":"{name}","as_of":', coalesce({_time(at)}, 'null'), '}}')"""


def _fact(name: str, value: str, source: str) -> str:
    """Write a fact: arguments of `concat`."""
    return f"""'{{"fact":"{name}","value":', coalesce(({value})::varchar, 'null'), {source}"""


def _source_if(condition: str, name: str, at: str) -> str:
    return f"case when {condition} then {_source(name, at)} else {_REPORTED} end"


_REPORTED = _source("GetCredentialReport", "report_at")
# Who told of a key, of its use, of its user, and of all else.
_SOURCES = {
    "by_key": _source_if("created_source = 'listing'", "ListAccessKeys", "keys_at"),
    "by_use": _source_if("last_used_source = 'lookup'", "GetAccessKeyLastUsed", "uses_at"),
    "by_user": _source_if("listed", "ListUsers", "users_at"),
    "by_report": _REPORTED,
}
# The facts that a verdict rests on, with commas between them. The slot is all that tells a user's two keys
# apart where no id was read.
_EVIDENCE = f"""
    case when $of_keys[place] and user_name is not null then concat(
        case when access_key_id is null and slot is not null
             then concat({_fact("slot", "slot", "by_report")}, ',') end,
        {_fact("status", "status_said", "by_key")}, ',',
        {_fact("created_at", "created_said", "by_key")}, ',',
        {_fact("ever_used", "ever_used", "by_use")}, ',',
        case when ever_used then concat(
            {_fact("last_used_at", "used_said", "by_use")}, ',',
            {_fact("last_used_region", "to_json(last_used_region)", "by_use")}, ',',
            {_fact("last_used_service", "to_json(last_used_service)", "by_use")}, ',') end) end,
    case when user_name is not null then concat(
        {_fact("user_created_at", "born_said", "by_user")}, ',',
        {_fact("console_password", "console_password", "by_report")},
        case when password_last_changed_at is not null then concat(
            ',', {_fact("password_last_changed_at", _time("password_last_changed_at"), "by_report")}) end,
        case when password_last_used_at is not null then concat(
            ',', {_fact("password_last_used_at", _time("password_last_used_at"), "by_report")}) end) end"""

# What the evidence needs beside the verdicts: who told of an account when, and of a user's password.
_WITNESSES = """, report_at, keys_at, uses_at, users_at, listed and unlisted is not true as listed,
    password_last_changed_at, password_last_used_at"""


def _witnesses(within: str) -> str:
    """Write the joins that bring `_WITNESSES`."""
    spoke = "max(coalesce(report_generated_at, as_of)) filter (source = '{}')".format
    return f"""
        left join (
            select account_id as account, {spoke("GetCredentialReport")} as report_at,
                   {spoke("ListAccessKeys")} as keys_at, {spoke("GetAccessKeyLastUsed")} as uses_at,
                   {spoke("ListUsers")} as users_at,
                   bool_or(source = 'ListUsers' and status in ('ok', 'partial')) as listed
            from coverage where {within} group by all
        ) as spoken on spoken.account = account_id
        left join (
            select account_id as account, user_name as name, bool_or(in_listing is not true) as unlisted,
                   max(password_last_changed_at) filter (console_password) as password_last_changed_at,
                   max(password_last_used_at) filter (console_password) as password_last_used_at
            from principals where {within} group by all
        ) as people on people.account = account_id and people.name = coalesce(user_name, '')"""  # noqa: S608
