"""The kinds of subject that rules judge. `SUBJECTS` is the registry: a new kind is one entry in it.

A page names its subject in its front matter. From the entry come the columns that its rule must return, the
AWS reads it needs, how a subject is named, and the rows of the page's tests.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from birthright.facts.model import ACTIVE, Principal

# When the user of a page's test was created, unless the test says otherwise.
BORN = datetime(2026, 1, 1, tzinfo=UTC)

# Returns the columns of a fact that a test leaves out, given its user, its index, the columns that the test
# gives, and the test's timestamp.
CaseFact = Callable[[Principal, int, Mapping[str, Any], datetime], dict[str, Any]]

_REPORT = "GetCredentialReport"

# The types of DuckDB that fit a column's place in a Row.
_TIME = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"})
_INTEGER = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT"})
BOOLEAN = frozenset({"BOOLEAN"})
TEXT = frozenset({"VARCHAR"})
# The columns of everything that belongs to a user.
USER: Mapping[str, frozenset[str]] = {
    "account_id": TEXT,
    "user_name": TEXT,
    "user_arn": TEXT,
    "is_root": BOOLEAN,
    "console_password": BOOLEAN,
}
_KEY: Mapping[str, frozenset[str]] = {
    "access_key_id": TEXT,
    "slot": _INTEGER,
    "status": TEXT,
    "created_at": _TIME,
    "created_source": TEXT,
    "user_created_at": _TIME,
    "ever_used": BOOLEAN,
    "last_used_at": _TIME,
    "last_used_region": TEXT,
    "last_used_service": TEXT,
    "last_used_source": TEXT,
}


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of subject.

    name: as front matter writes it. label: what one is called in a sentence.
    columns: what a rule must return beside `compliant`, each with the types that are accepted. fields: the
    columns that stand in another field of a Row. id_column: the column that names one.
    needs: the AWS reads of which one must have been answered, unless the page names others. is_key: it is an
    access key, which can be retired, and is waived by its id.
    table: the fact table whose rows are the subjects; None: what is judged is the user or the account itself,
    so that a page's test expects one verdict. case: see CaseFact.
    """

    name: str
    label: str
    columns: Mapping[str, frozenset[str]]
    fields: Mapping[str, str] = {}
    id_column: str = ""
    needs: tuple[str, ...]
    is_key: bool = False
    table: str | None = None
    case: CaseFact = lambda *_: {}

    @property
    def places(self) -> dict[str, str]:
        """The column that fills each field of a Row."""
        own = {} if self.is_key or not self.id_column else {self.id_column: "subject_id"}
        return {{**own, **self.fields}.get(name, name): name for name in self.columns}


def case_of(table: str) -> CaseFact:
    """Return how tests fill in the facts of a table."""
    return next((one.case for one in SUBJECTS.values() if one.table == table), lambda *_: {})


def add_subject(subject: Subject) -> None:
    """Register a kind of subject. Raises ValueError if there is one of that name."""
    if subject.name in SUBJECTS:
        raise ValueError(f"there is already a subject {subject.name}")
    SUBJECTS[subject.name] = subject


def remove_subject(name: str) -> None:
    """Take a kind of subject out of the registry."""
    del SUBJECTS[name]


def _case_key(user: Principal, place: int, given: Mapping[str, Any], as_of: datetime) -> dict[str, Any]:
    """Return an active key in use, a day younger than its user. No id of root's keys is ever read."""
    used = given.get("ever_used", True) is True
    return {
        "access_key_id": None if user.is_root else f"AKIA{user.account_id}{place + 1:04}",
        "slot": place + 1 if place < 2 else None,  # noqa: PLR2004
        "status": ACTIVE,
        "created_at": (user.created_at or BORN) + timedelta(days=1),
        "created_source": "report" if user.is_root else "listing",
        "ever_used": True,
        "last_used_at": as_of - timedelta(days=1) if used else None,
        "last_used_region": "us-east-1" if used else None,
        "last_used_service": "s3" if used else None,
        "last_used_source": "report",
    }


SUBJECTS: dict[str, Subject] = {
    subject.name: subject
    for subject in (
        Subject(
            name="access-key",
            label="key",
            columns={**USER, **_KEY},
            needs=(_REPORT, "ListAccessKeys"),
            is_key=True,
            table="access_keys",
            id_column="access_key_id",
            case=_case_key,
        ),
        Subject(
            name="principal",
            label="user",
            columns={**USER, "created_at": _TIME},
            fields={"created_at": "user_created_at"},
            needs=(_REPORT,),
        ),
        Subject(name="account", label="account", columns={"account_id": TEXT}, needs=(_REPORT, "ListUsers")),
    )
}
