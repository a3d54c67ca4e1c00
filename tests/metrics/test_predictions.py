"""Every kind of bad input is named; every good label type, container and layout gives the same predictions."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sksoft.metrics.predictions import ROW_SUM_TOLERANCE, check_predictions, check_probabilities

P3 = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.3, 0.6, 0.1], [0.4, 0.3, 0.3]])
Y3 = np.array([0, 2, 1, 0])
P1 = np.array([0.1, 0.9, 0.6, 0.2])


def changed(proba, position, value):
    proba = proba.copy()
    proba[position] = value
    return proba


@pytest.mark.parametrize(
    ("y", "proba", "options", "message"),
    [
        (Y3, changed(P3, (1, 1), np.nan), {}, "NaN or infinity: row 1"),
        (Y3, changed(P3, (2, 0), np.inf), {}, "NaN or infinity: row 2"),
        (Y3, changed(P3, (2, 0), -np.inf), {}, "NaN or infinity: row 2"),
        (Y3, changed(P3, (3, slice(None)), [1.2, -0.1, -0.1]), {}, "negative: row 3 has -0.1"),
        (Y3, changed(P3, (0, 0), 0.6), {}, "sum to 1 within 0.001: row 0 sums to 1.1"),
        (Y3, P3[:3], {}, "inconsistent numbers of samples"),
        (Y3, P3[:, :1], {}, "at least two classes"),
        (Y3, P3[None], {}, r"Got shape \(1, 4, 3\)"),
        (Y3, P3.astype(str), {}, "y_proba must hold numbers"),
        (Y3, np.array([["a"] * 3] * 4, dtype=object), {}, "y_proba must hold numbers"),
        (Y3, P3.astype(complex), {}, "y_proba must hold numbers"),
        ([0, 0, 1, 0], P3, {}, "2 distinct labels and y_proba 3 columns"),
        ([0, 0, 0, 0], P3, {}, "1 distinct labels and y_proba 3 columns"),
        (Y3, P3, {"labels": [0, 1]}, "name the 3 classes"),
        (Y3, P3, {"labels": [0, 1, 1]}, "distinct labels"),
        (Y3, P3, {"labels": [0, 1, 3]}, r"unknown label .*2.* in row 1; the classes are \[0, 1, 3\]"),
        (["a", None, "b", "c"], P3, {}, "missing label in row 1"),
        ([0.0, 1.0, np.nan, 2.0], P3, {}, "missing label in row 2"),
        (np.array([["a", "b"]] * 4), P3, {}, "1d array"),
        ([], np.empty((0, 3)), {}, "0 sample"),
        (Y3, P3, {"sample_weight": [1, 1, -1, 1]}, "[Nn]egative"),
        (Y3, P3, {"sample_weight": [0, 0, 0, 0]}, "sample_weight|zero"),
        (Y3, P3, {"sample_weight": [1, 1, np.nan, 1]}, "NaN"),
        (Y3, P3, {"sample_weight": [1, 1, 1]}, r"sample_weight.*shape"),
        ([0, 1, 1, 0], changed(P1, 2, np.nan), {}, "NaN or infinity: row 2"),
        ([0, 1, 1, 0], changed(P1, 2, -np.nan), {}, "NaN or infinity: row 2"),
        ([0, 1, 1, 0], changed(P1, 3, -0.2), {}, r"\[0, 1\]: row 3 is -0.2"),
        ([0, 1, 1, 0], changed(P1, 0, np.nextafter(1, 2)), {}, r"\[0, 1\]: row 0"),
        ([0, 1, 2, 0], P1, {}, "one of two classes"),
        (["a", "b", "b", "a"], P1, {}, "'pos_label' is not specified"),
        ([5, 5, 5, 5], P1, {}, "'pos_label' is not specified"),
        (["a", "b", "b", "a"], P1, {"pos_label": "c"}, "'c' is not a valid label"),
        (["a", "b", "b", "a"], P1, {"labels": ["a", "c"]}, "unknown label"),
    ],
)
def test_bad_input_is_named(y, proba, options, message):
    with pytest.raises(ValueError, match=message):
        check_predictions(y, proba, **options)


@pytest.mark.parametrize(
    "names",
    [[0, 1, 2], [1, 2, 3], [-3, -1, 4], [10, 200, 30_000], ["a", "b", "c"], [0.5, 1.5, 2.5]],
)
@pytest.mark.parametrize("container", [np.array, list, pd.Series, pl.Series, pd.Categorical])
def test_labels_of_any_type_are_the_columns_in_sorted_order(names, container):
    predictions = check_predictions(container([names[code] for code in Y3]), P3)
    np.testing.assert_array_equal(predictions.codes, Y3)
    assert predictions.classes.tolist() == names


def test_labels_name_the_columns_in_their_order():
    predictions = check_predictions(["c", "b", "a", "c"], P3, labels=["c", "a", "b"])
    np.testing.assert_array_equal(predictions.codes, [0, 2, 1, 0])


@pytest.mark.parametrize("container", [pd.DataFrame, np.asfortranarray, np.ndarray.tolist, pl.DataFrame])
def test_probabilities_in_any_container(container):
    predictions = check_predictions(Y3, container(P3))
    np.testing.assert_array_equal(predictions.proba, P3)
    np.testing.assert_array_equal(predictions.top_label[0], P3.argmax(axis=1))
    np.testing.assert_array_equal(predictions.top_label[1], P3.max(axis=1))


@pytest.mark.parametrize(
    ("y", "options"),
    [
        ([0, 1, 1, 0], {}),
        ([False, True, True, False], {}),
        ([0.0, 1.0, 1.0, 0.0], {}),
        ([-1, 1, 1, -1], {}),
        ([1, 2, 2, 1], {}),
        (["n", "y", "y", "n"], {"pos_label": "y"}),
        (["y", "n", "n", "y"], {"pos_label": "n"}),
        (["n", "y", "y", "n"], {"labels": ["n", "y"]}),
        (["y", "n", "n", "y"], {"labels": ["y", "n"]}),
        (["y", "n", "n", "y"], {"labels": ["n", "y"], "pos_label": "n"}),
        ([1, 0, 0, 1], {"pos_label": 0}),
        ([True, False, False, True], {"pos_label": False}),
    ],
)
def test_binary_labels_of_any_type(y, options):
    np.testing.assert_array_equal(check_predictions(y, P1, **options).codes, [0, 1, 1, 0])


@pytest.mark.parametrize(
    ("y", "options", "code"),
    [
        ([1] * 4, {}, 1),
        ([0] * 4, {}, 0),
        ([-1] * 4, {}, 0),
        ([True] * 4, {}, 1),
        (["a"] * 4, {"pos_label": "a"}, 1),
        (["a"] * 4, {"pos_label": "b"}, 0),
        (["a"] * 4, {"labels": ["a", "b"]}, 0),
    ],
)
def test_one_class_alone_of_a_binary_problem(y, options, code):
    np.testing.assert_array_equal(check_predictions(y, P1, **options).codes, [code] * 4)


def test_rows_may_miss_one_by_the_tolerance_and_confidence_stays_a_probability():
    proba = np.array([[1.0 + 0.9 * ROW_SUM_TOLERANCE, 0.0], [0.0, 1.0 - 0.9 * ROW_SUM_TOLERANCE]])
    assert check_predictions([0, 1], proba).top_label[1].max() == 1.0


def test_negative_zeros_are_zeros():
    assert check_predictions([0, 1, 1, 0], changed(P1, 0, -0.0)).proba[0] == 0
    proba = np.array([[-0.0, 1.0], [1.0, -0.0]])
    np.testing.assert_array_equal(check_predictions([0, 1], proba).top_label[0], [1, 0])


def test_single_precision_stays_and_other_numbers_become_double():
    assert check_predictions(Y3, P3.astype(np.float32)).proba.dtype == np.float32
    assert check_predictions([0, 1], np.array([0, 1])).proba.dtype == np.float64
    assert check_predictions([0, 1], np.array([0, 1], dtype=np.float16)).proba.dtype == np.float64


def test_rows_of_weight_zero_are_removed():
    predictions = check_predictions(Y3, P3, sample_weight=[1.0, 0.0, 2.0, 0.0])
    np.testing.assert_array_equal(predictions.codes, Y3[[0, 2]])
    np.testing.assert_array_equal(predictions.proba, P3[[0, 2]])
    np.testing.assert_array_equal(predictions.weights, [1.0, 2.0])
    np.testing.assert_array_equal(predictions.kept, [True, False, True, False])
    np.testing.assert_array_equal(predictions.top_label[1], P3.max(axis=1)[[0, 2]])


def test_a_tie_at_one_half_predicts_the_first_class_as_argmax_does():
    assert check_predictions([0, 1], np.array([0.5, 0.6])).top_label[0].tolist() == [0, 1]


def test_probabilities_alone():
    np.testing.assert_array_equal(check_probabilities(P3.tolist()), P3)
    with pytest.raises(ValueError, match="0 sample"):
        check_probabilities(np.empty((0, 2)))
    with pytest.raises(ValueError, match="row 0"):
        check_probabilities([[0.5, 0.6]])


@pytest.mark.parametrize("extreme", [1e200, 1e-200, 5e-324])
def test_weights_whose_squares_overflow_or_vanish_are_refused(extreme):
    with pytest.raises(ValueError, match=r"'sample_weight' parameter must hold zeros and numbers from .* in row 1"):
        check_predictions([0, 1, 1], [0.2, 0.7, 0.9], sample_weight=[1.0, extreme, 0.0])


def test_weights_that_are_no_numbers_are_named():
    for weights in (["a", "b"], [None, 1.0], np.array([{}, 1.0], dtype=object)):
        with pytest.raises(ValueError, match="sample_weight"):
            check_predictions([0, 1], [0.2, 0.7], sample_weight=weights)
