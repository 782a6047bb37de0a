"""What databases say when something is wrong, as one line that helps; nothing else catches their errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from birthright.errors import JournalError

# A word of the database's -> what to do. The first that is found counts.
_HINTS = (
    ("disk is full", "free some space on that disk"),
    ("No space left", "free some space on the server's disk"),
    ("disk I/O error", "the disk is full or failing, or files may not grow any more (ulimit -f)"),
    ("readonly", "you may not write there: choose another place or change its permissions"),
    ("read-only", "you may not write there: choose another place or change its permissions"),
    ("unable to open", "you may not write there: choose another place or change its permissions"),
    ("permission denied", "ask for the right to use this database"),
    ("not a database", "it is no journal, or it is damaged: name another, or bring back a copy"),
    ("malformed", "it is damaged: bring back a copy"),
    ("decode to UTF-8", "it is damaged: bring back a copy"),
    ("database is locked", "another program has been writing to it for long: try again when it has ended"),
    ("lock timeout", "another program has been writing to it for long: try again when it has ended"),
    ("authentication", "check the user and the password"),
    ("does not exist", "check the names in the URL"),
    ("onnection", "check that the server runs and can be reached"),
)


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn what a database raises into a JournalError; `place` is how the journal is called in it.

    The database's own exception is not kept: it may hold the values that were to be written.
    """
    try:
        yield
    except SQLAlchemyError as error:
        said = _said(error)
        hint = next((hint for word, hint in _HINTS if word in said), "")
        raise JournalError(f"the journal {place}: {said}", hint) from None
    except UnicodeEncodeError:
        raise JournalError(
            f"the journal {place} keeps text, and this is none", "write names, tickets and reasons in UTF-8"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise damaged(place, str(error)) from None


def damaged(place: str, what: str) -> JournalError:
    """Return the error for a journal that holds what birthright never wrote."""
    return JournalError(f"the journal {place} is damaged: {what}", "see 'birthright journal verify'")


def _said(error: SQLAlchemyError) -> str:
    """Return the first line of what the database itself said."""
    source = error.orig if isinstance(error, DBAPIError) and error.orig else error
    lines = [line.strip() for line in str(source).splitlines() if line.strip()]
    return lines[0].rstrip(":.") if lines else type(source).__name__
