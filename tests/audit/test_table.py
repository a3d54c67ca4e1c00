"""Reading tables: places are named, nothing but UnusableInput comes out, whatever the bytes."""

import csv
import gzip
import hashlib
import io
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sksoft.audit.table import UnusableInput, listed, read_table, shown


def everything(header):
    return [name for name in header if name]


@pytest.fixture
def read(tmp_path):
    def read_(content, **options):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, everything, **options)

    return read_


def test_columns_rows_and_hash(read):
    content = b'a,b\n1,"x, y"\n2,"two\nlines"\n'
    table = read(content)
    assert table.columns == {"a": ["1", "2"], "b": ["x, y", "two\nlines"]}
    assert (table.n_rows, table.n_bytes, table.name) == (2, len(content), "table.csv")
    assert table.sha256 == hashlib.sha256(content).hexdigest()


def test_only_chosen_columns_are_kept(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n1,2,3\n")
    assert read_table(path, lambda header: ["c"]).columns == {"c": ["3"]}


def test_gzip(read):
    assert read(gzip.compress(b"a\n1\n")).columns == {"a": ["1"]}


def test_blank_lines_and_wrong_widths(read):
    table = read("a,b\n\n1,2\n3\n4,5,6\n\n\n")
    assert table.broken == {
        0: "the line is blank",
        2: "it has 1 fields and the header 2",
        3: "it has 3 fields and the header 2",
    }
    assert table.columns == {"a": ["", "1", "", ""], "b": ["", "2", "", ""]}


def test_delimiters_inside_quotation_marks_do_not_count(read):
    assert read('"a,b,c";d\n1;2\n').columns == {"a,b,c": ["1"], "d": ["2"]}


def test_trailing_commas_make_no_duplicate(read):
    assert read("a,b,,\n1,2,,\n").columns == {"a": ["1"], "b": ["2"]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"a,a\n1,2\n", "more than one column named 'a'"),
        (b"a,b\n1,2\n3,\xff\n", "line 3"),
        (b"a,b\n1,2\n3,4\xc3", "line 3"),
        (b'a,b\n1,"2\n', "line 2: a quotation mark is opened and not closed"),
        (b'a,b\n1,"2"x\n', "line 2"),
        (b"\xff\xfea\x00\n", "utf-16"),
        (b"a\x00,\x00b\x00\n\x00", "the character NUL"),
        (b"a,b\r1,2\r3,4", "a carriage return does not end a line"),
    ],
)
def test_unusable(read, content, says):
    with pytest.raises(UnusableInput) as caught:
        read(content)
    assert says in str(caught.value)
    assert "table.csv" in str(caught.value)


def test_field_too_long_is_refused(read):
    with pytest.raises(UnusableInput, match="field larger than field limit"):
        read("a,b\n1," + "x" * 200_000)


def test_progress_is_told(read):
    told = []
    read("a\n" + "1\n" * 200_001, on_rows=told.append)
    assert told == [200_000]


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "t.anything"
    pd.DataFrame({"a": [1.5, None], "b": ["x", None], "c": [1, 2]}).to_parquet(path)
    table = read_table(path, lambda header: ["b", "a"])
    assert list(table.columns) == ["b", "a"]
    np.testing.assert_array_equal(table.columns["a"], [1.5, np.nan])
    assert table.columns["b"][0] == "x"


def test_parquet_keeps_whole_numbers_beside_missing_ones(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": pa.array([2**60, 2**60 + 1, None])}), path)
    assert read_table(path, everything).columns["id"].tolist() == [2**60, 2**60 + 1, None]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnusableInput, match="a pipe or device cannot be read twice"):
        read_table(tmp_path / "pipe", everything)


def test_parquet_with_a_name_twice(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    with pytest.raises(UnusableInput, match="more than one column named 'a'"):
        read_table(path, everything)


def test_messages_stay_on_one_line():
    assert shown("a\nb") == r"'a\nb'"
    assert len(shown("x" * 1000)) <= 40
    assert listed(range(20), 2) == "'0', '1', … (20 in all)"


fuzz = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LIKELY = st.text(st.sampled_from('ab01.,;|\t\n\r" \x00é\ufeff😀'), max_size=80)


@fuzz
@given(
    st.one_of(st.binary(max_size=200), LIKELY.map(lambda text: text.encode()), LIKELY.map(lambda t: t.encode("utf-16")))
)
def test_any_bytes_give_a_table_or_unusable_input(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    try:
        table = read_table(path, everything)
    except UnusableInput as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert all(len(column) == table.n_rows for column in table.columns.values())


@fuzz
@given(st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=2), max_size=8), st.sampled_from(",;\t|"))
def test_what_csv_writes_is_what_is_read(tmp_path, rows, delimiter):
    text = io.StringIO()
    # Python below 3.13 writes a carriage return without quotation marks, which nobody could read back.
    quoting = csv.QUOTE_ALL if any("\r" in cell for row in rows for cell in row) else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=quoting).writerows([["a", "b"], *rows])
    path = tmp_path / "t.csv"
    path.write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    try:
        table = read_table(path, everything)
    except UnusableInput:
        assert any("\ud800" <= letter <= "\udfff" for row in rows for cell in row for letter in cell)
    else:
        assert [list(row) for row in zip(*table.columns.values())] == rows
