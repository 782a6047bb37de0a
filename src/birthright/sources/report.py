"""The credential report: CSV from AWS, read by column name.

AWS documents 23 columns and sends 22; a reader by position would take every user of the other form
for one without keys. So the header decides, and what a cell does not say is None and a line in
`CredentialReport.problems`: never "no".
"""

import ast
import base64
import binascii
import csv
import io
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from birthright.errors import AnswerError
from birthright.facts.answers import ROOT_NAME, CredentialReport, LastUse, ReportSlot, ReportUser
from birthright.times import parse_instant
from birthright.versioned import NOT_JSON

if TYPE_CHECKING:
    from _csv import Reader

REQUIRED = (
    "user",
    "user_creation_time",
    *(f"access_key_{n}_{what}" for n in (1, 2) for what in ("active", "last_rotated")),
)
OPTIONAL = (
    "arn",
    "password_enabled",
    "password_last_used",
    "password_last_changed",
    "mfa_active",
    *(f"access_key_{n}_last_used_{what}" for n in (1, 2) for what in ("date", "region", "service")),
    "cert_1_active",
    "cert_2_active",
)
MORE = "additional_credentials_info"  # documented, not sent by AWS in 2026: its absence is no problem

_HINT = "expected the CSV of `aws iam get-credential-report`, with its header line"
_NOTHING = frozenset(("", "N/A", "n/a", "no_information", "not_supported"))
_BOOLEANS = {"true": True, "false": False, "TRUE": True, "FALSE": False}
# `no_information` is not documented for keys: it is no proof that a key was never used.
_NEVER_USED = {"N/A": False}
_NO_KEY = ReportSlot(active=False, last_use=LastUse(ever_used=False))
_UNREADABLE = ReportSlot(readable=False)
_SECONDS_AT = slice(16, 17)  # where the second colon stands in 2026-11-22T10:00:00Z
_KEPT_PROBLEMS = 20
_SHOWN = 40


def parse_report(data: bytes, generated_at: datetime | None = None) -> CredentialReport:
    """Read the CSV of a credential report (bytes as AWS made them, decoded from base64).

    `generated_at` is AWS's `GeneratedTime`. Columns may come in any order and letter case, with
    others among them. Cells that cannot be read are None, and so is every fact of a row that has
    too few or too many cells, or that contradicts another row of the same user: its slots are not
    `readable`. Raises AnswerError if this is no credential report at all.
    """
    text = _decode(data)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        problems = Problems()
        users = _read_users(rows, _header(rows, text), problems)
        if users and all(user.user_name != ROOT_NAME for user in users):
            problems.add(f"there is no row of {ROOT_NAME}: it is not a whole report")
    except csv.Error as error:
        message = f"the credential report is not well-formed CSV: {error} (line {rows.line_num})"
        raise AnswerError(message, _HINT) from None
    if not users:
        raise AnswerError("the credential report has a header and no users", _HINT)
    moment = generated_at and generated_at.astimezone(UTC).replace(microsecond=0)
    return CredentialReport(users, moment, problems.lines())


def _decode(data: bytes) -> str:
    """Decode UTF-8, or the UTF-16 that a Windows shell's `>` makes of it."""
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise AnswerError("the credential report is not UTF-8 text", _HINT) from None
    if not text.strip():
        raise AnswerError("the credential report is empty", _HINT)
    if "\0" in text:
        raise AnswerError("the credential report holds NUL bytes: not a text file", _HINT)
    return text


def _header(rows: "Reader", text: str) -> list[str]:
    """Take the header row, normalised. Raises AnswerError if it lacks a column that rules need."""
    header = [name.strip().lower() for name in next((row for row in rows if row), [])]
    missing = [name for name in REQUIRED if name not in header]
    if len(missing) == len(REQUIRED):
        raise AnswerError(f"this is {_kind(text)}, not a credential report", _HINT)
    if missing:
        raise AnswerError(f"the credential report lacks the column {', '.join(missing)}", _HINT)
    twice = [name for name in (*REQUIRED, *OPTIONAL, MORE) if header.count(name) > 1]
    if twice:
        raise AnswerError(f"the credential report has the column {', '.join(twice)} twice", _HINT)
    return header


def _kind(text: str) -> str:
    """Name what a text that is no report looks like."""
    kinds = {"{": "JSON", "[": "JSON", "<": "HTML or XML"}
    return kinds.get(text.lstrip()[0], "something else")


