"""A file's schema names its kind and its version."""

import pytest

from birthright.versioned import check_version, version_of

OWN = "birthright.plan/2"


@pytest.mark.parametrize(
    ("schema", "version"),
    [
        ("birthright.plan/1", 1),
        ("birthright.plan/2", 2),
        ("birthright.plan/999999999", 999_999_999),
        ("birthright.plan", None),
        ("birthright.plan/", None),
        ("birthright.plan/-1", None),
        ("birthright.plan/1/2", None),
        ("birthright.plan/1\n", None),
        ("birthright.plan/\u0661", None),
        ("birthright.plan/1234567890", None),
        ("birthright.scan/1", None),
        ("", None),
    ],
)
def test_a_version_is_a_short_number_after_the_kind(schema: str, version: int | None) -> None:
    """Whatever else stands there is not ours."""
    assert version_of(schema, OWN) == version


def test_older_ones_are_read_and_others_are_refused() -> None:
    """Each of the two faults has its error."""
    other, newer = KeyError("other"), ValueError("newer")
    for schema in ("birthright.plan/1", OWN):
        check_version(schema, OWN, other, newer)
    with pytest.raises(ValueError, match="newer"):
        check_version("birthright.plan/3", OWN, other, newer)
    with pytest.raises(KeyError, match="other"):
        check_version("birthright.scan/1", OWN, other, newer)
