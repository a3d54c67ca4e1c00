"""HTML and SVG built from functions: every text that is not :class:`Markup` is escaped, without exception."""

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

# What XML forbids, what would break out of a line of text, and what turns the direction of writing around.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_VOID = {"meta", "br", "hr", "circle", "rect", "line", "path", "polyline", "polygon"}


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def escape(text) -> Markup:
    """Text as markup that shows it; Markup stays as it is."""
    if isinstance(text, Markup):
        return text
    return Markup(html.escape(_UNPRINTABLE.sub("\ufffd", str(text)), quote=True))


def tag(element: str, /, *children, **attributes) -> Markup:
    """An element. ``class_`` is the attribute ``class``, ``stroke_width`` is ``stroke-width``; None leaves one out."""
    opened = element + "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if element in _VOID and not children:
        return Markup(f"<{opened}/>")
    return Markup(f"<{opened}>{joined(children)}</{element}>")


def joined(parts: Iterable, separator: str = "") -> Markup:
    """Parts one after the other, those that are no markup escaped."""
    return Markup(separator.join(escape(part) for part in parts))


def _plain(value):
    """Coordinates with one decimal at most: a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, whether it holds numbers, and a group of columns it belongs to."""

    heading: str
    numeric: bool = True


def table(caption, columns: list[Column], rows: Iterable, class_: str = "") -> Markup:
    """A table with a caption.

    A row is a list of cells, text or markup; or one text, the heading of the rows that follow it.
    """
    classes = ["num" if column.numeric else "txt" for column in columns]
    head = joined(tag("th", c.heading, class_=k, scope="col") for c, k in zip(columns, classes))

    def line(row) -> Markup:
        if isinstance(row, str):
            return tag("tr", tag("th", row, colspan=len(columns), scope="rowgroup"), class_="part")
        return tag("tr", joined(tag("td", cell, class_=k) for cell, k in zip(row, classes)))

    content = tag("caption", caption), tag("thead", tag("tr", head)), tag("tbody", joined(map(line, rows), "\n"))
    return tag("div", tag("table", *content, class_=class_ or None), class_="scroll")