def _read_users(rows: "Reader", header: list[str], problems: "Problems") -> tuple[ReportUser, ...]:
    """Read all rows. Of a user with two rows that differ, nothing is believed but the name."""
    reader = _RowReader(header, problems)
    users: dict[str, ReportUser] = {}
    for row in rows:
        user = reader.read(row, rows.line_num) if row else None
        if user is None:
            continue
        known = users.setdefault(user.user_name, user)
        if known is not user:
            named = f"line {rows.line_num}: {visible(user.user_name)}"
            if known == user:
                problems.add(f"{named} has the same row twice")
            else:
                problems.add(f"{named} has rows that contradict each other: only the name is believed")
                users[user.user_name] = _unreadable_user(user.user_name)
    return tuple(users.values())


class Problems:
    """The first lines about what could not be read, and the number of all of them."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self.count = 0

    def add(self, line: str) -> None:
        """Count a problem, and keep its line while there are few."""
        self.count += 1
        if self.count <= _KEPT_PROBLEMS:
            self._kept.append(line)

    def lines(self) -> tuple[str, ...]:
        """Return the kept lines, and one that says how many more there were."""
        more = self.count - len(self._kept)
        return (*self._kept, f"and {more} more problems") if more else tuple(self._kept)


def visible(cell: str) -> str:
    """Quote the start of a cell: at most 40 of its characters, control characters as escapes."""
    return f"'{''.join(c if c.isprintable() else ascii(c)[1:-1] for c in cell[:_SHOWN])}'" + (
        "..." if len(cell) > _SHOWN else ""
    )


class _RowReader:
    """Turns rows into users by the header, and notes what could not be read."""

    def __init__(self, header: list[str], problems: Problems) -> None:
        self._problems = problems
        self._width = len(header)
        self._line = 0
        # A missing column points at the empty cell that `read` appends to each row.
        self._at = {
            name: header.index(name) if name in header else self._width
            for name in (*REQUIRED, *OPTIONAL, MORE)
        }
        for name in OPTIONAL:
            if self._at[name] == self._width:
                problems.add(f"the column {name} is missing")
        self._slots = [_SlotColumns(n, self._at) for n in (1, 2)]

    def read(self, row: list[str], line: int) -> ReportUser | None:
        """Read one row; None if it does not even name a user. `line` is for messages."""
        self._line = line
        if len(row) != self._width:
            return self._misshapen(row)
        row.append("")
        at = self._at
        name = row[at["user"]]
        if not name:
            self._problems.add(f"line {line}: no user name; the row is left out")
            return None
        console = self._flag(row, "password_enabled")
        used, used_at = self._password_use(row, console=console)
        return ReportUser(
            name,
            row[at["arn"]] or None,
            self._instant(row, "user_creation_time"),
            console,
            used,
            used_at,
            self._instant(row, "password_last_changed"),
            self._flag(row, "mfa_active"),
            self._certificates(row),
            (self._slot(row, self._slots[0]), self._slot(row, self._slots[1])),
            _says_more(row[at[MORE]]),
        )

    def _misshapen(self, row: list[str]) -> ReportUser | None:
        """Keep of a row with too few or too many cells only whose it is: the rest moved."""
        place = self._at["user"]
        name = row[place] if place < len(row) else ""
        self._problems.add(
            f"line {self._line}: {len(row)} cells instead of {self._width};"
            f" nothing of it is believed but the user name {visible(name)}"
        )
        return _unreadable_user(name) if name else None

    def _instant(self, row: list[str], name: str) -> datetime | None:
        """Read a date cell; None for AWS's words for nothing, and for what is no date (noted)."""
        cell = row[self._at[name]]
        if cell in _NOTHING:
            return None
        try:
            # A date without seconds would make every key look born with its user.
            if cell[_SECONDS_AT] == ":":
                return parse_instant(cell)
        except (ValueError, OverflowError):
            pass
        if cell.strip() not in _NOTHING:
            self._problems.add(f"line {self._line}, {name}: {visible(cell)} is not a date")
        return None

    def _flag(self, row: list[str], name: str) -> bool | None:
        """Read a boolean cell; None for AWS's words for nothing, and for any other (noted)."""
        cell = row[self._at[name]]
        flag = _BOOLEANS.get(cell)
        if flag is None and cell not in _NOTHING:
            flag = _BOOLEANS.get(cell.strip().lower())
            if flag is None:
                line = f"line {self._line}, {name}: {visible(cell)} is not true or false"
                self._problems.add(line)
        return flag

    def _password_use(self, row: list[str], *, console: bool | None) -> tuple[bool | None, datetime | None]:
        """Read whether and when the password was used.

        `no_information` is "never" unless the user has no password; `N/A` is "there is none", so it
        is "never" only where the report says otherwise. Without a password there is no answer.
        """
        cell = row[self._at["password_last_used"]]
        if cell == "no_information":
            return (None if console is False else False), None
        if cell == "N/A":
            return (False if console else None), None
        moment = self._instant(row, "password_last_used")
        return (True if moment else None), moment

    def _certificates(self, row: list[str]) -> int | None:
        """Count the active signing certificates; None unless both cells could be read."""
        first, second = self._flag(row, "cert_1_active"), self._flag(row, "cert_2_active")
        return None if first is None or second is None else first + second

    def _slot(self, row: list[str], columns: "_SlotColumns") -> ReportSlot:
        """Read one slot; it is not `readable` if its status or its time makes no sense."""
        if columns.empty(row):
            return _NO_KEY
        before = self._problems.count
        active = self._flag(row, columns.active)
        last_rotated = self._instant(row, columns.last_rotated)
        readable = self._problems.count == before
        used_at = self._instant(row, columns.used)
        if last_rotated is None:
            # Then only the last use tells of a key, and a garbled one may.
            readable = self._problems.count == before
        last_use = LastUse(
            True if used_at else _NEVER_USED.get(row[columns.used_at]),
            used_at,
            _word(row[columns.region_at]),
            _word(row[columns.service_at]),
        )
        return ReportSlot(active, last_rotated, last_use, readable)


