"""Damaged credential reports: whatever happens to the bytes, the parser answers or says AnswerError."""

from collections.abc import Callable

from hypothesis import example, given
from hypothesis import strategies as st

from birthright.errors import AnswerError
from birthright.facts.answers import CredentialReport
from birthright.sources.report import parse_report, parse_report_document

VALID = (
    b"user,arn,user_creation_time,password_enabled,password_last_used,mfa_active,"
    b"access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,"
    b"access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date\n"
    b"<root_account>,arn:aws:iam::111122223333:root,2014-03-01T10:00:00Z,not_supported,"
    b"2026-01-02T03:04:05Z,true,false,N/A,N/A,false,N/A,N/A\r\n"
    b"alice,arn:aws:iam::111122223333:user/alice,2026-01-01T10:00:00+00:00,true,no_information,"
    b'false,true,2026-01-01T10:00:01Z,N/A,"true",2026-02-01T10:00:00Z,2026-03-01T10:00:00Z'
)
SPLICES = [b"", b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"+24:00", b"9999", b"-"]
edits = st.tuples(
    st.integers(0, len(VALID)),
    st.integers(0, 12),
    st.sampled_from(SPLICES) | st.binary(max_size=6),
)


def mutate(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for place, length, splice in changes:
        data = data[:place] + splice + data[place + length :]
    return data


def outcome(read: Callable[[bytes], CredentialReport], data: bytes) -> CredentialReport | str:
    try:
        return read(data)
    except AnswerError as error:
        return str(error)


def read_both(data: bytes) -> None:
    for read in (parse_report, parse_report_document):
        found = outcome(read, data)
        if isinstance(found, str):
            assert found.isprintable()
        else:
            assert all(line.isprintable() for line in found.problems)
            names = [user.user_name for user in found.users]
            assert all(names)
            assert len(names) == len(set(names))


@given(st.lists(edits, min_size=1, max_size=6))
def test_a_mutated_report_is_read_or_refused(changes: list[tuple[int, int, bytes]]) -> None:
    """A report with bytes cut, replaced or added never raises anything but AnswerError."""
    read_both(mutate(VALID, changes))


@given(st.binary(max_size=200))
@example(b"[" * 100_000)
@example(b'{"Content":' * 100_000)
@example(b"\xff\xfe")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Bytes of any kind never raise anything but AnswerError."""
    read_both(data)
