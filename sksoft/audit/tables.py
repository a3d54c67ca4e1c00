"""How the tables of the report begin and what they say when they are cut."""

from sksoft.audit.formatting import count
from sksoft.audit.markup import Column

# More rows would make the page heavy and would not be read; JSON and CSV hold all.
MOST_ROWS = 120


def text_columns(*names: str) -> list[Column]:
    """Columns of text with these headings."""
    return [Column(name, numeric=False) for name in names]


def number_columns(*names: str) -> list[Column]:
    """Columns of numbers with these headings."""
    return [Column(name) for name in names]


def shown_of(shown: int, total: int, what: str) -> str:
    """Say that not everything is shown; '' where it is."""
    return f" {count(shown)} of {count(total)} {what} shown; JSON and CSV hold all." if shown < total else ""