class _SlotColumns:
    """The names and places of the columns of slot 1 or 2."""

    def __init__(self, number: int, at: dict[str, int]) -> None:
        prefix = f"access_key_{number}_"
        self.active, self.last_rotated = f"{prefix}active", f"{prefix}last_rotated"
        self.used = f"{prefix}last_used_date"
        self.active_at, self.rotated_at = at[self.active], at[self.last_rotated]
        self.used_at = at[self.used]
        self.region_at = at[f"{prefix}last_used_region"]
        self.service_at = at[f"{prefix}last_used_service"]

    def empty(self, row: list[str]) -> bool:
        """Whether AWS's own words say that there is no key. Most slots do: a short cut."""
        return row[self.rotated_at] == row[self.used_at] == "N/A" and row[self.active_at] == "false"


def _unreadable_user(name: str) -> ReportUser:
    """Make a user of whom only the name is known: there may be keys in both slots."""
    return ReportUser(name, slots=(_UNREADABLE, _UNREADABLE))


def _word(cell: str) -> str | None:
    """Return a region or service, None for AWS's words for nothing."""
    return None if cell in _NOTHING else cell.strip() or None


def _says_more(cell: str) -> bool:
    """Whether `additional_credentials_info` tells of keys or certificates beyond two of each."""
    word = cell.strip()
    return word not in _NOTHING and word.lower() != "false" and word.strip("0") != ""


class _Envelope(msgspec.Struct, rename="pascal"):
    """What `aws iam get-credential-report` prints (`Content` is base64), or a dump of boto3's answer."""

    content: str
    generated_time: datetime | None = None
    report_format: str = "text/csv"


def parse_report_document(data: bytes) -> CredentialReport:
    """Read a saved credential report: the JSON that the AWS CLI prints, its CSV, or that in base64.

    Only the JSON says when AWS made it (`generated_at`). Raises AnswerError.
    """
    text = data.lstrip()
    if text.startswith(b"\xef\xbb\xbf"):
        text = text[3:].lstrip()
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = _decode(text).lstrip("\ufeff").strip().encode()
    if text.startswith(b"{"):
        return _parse_envelope(text)
    if re.fullmatch(rb"[A-Za-z0-9+/\s]+={0,2}\s*", text):
        return parse_report(_from_base64(text))
    return parse_report(text)


def _parse_envelope(data: bytes) -> CredentialReport:
    """Open the JSON envelope; its time is ISO 8601 or, by a setting of the CLI, an epoch number."""
    try:
        envelope = msgspec.json.decode(data, type=_Envelope, strict=False)
    except NOT_JSON as error:
        raise AnswerError(f"not the JSON of a credential report: {error}", _HINT) from None
    if envelope.report_format != "text/csv":
        raise AnswerError(f"the report's format is {visible(envelope.report_format)}", _HINT)
    moment = envelope.generated_time
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return parse_report(_content(envelope.content), moment)


def _content(content: str) -> bytes:
    """Return the CSV: base64 has no commas, and `json.dump(..., default=str)` writes b'...'."""
    if content.startswith(("b'", 'b"')):
        try:
            return bytes(ast.literal_eval(content))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise AnswerError("the report's content is not Python's bytes", _HINT) from None
    return content.encode() if "," in content else _from_base64(content.encode())


def _from_base64(text: bytes) -> bytes:
    """Decode base64, lines broken or not."""
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        raise AnswerError("the report's content is not base64", _HINT) from None
