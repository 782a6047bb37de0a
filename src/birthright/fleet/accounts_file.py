"""A list of accounts in a file: CSV, JSON, or what `aws organizations list-accounts` prints.

Messages name the row and the field. They show only short texts, because the wrong file may hold a
secret.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from birthright.aws.identifiers import account_of_role_arn, is_account_id, is_role_name
from birthright.errors import UsageError
from birthright.facts.model import Account
from birthright.fleet.target import CLOSED_STATES, Target
from birthright.text import printable

_MOST_BYTES = 32 * 1024 * 1024
_SHOWN = 20  # characters; a secret is longer
_FIELDS = {
    "id": "id", "account_id": "id",
    "name": "name", "account_name": "name",
    "role": "role",
    "state": "state",
    "status": "status",
}  # fmt: skip
_STATES = {"ACTIVE", *CLOSED_STATES}
_HINT = 'CSV whose first row is id,name,role, or JSON: [{"id": "111122223333", "name": ..., "role": ...}]'

# A row's place in words, and its fields by our names; cells may still be of any type.
_Row = tuple[str, Mapping[str, object]]


def load_accounts(path: Path) -> tuple[Target, ...]:
    """Read a list of accounts, in its order. Raises UsageError naming the file, the row and the field.

    A row has an id (12 digits) and may have a name, a role (a name, a path and a name, or an ARN of
    that account), and Organizations' state. Other columns are ignored.
    """
    text = _text(path)
    rows = _json_rows(text, path) if text.lstrip().startswith(("[", "{")) else _csv_rows(text, path)
    found: dict[str, str] = {}
    accounts = []
    for place, fields in rows:
        target = _target(fields, f"{path}: {place}")
        before = found.setdefault(target.account.account_id, place)
        if before != place:
            raise UsageError(f"{path}: {place}: {target.account.account_id} is in {before} already")
        accounts.append(target)
    if not accounts:
        raise UsageError(f"{path} names no account", _HINT)
    return tuple(accounts)


def _target(fields: Mapping[str, object], where: str) -> Target:
    """Check one row."""
    account_id = _cell(fields, "id", where)
    if not is_account_id(account_id):
        what = f"{_shown(account_id)} is not an account id" if account_id else "there is no account id"
        raise UsageError(f"{where}: {what}: it has 12 digits (a spreadsheet may have dropped leading zeros)")
    role = _cell(fields, "role", where) or None
    if role is not None:
        _check_role(role, account_id, where)
    account = Account(
        account_id=account_id,
        account_name=_cell(fields, "name", where) or None,
        state=_state(fields),
        source="file",
    )
    return Target(account, role)


def _state(fields: Mapping[str, object]) -> str | None:
    """Find Organizations' state; a column of that name may also hold something else."""
    words = (fields.get("state"), fields.get("status"))
    return next((word for word in words if isinstance(word, str) and word in _STATES), None)


def _check_role(role: str, account_id: str, where: str) -> None:
    of_account = account_of_role_arn(role)
    if of_account is None and not is_role_name(role):
        raise UsageError(
            f"{where}: role {_shown(role)} is no role's name or ARN", "birthright, or audit/birthright"
        )
    if of_account not in {None, account_id}:
        raise UsageError(f"{where}: the role is of account {of_account}, not of {account_id}")


def _cell(fields: Mapping[str, object], field: str, where: str) -> str:
    value = fields.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UsageError(
            f"{where}: {field} is not a text", 'JSON texts stand in quotes: "id": "012345678901"'
        )
    return value.strip()


def _csv_rows(text: str, path: Path) -> Iterator[_Row]:
    """Yield the rows below the header; they are numbered as a spreadsheet does."""
    reader = enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), start=1)
    names: list[str | None] | None = None
    number = 0
    try:
        for number, cells in reader:
            if not any(map(str.strip, cells)):
                continue
            if names is None:
                names = _header(cells, path)
                continue
            if any(map(str.strip, cells[len(names) :])):
                raise UsageError(f"{path}: row {number} has more cells than the header")
            yield f"row {number}", {name: cell for name, cell in zip(names, cells, strict=False) if name}
    except csv.Error as error:
        raise UsageError(f"{path} is not CSV: {error}, after row {number}") from None


def _header(cells: list[str], path: Path) -> list[str | None]:
    names = [_FIELDS.get(_plain(cell)) for cell in cells]
    _refuse_twice([name for name in names if name], f"{path}: the header")
    if "id" not in names:
        raise UsageError(f"{path}: the first row is no header with a column id", _HINT)
    return names


def _json_rows(text: str, path: Path) -> Iterator[_Row]:
    """Yield the objects of a list, or of the list that is an object's `accounts`."""
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise UsageError(f"{path} is not JSON: {error}", _HINT) from None
    if isinstance(document, dict):
        lists = [value for name, value in document.items() if name.lower() == "accounts"]
        if any(document.get(name) for name in ("NextToken", "nextToken")):
            raise UsageError(f"{path} is cut: more accounts follow", "list them without --max-items")
        document = lists[0] if len(lists) == 1 else None
    if not isinstance(document, list):
        raise UsageError(f"{path} is no list of accounts", _HINT)
    for number, entry in enumerate(document, start=1):
        if not isinstance(entry, dict):
            raise UsageError(f"{path}: entry {number} is no object", _HINT)
        named = [(_FIELDS[_plain(name)], value) for name, value in entry.items() if _plain(name) in _FIELDS]
        _refuse_twice([name for name, _ in named], f"{path}: entry {number}")
        yield f"entry {number}", dict(named)


def _plain(name: str) -> str:
    """Bring `Account ID`, `account_id` and `ID` together."""
    return "_".join(name.lower().split())


def _refuse_twice(names: list[str], where: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{where} has {name} twice")


def _shown(text: str) -> str:
    return f"'{printable(text)}'" if len(text) <= _SHOWN else f"a text of {len(text)} characters"


def _text(path: Path) -> str:
    """Read and decode a file of bearable size."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{path} is larger than {_MOST_BYTES >> 20} MiB: no list of accounts is")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text", "save it as 'CSV UTF-8'") from None
    if not text.strip():
        raise UsageError(f"{path} is empty", _HINT)
    return text
