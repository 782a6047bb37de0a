"""Tables in a terminal: nothing hostile gets through, and what is cut says so."""

import io

from rich.console import Console

from birthright.tables import add_row, fixed, grid, keys_table, number, table


def printed(what: object, width: int = 40) -> str:
    """Print to text."""
    out = io.StringIO()
    Console(file=out, width=width).print(what)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def test_text_folds_and_the_rest_stays_on_its_line() -> None:
    """Numbers stand on the right; a cell that cannot be broken ends with an ellipsis where it is cut."""
    made = table("user", fixed("account"), number("keys"))
    add_row(made, "ann-of-the-long-name", "111122223333", "7")
    assert printed(made, 28).splitlines() == [
        "user      account       keys",
        "ann-of-t  111122223333     7",
        "he-long-",
        "name",
    ]
    assert "…" in printed(made, 16)


def test_what_is_hostile_is_shown_as_escapes() -> None:
    """Neither control characters nor the terminal library's own markup do anything."""
    made = grid("", "")
    add_row(made, "\x1b[31m", "[bold]x[/bold]")
    assert printed(made) == "\\x1b[31m  [bold]x[/bold]"


def test_half_an_access_key_id_is_never_shown() -> None:
    """However narrow the terminal: its other columns fold."""
    made = keys_table("user", "access key", "why")
    add_row(made, "ann", "AKIAIOSFODNN7EXAMPLE", "created 2 s after its user")
    assert "AKIAIOSFODNN7EXAMPLE" in printed(made, 30)
