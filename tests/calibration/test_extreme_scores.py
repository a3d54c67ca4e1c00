"""Every calibrator on scores at the ends of the numbers and on rows that say nothing."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sksoft import (
    AdaptiveTemperatureScaler,
    BinaryScaler,
    DirichletCalibrator,
    EnsembleTemperatureScaler,
    GroupTemperatureScaler,
    IdentityCalibrator,
    IsotonicCalibrator,
    MatrixScaler,
    StructuredMatrixScaler,
    TemperatureScaler,
    VectorScaler,
    VennAbersCalibrator,
)

CALIBRATORS = {
    "identity": IdentityCalibrator(),
    "temperature": TemperatureScaler(),
    "ensemble temperature": EnsembleTemperatureScaler(),
    "adaptive temperature": AdaptiveTemperatureScaler(),
    "group temperature": GroupTemperatureScaler(),
    "vector": VectorScaler(),
    "matrix": MatrixScaler(strength=0.1),
    "matrix, ridge": MatrixScaler(penalty="ridge", strength=0.1),
    "Dirichlet": DirichletCalibrator(strength=0.1),
    "structured": StructuredMatrixScaler(),
    "structured vector": StructuredMatrixScaler(structure="vector"),
    "isotonic": IsotonicCalibrator(),
    "Venn-Abers": VennAbersCalibrator(),
}
BINARY = {form: BinaryScaler(form) for form in ("platt", "beta", "quadratic")}
CASES = [(K, name) for K in (2, 3, 7) for name in CALIBRATORS | (BINARY if K == 2 else {})]


def rows(n_classes, n=200):
    rng = np.random.default_rng(n_classes)
    honest = 1.5 * rng.normal(size=(n, n_classes))
    return 2.0 * honest, (honest + rng.gumbel(size=honest.shape)).argmax(axis=1)


def check(n_classes, name, X, y):
    calibrator = (CALIBRATORS | BINARY)[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        calibrator.set_params(classes=np.arange(n_classes)).fit(X, y)
        proba = calibrator.predict_proba(X)
        scores = calibrator.decision_function(X) if hasattr(calibrator, "decision_function") else proba
    assert np.isfinite(scores).all()
    assert proba.min() >= 0.0
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-5)
    for attribute in ("temperature_", "loss_", "objective_"):
        assert np.isfinite(getattr(calibrator, attribute, 0.0))
    return proba


@pytest.mark.parametrize(("n_classes", "name"), CASES)
def test_sizes(n_classes, name):
    X, y = rows(n_classes)
    unit = X / np.abs(X).max()
    for size in (1e308, 1e150, 1e-150, 1e-308, 5e-324):
        check(n_classes, name, size * unit, y)
    signs = np.where(X > 0, 1.0, -1.0)
    check(n_classes, name, 1e308 * signs, y)  # differences are infinite
    check(n_classes, name, (3e38 * signs).astype(np.float32), y)


@pytest.mark.parametrize(("n_classes", "name"), CASES)
def test_outlier(n_classes, name):
    X, y = rows(n_classes)
    for value in (1e308, -1e308):
        far = X.copy()
        far[0, 0] = value
        check(n_classes, name, far, y)


@pytest.mark.parametrize(("n_classes", "name"), CASES)
def test_rows_that_say_nothing(n_classes, name):
    X, y = rows(n_classes)
    for same in (np.zeros_like(X), np.tile(X[:1], (len(X), 1))):
        proba = check(n_classes, name, same, y)
        np.testing.assert_array_equal(proba, np.tile(proba[:1], (len(X), 1)))
    few = np.unique(y, return_index=True)[1]
    check(n_classes, name, X[few], y[few])  # a row for each class
    check(n_classes, name, X[:1], y[:1])


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("make", [VectorScaler, MatrixScaler, StructuredMatrixScaler])
def test_size_of_float32_scores_does_not_matter(make, n_classes):
    X, y = rows(n_classes)
    X = X.astype(np.float32)
    fixed = {"strength": 0.1} if make is MatrixScaler else {}
    once, large = (make(**fixed).fit(size * X, y).predict_proba(size * X) for size in (1, np.float32(2.0**100)))
    np.testing.assert_allclose(once, large, atol=1e-5)


@pytest.mark.parametrize("make", [MatrixScaler, DirichletCalibrator])
def test_strength_is_chosen_with_a_class_of_one_row(make):
    X, y = rows(3)
    y[y == 2] = 1
    y[0] = 2
    for scores in (X, np.zeros_like(X)):
        calibrator = make().fit(scores, y)
        assert calibrator.strength_ == calibrator.cv_results_["strength"][calibrator.cv_results_["log_loss"].argmin()]
    assert not hasattr(calibrator.set_params(strength=1.0).fit(X, y), "cv_results_")
    with pytest.raises(ValueError, match="at least two distinct rows to choose the 'strength' parameter"):
        make(classes=[0, 1, 2]).fit(X[:1], y[:1])
