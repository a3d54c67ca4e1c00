"""Which column means what, and which rows cannot be used."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sksoft.audit.predictions_file import (
    MISSING,
    Request,
    _proba_columns,
    as_numbers,
    as_text,
    canonical,
    groups_as_text,
    load_predictions,
    match_labels,
    split_list,
    usual_positive,
)
from sksoft.audit.table import UnusableInput


@pytest.mark.parametrize(
    ("header", "pattern", "columns", "names"),
    [
        (["y", "p_a", "p_b"], "p_*", ["p_a", "p_b"], ["a", "b"]),
        (["a_prob", "b_prob"], "*_prob", ["a_prob", "b_prob"], ["a", "b"]),
        (["p_a", "p_ab"], "p_a,p_ab", ["p_a", "p_ab"], ["a", "ab"]),
        (["no", "yes"], "yes,no", ["yes", "no"], ["yes", "no"]),
        (["p_low_1", "p_low_2"], "p_low_1, p_low_2", ["p_low_1", "p_low_2"], ["1", "2"]),
        (["p[0]", "p[1]"], "p[0],p[1]", ["p[0]", "p[1]"], ["p[0]", "p[1]"]),
        (["p,x", "q"], '"p,x",q', ["p,x", "q"], ["p,x", "q"]),
        (["p_*", "p_a"], "p_*", ["p_*"], ["p_*"]),
        (["p1", "p2", "p3"], "p[12]", ["p1", "p2"], ["1", "2"]),
        (["P_a", "p_a"], "p_*", ["p_a"], ["a"]),
    ],
)
def test_class_of_a_column(header, pattern, columns, names):
    assert _proba_columns(header, pattern, set()) == (columns, names)


def test_glob_leaves_out_columns_that_mean_something_else():
    assert _proba_columns(["p_true", "p_a", "p_b"], "p_*", {"p_true"})[0] == ["p_a", "p_b"]


@pytest.mark.parametrize(
    ("text", "same"),
    [("1", "1.0"), ("01", "1"), ("1e0", "1"), ("TRUE", "true"), ("False", "false"), ("-1", "-1.0"), ("0.50", ".5")],
)
def test_canonical_merges(text, same):
    assert canonical(text) == canonical(same)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("1", "2"),
        ("a", "A"),
        ("9007199254740993", "9007199254740992"),
        ("true", "1"),
        ("", "0"),
        ("inf", "nan"),
        ("1", "1 a"),
        ("1_0", "10"),
    ],
)
def test_canonical_keeps_apart(text, other):
    assert canonical(text) != canonical(other)


def test_exact_match_comes_before_a_loose_one():
    assert match_labels(["1", "1.0", "2", "x"], ["1.0", "1"]) == {"1": 1, "1.0": 0}


@pytest.mark.parametrize(
    ("labels", "positive"),
    [(["0", "1"], "1"), (["1.0", "0.0"], "1.0"), (["-1", "1"], "1"), (["False", "True"], "True"), (["a", "b"], None)],
)
def test_usual_positive(labels, positive):
    assert usual_positive(labels) == positive


def test_numbers():
    values, wrong = as_numbers(["1", " .5 ", "1e-3", "nan", "1_0", "0,5", "", None, "١"])
    np.testing.assert_array_equal(values[[0, 1, 2, 8]], [1, 0.5, 1e-3, 1])
    np.testing.assert_array_equal(wrong, [False, False, False, False, True, True, True, False, False])
    assert as_numbers(np.array([True, False]))[0].tolist() == [1, 0]


def test_texts_of_typed_columns():
    column = np.array(["a ", None, np.nan, 1.0, True, pd.NA, pd.NaT, ["x"]], dtype=object)
    assert as_text(column) == ["a", "", "", "1.0", "True", "", "", "['x']"]
    assert groups_as_text(column).tolist()[1:3] == [MISSING, MISSING]
    assert as_text(np.array([3, -1])) == ["3", "-1"]


def test_lists():
    assert split_list('a, "b,c",d', "--group") == ["a", "b,c", "d"]
    for text in ("a,,b", "a,", '"a', "a,a"):
        with pytest.raises(UnusableInput, match="--group"):
            split_list(text, "--group")


def test_single_column_takes_its_class_from_its_name(write_csv):
    path = write_csv([["no", "0.2"], ["yes", "0.9"], ["no", "0.4"]], header=("y", "p_yes"))
    found = load_predictions(path, Request("y", "p_*"))
    assert (found.labels, found.pos_label) == (["no", "yes"], "yes")
    np.testing.assert_array_equal(found.y_proba, [0.2, 0.9, 0.4])
    assert found.y_true.tolist() == ["no", "yes", "no"]


def test_single_column_of_three_labels_is_refused(write_csv):
    path = write_csv([["0", "0.2"], ["1", "0.9"], ["2", "0.4"]], header=("y", "p"))
    with pytest.raises(UnusableInput, match="holds 3 labels"):
        load_predictions(path, Request("y", "p"))


def test_every_row_bad_in_the_label_column(write_csv):
    path = write_csv([["", "0.2"], ["", "0.9"]], header=("y", "p"))
    with pytest.raises(UnusableInput, match="holds no label"):
        load_predictions(path, Request("y", "p", bad_rows="exclude"))


def test_rows_keep_their_order_and_numbers(write_csv):
    rows = [["0", "0.2", "F"], ["1", "x", "M"], ["1", "0.8", ""], ["0", "1.2", "F"], ["1", "0.6", "M"]]
    found = load_predictions(write_csv(rows, header=("y", "p", "g")), Request("y", "p", group="g", bad_rows="exclude"))
    assert found.exclusions.rows[["row", "reason", "value"]].to_numpy().tolist() == [
        [2, "not a number", "'x'"],
        [4, "probability above 1", "'1.2'"],
    ]
    assert found.sensitive_features["g"].tolist() == ["F", MISSING, "M"]
    assert found.y_proba.tolist() == [0.2, 0.8, 0.6]


cells = st.one_of(
    st.sampled_from(["0", "1", "0.5", "nan", "", "inf", "-1", "a", "1e999", "0x1", "{}"]), st.text(max_size=4)
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(cells, cells, cells, cells, cells), max_size=12),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["p_*", "p_0"]),
)
def test_any_cells_give_predictions_or_unusable_input(write_csv, rows, exclude, logits, proba):
    path = write_csv(rows, header=("y", "p_0", "p_1", "g", "w"), encoding="utf-8")
    request = Request("y", proba, "g", "w", logits=logits, bad_rows="exclude" if exclude else "stop")
    try:
        found = load_predictions(path, request)
    except UnusableInput as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert np.isfinite(found.y_proba).all()
        assert len(set(found.y_true)) == 2
        assert len(found.y_true) + len(found.exclusions.rows) == found.exclusions.n_rows


def test_times_are_no_numbers_and_their_gaps_are_missing():
    times = np.array(["2020-01-01", "NaT"], dtype="datetime64[us]")
    for column in (times, times - times[0]):
        assert as_numbers(column)[1].all()
        assert as_text(column)[1] == ""


@pytest.mark.parametrize("written", [("1", "1.0", "01"), ("TRUE", "True", "true")])
def test_one_label_written_in_several_ways(tmp_path, written):
    path = tmp_path / "p.csv"
    negative = "0" if written[0] == "1" else "False"
    labels = [written[i % 3] if i % 2 else negative for i in range(12)]
    path.write_text("y,p\n" + "".join(f"{label},0.5\n" for label in labels))
    found = load_predictions(path, Request(y="y", proba="p"))
    assert len(found.labels) == 2
    assert found.y_true.tolist().count(found.pos_label) == 6
