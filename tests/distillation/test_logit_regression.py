"""Regressors learn centred logits."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor

from sksoft.distillation import logit_regression
from sksoft.distillation.adapters import Teaching, log_probabilities
from tests.distillation.test_soft_targets import rows_of

X, Y = load_iris(return_X_y=True)


def test_linear_logits_are_learnt_as_they_are():
    rows = rows_of(X, Y, 3)
    rows.logits[:] = X @ np.random.default_rng(0).normal(size=(4, 3)) * 0.3
    made = Teaching(LinearRegression(), logit_regression.NAME, 10, 0)(rows, 1.0, 1.0)
    assert rows.softened(1.0).min() > logit_regression.FLOOR
    np.testing.assert_allclose(np.exp(log_probabilities(made, X, 3)), rows.softened(1.0), atol=1e-9)
    hot = Teaching(LinearRegression(), logit_regression.NAME, 10, 0)(rows, 3.0, 1.0)
    np.testing.assert_allclose(np.exp(log_probabilities(hot, X, 3)), rows.softened(1.0), atol=1e-9)
    assert not made.adapter["exact"]


def test_targets_are_centred_and_bounded():
    rows = rows_of(X, Y, 3)
    memory = KNeighborsRegressor(1)
    with pytest.raises(ValueError, match=r"regressor whose fit takes sample_weight .* at alpha < 1"):
        logit_regression.fit(memory, rows, 1.0, 0.5)
    rows.weights[:] = 1.0
    fitted = logit_regression.fit(memory, rows, 1.0, 0.5)
    learnt = fitted.predict(X[:1])
    assert learnt.sum() == pytest.approx(0.0, abs=1e-12)
    targets = np.maximum(rows.blended(1.0, 0.5)[0][0], logit_regression.FLOOR)
    np.testing.assert_allclose(softmax(learnt[0]), targets / targets.sum())


def test_weights_reach_the_regressor():
    rows = rows_of(X, Y, 3, unlabelled=20)
    fitted = logit_regression.fit(Ridge(), rows, 2.0, 0.7)
    targets, weights = rows.blended(2.0, 0.7)
    logits = np.log(np.maximum(targets, logit_regression.FLOOR))
    logits -= logits.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.coef_, Ridge().fit(X, logits, sample_weight=weights).coef_)


def test_a_regressor_of_one_output_is_fitted_once_a_class():
    fitted = logit_regression.fit(GradientBoostingRegressor(n_estimators=2), rows_of(X, Y, 3), 1.0, 1.0)
    assert isinstance(fitted, MultiOutputRegressor)
    assert fitted.predict(X).shape == (150, 3)
