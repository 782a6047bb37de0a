"""Whether a page's rule is acceptable: a plain SELECT, the same tomorrow, with a verdict's columns."""

from collections.abc import Mapping
from typing import Any

from birthright.errors import QueryError
from birthright.facts.schema import TABLES
from birthright.policies.engine import Engine
from birthright.policies.page import Page
from birthright.policies.subjects import BOOLEAN

# The answer to these would differ when the same facts are judged again, or they wait, or tell of the machine.
_CHANGING = frozenset(
    """now today random setseed uuid uuidv4 uuidv7 gen_random_uuid nextval currval setval version ago age/1
    get_current_timestamp get_current_time current_timestamp current_date current_time current_localtime
    current_localtimestamp localtime localtimestamp transaction_timestamp current_setting getvariable
    current_query current_query_id current_connection_id current_transaction_id txid_current read_text
    read_blob pg_postmaster_start_time pg_conf_load_time pg_sleep sleep_ms write_log stats vector_type
    tablesample current_database current_schema current_schemas current_catalog current_user
    session_user current_role in_search_path user/0""".split()
)
# A function that rows are read from can run text as SQL, look at the machine, or follow a pointer.
_TABLE_FUNCTIONS = frozenset({"generate_series", "json_each", "json_tree", "range", "unnest"})

# What was accepted in this process: the columns of rules, by all that the answer depends on.
_accepted: dict[tuple[object, ...], frozenset[str]] = {}


def accepted_columns(engine: Engine, page: Page, values: Mapping[str, Any]) -> frozenset[str]:
    """Return the columns of a page's rule if it is acceptable, which is looked at once. Raises QueryError.

    What an engine has accepted another need not look at again: they have the same tables.
    """
    kinds = frozenset((name, type(value)) for name, value in values.items())
    key = (page.rule, page.front.subject, frozenset(page.front.parameters), kinds, frozenset(TABLES))
    if key not in _accepted:
        _accepted[key] = _check(engine, page, values)
    return _accepted[key]


def _check(engine: Engine, page: Page, values: Mapping[str, Any]) -> frozenset[str]:
    _check_parameters(engine, page)
    mentions = engine.mentions(page.rule, "the rule")
    changing = mentions.names & _CHANGING | mentions.table_functions - _TABLE_FUNCTIONS
    if changing:
        raise QueryError(
            f"the rule asks for {min(changing).partition('/')[0]}",
            "the same facts must give the same verdict: use $as_of and the fact tables",
        )
    # It was accepted as one SELECT, so it stays in its parentheses.
    types = engine.types(f"select * from (\n{page.rule}\n)", values, "the rule")  # noqa: S608
    _check_columns(page, types)
    return frozenset(types)


def _check_parameters(engine: Engine, page: Page) -> None:
    used = engine.named_parameters(page.rule, "the rule") - {"as_of"}
    declared = page.front.parameters.keys()
    for name in sorted(used - declared):
        raise QueryError(f"the rule uses ${name}, which the page does not declare")
    for name in sorted(declared - used):
        raise QueryError(f"the rule does not use the parameter {name}")


def _check_columns(page: Page, types: Mapping[str, str]) -> None:
    if "compliant" not in types:
        raise QueryError("the rule has no column compliant", "true passes, false fails, null is unknown")
    for column, wanted in {**page.subject.columns, "compliant": BOOLEAN}.items():
        if column not in types:
            raise QueryError(f"the rule has no column {column}", f"subject {page.front.subject} needs it")
        if types[column].strip('"') not in {*wanted, "NULL"}:
            raise QueryError(f"the rule's column {column} is {types[column]}", f"it should be {min(wanted)}")
