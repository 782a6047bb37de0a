"""A key's status is one type, whose words are the same wherever facts are kept."""

import ast
from pathlib import Path

import duckdb
import msgspec
import pytest

import birthright
from birthright.facts.model import ACTIVE, INACTIVE, KEY_STATUSES, AccessKey
from birthright.facts.schema import TABLES, to_table

WHERE_THE_WORDS_STAND = {Path("facts/model.py"), Path("sandbox/account.py")}


@pytest.mark.parametrize("status", [*sorted(KEY_STATUSES), None])
def test_a_status_is_its_word_everywhere(status: str | None) -> None:
    """Arrow, SQL and JSON hold AWS's word, and NULL where it is not known."""
    key = AccessKey("111122223333", None, "alice", status=status)  # type: ignore[arg-type]
    table = to_table([key], TABLES["access_keys"].schema)
    assert table["status"].to_pylist() == [status]
    with duckdb.connect() as connection:
        connection.register("access_keys", table)
        assert connection.execute("select status from access_keys").fetchall() == [(status,)]
    assert msgspec.json.decode(msgspec.json.encode(key), type=AccessKey) == key


def test_facts_hold_no_other_word() -> None:
    """What is none of AWS's documented words cannot be decoded as a fact."""
    with pytest.raises(msgspec.ValidationError, match="status"):
        msgspec.convert({"account_id": "1", "user_arn": None, "user_name": "a", "status": "On"}, AccessKey)


def test_the_words_stand_once() -> None:
    """Only the model, and the sandbox for itself, spell a status; all else uses their names."""
    wing = Path(birthright.__file__).parent
    found = {
        path.relative_to(wing)
        for path in wing.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in KEY_STATUSES
    }
    assert found == WHERE_THE_WORDS_STAND
    assert {ACTIVE, INACTIVE} < KEY_STATUSES
