"""A warning names the user's line, whichever wrappers a fit has."""

import warnings

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from sksoft import AttentionClassifier, HierarchicalSoftmaxClassifier, SigmoidClassifier, SoftmaxRegression
from sksoft.attention import GraphAttentionClassifier
from sksoft.calibration import (
    AdaptiveTemperatureScaler,
    BinaryScaler,
    CalibratedSoftmaxClassifier,
    DirichletCalibrator,
    EnsembleTemperatureScaler,
    GroupTemperatureScaler,
    MatrixScaler,
    PriorShiftAdjuster,
    StructuredMatrixScaler,
    TemperatureScaler,
    VectorScaler,
)
from sksoft.kernels import capability

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = (X + RNG.normal(size=X.shape)).argmax(axis=1)
BINARY = (Y == 0).astype(int)


def told(call):
    """The warnings of a call, of which there are some."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    found = [each for each in caught if not issubclass(each.category, FutureWarning | DeprecationWarning)]
    assert found
    return found


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (SoftmaxRegression(max_iter=0), Y),
        (SoftmaxRegression(max_iter=1, l1_ratio=0.5, C=100.0), Y),
        (SigmoidClassifier(max_iter=1), np.eye(3)[Y]),
        (HierarchicalSoftmaxClassifier(max_iter=1), Y),
        (AttentionClassifier(max_iter=1), Y),
        (GraphAttentionClassifier(max_iter=1), Y),
        (TemperatureScaler(max_iter=1, tol=0.0), Y),
        (AdaptiveTemperatureScaler(max_iter=1, tol=0.0), Y),
        (EnsembleTemperatureScaler(max_iter=1, tol=0.0), Y),
        (VectorScaler(max_iter=1, tol=1e-12), Y),
        (MatrixScaler(max_iter=1, tol=1e-12), Y),
        (DirichletCalibrator(max_iter=1, tol=1e-12), Y),
        (StructuredMatrixScaler(max_iter=1, tol=1e-12), Y),
        (BinaryScaler(max_iter=1, tol=1e-12), BINARY),
        (CalibratedSoftmaxClassifier(SoftmaxRegression(max_iter=1), cv=2), Y),
        (GridSearchCV(SoftmaxRegression(max_iter=1), {"C": [1.0]}, cv=2), Y),
    ],
    ids=lambda value: "" if isinstance(value, np.ndarray) else str(value)[:40],
)
def test_fits_that_stop_early(model, y):
    rows = X[:, 0] if isinstance(model, BinaryScaler) else X
    assert {each.filename for each in told(lambda: model.fit(rows, y))} == {__file__}


def test_a_prior_that_is_not_found():
    adjuster = PriorShiftAdjuster(max_iter=1, tol=1e-10, classes=[0, 1, 2], source_prior=[0.2, 0.3, 0.5])
    assert {each.filename for each in told(lambda: adjuster.fit(X))} == {__file__}


def test_groups_that_are_new():
    scaler = GroupTemperatureScaler().fit(X, Y, sensitive_features=np.arange(60) % 2)
    found = told(lambda: scaler.predict_proba(X, sensitive_features=np.full(60, 7)))
    assert {each.filename for each in found} == {__file__}


def test_a_fallback(monkeypatch):
    monkeypatch.setattr(capability, "_warned", set())
    caught = told(lambda: capability.warn_once("no reason."))
    assert {each.filename for each in caught} == {__file__}
    assert issubclass(caught[0].category, capability.CudaFallbackWarning)
