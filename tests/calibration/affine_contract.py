"""What all affine calibrators keep to, asked of each in its own test."""

import numpy as np
import pytest
from scipy.special import softmax

from sksoft.metrics import negative_log_likelihood


def resnet110(shared_data):
    """Validation and test logits and labels of Kull et al. 2019."""
    data = np.load(shared_data / "calibration" / "cifar10_resnet110_logits.npz")
    return [data[name].squeeze() for name in ("val_logits", "val_labels", "test_logits", "test_labels")]


def loss_on_test_rows(calibrator, shared_data):
    X, y, X_test, y_test = resnet110(shared_data)
    return negative_log_likelihood(y_test, calibrator.fit(X, y).predict_proba(X_test))


def drawn(n=600, n_classes=3, seed=0):
    """Scores of a model that is wrong in a way a matrix mends, and labels."""
    rng = np.random.default_rng(seed)
    X = 2.0 * rng.normal(size=(n, n_classes))
    honest = 0.6 * X @ (np.eye(n_classes) + 0.2 * rng.normal(size=(n_classes, n_classes))) + rng.normal(size=n_classes)
    return X, (honest + rng.gumbel(size=honest.shape)).argmax(axis=1)


def keeps_the_contract_of_scores(calibrator):
    X, y = drawn()
    expected = calibrator.fit(X, y).predict_proba(X)
    labels = np.array(["z", "a", "m"])
    named = calibrator.set_params(classes=labels).fit(X, labels[y])
    np.testing.assert_array_equal(named.predict_proba(X), expected)
    np.testing.assert_array_equal(named.predict(X), labels[expected.argmax(axis=1)])
    calibrator.set_params(classes=None)
    shifted = X + 10.0 * np.random.default_rng(1).normal(size=(len(X), 1))
    np.testing.assert_allclose(calibrator.fit(shifted, y).predict_proba(shifted), expected, atol=2e-5)
    proba = softmax(X, axis=1)
    from_proba = calibrator.set_params(input="proba").fit(proba, y).predict_proba(proba)
    np.testing.assert_allclose(from_proba, expected, atol=2e-5)
    calibrator.set_params(input="logits")


def a_factor_changes_nothing(calibrator):
    """Of scores less their mean; the logarithm of a softmax is another function of scores of another size."""
    X, y = drawn()
    expected = calibrator.fit(X, y).predict_proba(X)
    for factor in (1e6, 1e-6):
        np.testing.assert_allclose(calibrator.fit(factor * X, y).predict_proba(factor * X), expected, atol=2e-5)


def weights_are_repetitions(calibrator):
    X, y = drawn(n=300)
    rng = np.random.default_rng(2)
    weights = rng.integers(0, 4, len(y))
    repeated = np.repeat(np.arange(len(y)), weights)
    weighted = calibrator.set_params(tol=1e-12).fit(X, y, sample_weight=weights)
    coef, intercept = weighted.coef_, weighted.intercept_
    calibrator.fit(X[repeated], y[repeated])
    np.testing.assert_allclose(calibrator.coef_, coef, atol=1e-7)
    np.testing.assert_allclose(calibrator.intercept_, intercept, atol=1e-7)


def survives_exact_zeros(calibrator):
    X, y = drawn()
    proba = softmax(8.0 * X, axis=1)
    proba[proba < 1e-3] = 0.0
    proba /= proba.sum(axis=1, keepdims=True)
    calibrated = calibrator.set_params(input="proba").fit(proba, y).predict_proba(proba)
    assert np.isfinite(calibrated).all()
    np.testing.assert_allclose(calibrated.sum(axis=1), 1.0)
    assert np.isfinite(negative_log_likelihood(y, calibrated))


def two_classes_are_one_question(calibrator):
    rng = np.random.default_rng(3)
    z = 3.0 * rng.normal(size=400)
    y = rng.uniform(size=400) < 1.0 / (1.0 + np.exp(-(0.5 * z + 0.3)))
    one = calibrator.fit(z, y)
    scores, proba = one.decision_function(z), one.predict_proba(z)
    assert scores.shape == (400,)
    np.testing.assert_allclose(proba[:, 1], 1.0 / (1.0 + np.exp(-scores)))
    two = calibrator.fit(np.column_stack([-0.5 * z, 0.5 * z]), y).predict_proba(np.column_stack([-0.5 * z, 0.5 * z]))
    np.testing.assert_allclose(two, proba, atol=1e-5)


def refuses_what_it_cannot_use(calibrator):
    X, y = drawn(n=30)
    with pytest.raises(ValueError, match="NaN"):
        calibrator.fit(np.where(X > 3.0, np.nan, X) if (X > 3.0).any() else np.full_like(X, np.nan), y)
    with pytest.raises(ValueError, match="which is not one of the classes"):
        calibrator.set_params(classes=[0, 1, 5]).fit(X, np.where(y == 2, 7, y))
    calibrator.set_params(classes=None)
    with pytest.raises(ValueError, match="X has 3 columns of scores, but there are 2"):
        calibrator.fit(X, y == 1)
    with pytest.raises(ValueError, match="input='logits'"):
        calibrator.set_params(input="proba").fit(X, y)
    calibrator.set_params(input="logits")
    with pytest.raises(ValueError, match="tol"):
        calibrator.set_params(tol=-1.0).fit(X, y)
    fitted = calibrator.set_params(tol=1e-6).fit(X, y)
    with pytest.raises(ValueError, match="expecting 3 features"):
        fitted.predict_proba(X[:, :2])


CONTRACT = [
    keeps_the_contract_of_scores,
    weights_are_repetitions,
    survives_exact_zeros,
    two_classes_are_one_question,
    refuses_what_it_cannot_use,
]
