"""Markup: what is not markup is escaped, wherever it stands."""

from hypothesis import given
from hypothesis import strategies as st

from sksoft.audit.markup import Column, Markup, escape, joined, table, tag


def test_elements():
    assert tag("p", "a < b", tag("b", "c"), class_="x") == '<p class="x">a &lt; b<b>c</b></p>'
    assert tag("line", x1=1.0, x2=2.34, stroke_width=None) == '<line x1="1" x2="2.3"/>'
    assert tag("p", title='"><script>') == '<p title="&quot;&gt;&lt;script&gt;"></p>'


def test_adding_to_markup_makes_text_again():
    assert joined([Markup("<b>") + "<i>"]) == "&lt;b&gt;&lt;i&gt;"


def test_table():
    text = table("C", [Column("A", numeric=False), Column("B")], ["part", ["<", 1]])
    assert '<th colspan="2" scope="rowgroup">part</th>' in text
    assert '<td class="txt">&lt;</td><td class="num">1</td>' in text


@given(st.text())
def test_escaped_text_holds_no_markup(text):
    escaped = escape(text)
    assert not set("<>\"'") & set(escaped)
    assert escape(escaped) is escaped
    escaped.encode("utf-8")
