"""The tables that people read in a terminal: no lines, dim headings, long words folded.

A column given by its name holds text; `fixed` and `number` make the others.
"""

from rich.table import Column, Table
from rich.text import Text

from birthright.text import printable

GAP = 2  # columns between two cells
_KEY_ID = 20
_ONE_LINE = frozenset({"account", "access key", "created", "last used", "first seen", "next"})


def table(*columns: str | Column, gap: int = GAP, heading: str = "dim") -> Table:
    """Make a table; `heading` is the headings' style."""
    made = (Column(one, overflow="fold") if isinstance(one, str) else one for one in columns)
    return Table(*made, box=None, padding=(0, gap, 0, 0), header_style=heading, pad_edge=False)


def grid(*columns: str | Column) -> Table:
    """Make a table without headings."""
    made = table(*columns)
    made.show_header = False
    return made


def keys_table(*names: str) -> Table:
    """Make a table of access keys: their ids stay whole, accounts and times on one line."""
    made = table(*(fixed(name) if name in _ONE_LINE else name for name in names))
    for column in made.columns:
        column.min_width = _KEY_ID if column.header == "access key" else None
    return made


def fixed(name: str = "") -> Column:
    """Make a column whose cells stay on one line."""
    return Column(name, no_wrap=True)


def number(name: str = "") -> Column:
    """Make a column of numbers, on the right."""
    return Column(name, justify="right", no_wrap=True)


def add_row(to: Table, *cells: str | Text, style: str = "") -> None:
    """Add a row; what cannot be seen in a text is shown as escapes."""
    to.add_row(*(Text(printable(cell), style) if isinstance(cell, str) else cell for cell in cells))
