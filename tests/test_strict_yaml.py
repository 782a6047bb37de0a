"""YAML is read strictly, and a fault has the line of the file that it stands in."""

import pytest

from birthright.errors import UsageError
from birthright.strict_yaml import faults, load


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2\n", "page, line 12: 'a' is written twice"),
        ("list:\n- {b: 1, b: 2}\n", "page, line 12: 'b' is written twice"),
        ("a: [1\n", "page, line 12: "),
        ("a: 2026-99-99\n", "page: month must be in 1..12"),
        ("a: !!python/name:os.system\n", "page, line 11: could not determine a constructor"),
        ("a: 1\n---\na: 2\n", "page, line 12: "),
    ],
)
def test_a_fault_has_its_line(text: str, said: str) -> None:
    """The text begins at line 11 of its file; what is wrong is raised as the error that was asked for."""
    with pytest.raises(UsageError) as caught, faults(UsageError, "page", 11):
        load(text)
    assert caught.value.message.startswith(said)


def test_plain_values_are_read() -> None:
    """An alias is the same value again; an empty text is None."""
    with faults(UsageError, "page"):
        assert load("a: &x [1, yes]\nb: *x\n") == {"a": [1, True], "b": [1, True]}
        assert load("# nothing\n") is None
