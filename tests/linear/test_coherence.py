"""What one-vs-rest lacks to be probabilities, against scikit-learn's OneVsRestClassifier and numbers worked by hand."""

import doctest
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpydoc.validate import validate
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier

from sksoft.linear import ovr_incoherence
from sksoft.linear.coherence import _row
from sksoft.metrics import expected_calibration_error


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16.0, y, random_state=0, test_size=0.5)


def test_figures_are_those_of_scikit_learns_models(digits):
    X, X_test, y, y_test = digits
    found = ovr_incoherence(X, y, X_test, y_test, tol=1e-12)
    newton = LogisticRegression(solver="newton-cholesky", tol=1e-10)
    apart, whole = OneVsRestClassifier(newton).fit(X, y), newton.fit(X, y)
    sums = np.sum([e.predict_proba(X_test)[:, 1] for e in apart.estimators_], axis=0)
    assert found.index.tolist() == ["sigmoids", "softmax"]
    sigmoids, softmax = found.loc["sigmoids"], found.loc["softmax"]
    expected = [sums.mean(), np.abs(sums - 1).mean(), sums.min(), sums.max()]
    np.testing.assert_allclose(sigmoids[["sum_mean", "sum_distance", "sum_min", "sum_max"]], expected, rtol=1e-4)
    for row, model in ((sigmoids, apart), (softmax, whole)):
        proba = model.predict_proba(X_test)
        np.testing.assert_allclose(row["log_loss"], log_loss(y_test, proba), rtol=1e-4)
        assert row["accuracy"] == accuracy_score(y_test, proba.argmax(axis=1))
        np.testing.assert_allclose(row["calibration_error"], expected_calibration_error(y_test, proba), rtol=1e-3)
        np.testing.assert_allclose(row["brier_score"], np.mean(np.sum((proba - np.eye(10)[y_test]) ** 2, 1)), rtol=1e-4)
    differ = apart.predict_proba(X_test).argmax(axis=1) != whole.predict_proba(X_test).argmax(axis=1)
    assert sigmoids["disagreement"] == differ.mean() > 0.0
    assert softmax["disagreement"] == 0.0
    assert softmax["sum_distance"] < 1e-14


def test_sums_are_one_on_average_over_the_rows_of_the_fit():
    """The derivative in each intercept is zero: Σ σ = Σ 1[y = k]."""
    found = ovr_incoherence(*load_iris(return_X_y=True), tol=1e-12)
    np.testing.assert_allclose(found["sum_mean"], 1.0, atol=1e-6)
    assert found.loc["sigmoids", "sum_distance"] > 0.2


def test_two_classes_are_one_sigmoid():
    X, y = load_breast_cancer(return_X_y=True)
    found = ovr_incoherence(X / X.std(axis=0), np.array(["bad", "good"])[y], tol=1e-12)
    assert found.loc["sigmoids", "sum_distance"] < 1e-5
    np.testing.assert_allclose(found.loc["sigmoids"], found.loc["softmax"], atol=1e-4)


def test_figures_by_hand():
    undivided = np.array([[0.5, 0.75], [0.2, 0.2], [0.9, 0.1], [0.0, 0.0]])
    row = _row(undivided, np.array([1, 0, 1, 0]), np.array([1.0, 2.0, 1.0, 4.0]), np.array([1, 1, 0, 0]))
    np.testing.assert_allclose(row["sum_mean"], (1.25 + 2 * 0.4 + 1.0) / 8)
    np.testing.assert_allclose(row["sum_distance"], (0.25 + 2 * 0.6 + 4 * 1.0) / 8)
    assert (row["sum_min"], row["sum_max"]) == (0.0, 1.25)
    np.testing.assert_allclose(row["accuracy"], 7 / 8)
    np.testing.assert_allclose(row["disagreement"], 2 / 8)
    np.testing.assert_allclose(row["log_loss"], -(np.log(0.6) + 6 * np.log(0.5) + np.log(0.1)) / 8)
    assert row["log_loss_undivided"] == np.inf


def test_weights_are_repetitions_and_sparse_features_are_dense_ones(digits):
    X, X_test, y, y_test = (part[:200] for part in digits)
    rng = np.random.default_rng(0)
    times, times_test = rng.integers(0, 3, size=200), rng.integers(0, 3, size=200)
    weighted = ovr_incoherence(X, y, X_test, y_test, sample_weight=times, sample_weight_test=times_test, tol=1e-12)
    rows, rows_test = np.repeat(np.arange(200), times), np.repeat(np.arange(200), times_test)
    repeated = ovr_incoherence(
        sparse.csr_array(X[rows]), y[rows], sparse.csr_array(X_test[rows_test]), y_test[rows_test], tol=1e-12
    )
    pd.testing.assert_frame_equal(weighted, repeated, rtol=1e-4, atol=1e-4)


def test_bad_input_is_named(digits):
    X, X_test, y, y_test = digits
    with pytest.raises(ValueError, match="given together"):
        ovr_incoherence(X, y, X_test)
    with pytest.raises(ValueError, match=r"y_test must hold labels of y, .* Got 10 instead"):
        ovr_incoherence(X, y, X_test, np.where(y_test == 3, 10, y_test))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ovr_incoherence(X, y, X_test, y_test[:-1])
    with pytest.raises(ValueError, match="1d array"):
        ovr_incoherence(X, np.eye(10)[y])


def test_the_docstring_is_complete():
    missing = {"GL08", "SS01", "PR01", "PR02", "PR03", "RT01"}
    assert not missing & {code for code, _ in validate("sksoft.linear.ovr_incoherence")["errors"]}


def test_the_page_shows_what_comes_out():
    page = Path(__file__).resolve().parents[2] / "docs" / "softmax_or_sigmoids.md"
    failed, attempted = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert (failed, attempted > 8) == (0, True)
