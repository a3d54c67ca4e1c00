"""AdaptiveTemperatureScaler: derivatives, a known truth, never worse than one temperature, labels and weights."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import entr, softmax
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import log_loss

from sksoft import AdaptiveTemperatureScaler, TemperatureScaler
from sksoft.calibration.adaptive_temperature_scaler import _Loss
from sksoft.metrics import negative_log_likelihood


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def relative_entropy(scores):
    return np.log(entr(softmax(scores, axis=1)).sum(axis=1) / np.log(scores.shape[1]))


def sample(rng, n=3000, n_classes=4, slope=-0.6, intercept=1.5):
    """Labels drawn at the very temperatures that the form can say."""
    scores = 3.0 * rng.normal(size=(n, n_classes))
    t = np.logaddexp(0.0, slope * relative_entropy(scores) + intercept)
    return scores, (scores / t[:, None] + rng.gumbel(size=scores.shape)).argmax(axis=1)


def test_derivatives_by_finite_differences(rng):
    scores, y = sample(rng, n=80)
    loss = _Loss(scores, y, rng.exponential(size=80), rng.normal(size=80), 1e-9)
    for w in (np.array([0.3, 0.8]), np.array([-1.0, -2.0])):
        _, gradient, hessian = loss.at(w)
        steps = 1e-6 * np.eye(2)
        np.testing.assert_allclose(gradient, [(loss.at(w + d)[0] - loss.at(w - d)[0]) / 2e-6 for d in steps], rtol=1e-7)
        np.testing.assert_allclose(hessian, [(loss.at(w + d)[1] - loss.at(w - d)[1]) / 2e-6 for d in steps], rtol=1e-6)


def test_truth_is_found_and_no_general_search_finds_less(rng):
    scores, y = sample(rng, n=15000)
    scaler = AdaptiveTemperatureScaler().fit(scores, y)
    np.testing.assert_allclose([scaler.slope_, scaler.intercept_], [-0.6, 1.5], atol=0.15)
    h = relative_entropy(scores)
    np.testing.assert_allclose(scaler.temperature(scores), np.logaddexp(0, scaler.slope_ * h + scaler.intercept_))

    def loss(w):
        t = np.logaddexp(0.0, w[0] * h + w[1])
        return log_loss(y, softmax(scores / t[:, None], axis=1))

    reference = minimize(loss, [0.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12})
    np.testing.assert_allclose(scaler.loss_, reference.fun, atol=1e-10)
    np.testing.assert_allclose(scaler.loss_, loss([scaler.slope_, scaler.intercept_]), rtol=1e-12)
    assert scaler.gradient_norm_ < 1e-10
    assert scaler.converged_
    assert scaler.certificate_ == "stationarity"
    assert scaler.loss_ < TemperatureScaler().fit(scores, y).loss_ - 1e-3


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_never_worse_than_one_temperature_on_its_rows(rng, n_classes):
    for _ in range(8):
        scores = rng.normal(size=(60, n_classes)) * rng.exponential(size=(60, 1)) * 4.0
        y = (scores + 4.0 * rng.gumbel(size=scores.shape)).argmax(axis=1)
        y[:n_classes] = np.arange(n_classes)
        adaptive, constant = AdaptiveTemperatureScaler().fit(scores, y), TemperatureScaler().fit(scores, y)
        assert adaptive.loss_ <= constant.loss_ + 1e-14
        np.testing.assert_allclose(adaptive.loss_, log_loss(y, adaptive.predict_proba(scores)), rtol=1e-9)


def test_cifar_10(shared_data):
    data = np.load(shared_data / "calibration" / "cifar10_resnet110_logits.npz")
    scaler = AdaptiveTemperatureScaler().fit(data["val_logits"], data["val_labels"])
    assert scaler.loss_ < 0.180504
    # Kull et al., NeurIPS 2019: 0.209261 with one temperature
    proba = scaler.predict_proba(data["test_logits"].astype(np.float64))
    assert negative_log_likelihood(data["test_labels"], proba) < 0.209261


def test_decisions_do_not_change(rng):
    scores, y = sample(rng)
    scaler = AdaptiveTemperatureScaler().fit(scores, y)
    np.testing.assert_array_equal(scaler.predict(scores), scores.argmax(axis=1))
    np.testing.assert_array_equal(scaler.predict_proba(scores).argmax(axis=1), scores.argmax(axis=1))


def test_many_rows_compare_the_starts_on_some(rng, monkeypatch):
    scores, y = sample(rng)
    reference = AdaptiveTemperatureScaler().fit(scores, y)
    monkeypatch.setattr("sksoft.calibration.adaptive_temperature_scaler.SKETCHED", 1000)
    sketched = AdaptiveTemperatureScaler().fit(scores, y)
    np.testing.assert_allclose(sketched.loss_, reference.loss_, rtol=1e-12)


def test_rows_of_one_entropy_have_one_temperature():
    scores = np.array([[3.0, 0.0], [0.0, 3.0]] * 10)
    y = np.array([0, 1] * 8 + [1, 0] * 2)
    scaler = AdaptiveTemperatureScaler().fit(scores, y)
    assert scaler.slope_ == 0.0
    np.testing.assert_allclose(scaler.temperature(scores), 3.0 / np.log(4.0), rtol=1e-9)


def test_weight_is_repetition_and_zero_weight_is_removal(rng):
    scores, y = sample(rng, n=200)
    s = rng.integers(0, 4, size=200)
    weighted = AdaptiveTemperatureScaler().fit(scores, y, sample_weight=s)
    repeated = AdaptiveTemperatureScaler().fit(np.repeat(scores, s, axis=0), np.repeat(y, s))
    np.testing.assert_allclose(weighted.predict_proba(scores), repeated.predict_proba(scores), rtol=1e-8)


@pytest.mark.parametrize("labels", [[4, 3, 2, 1], ["d", "b", "c", "a"]], ids=str)
def test_labels_are_names_and_not_indices(rng, labels):
    scores, y = sample(rng)
    reference, ordered = AdaptiveTemperatureScaler().fit(scores, y), np.asarray(labels)
    scaler = AdaptiveTemperatureScaler(classes=labels).fit(scores, ordered[y])
    assert scaler.slope_ == reference.slope_
    np.testing.assert_array_equal(scaler.predict(scores), ordered[scores.argmax(axis=1)])


def test_exact_zeros_and_scores_of_any_size(rng):
    proba = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.6, 0.4, 0.0], [0.0, 0.5, 0.5]] * 5)
    result = AdaptiveTemperatureScaler("proba").fit(proba, [0, 1, 1, 2] * 5).predict_proba(proba)
    np.testing.assert_allclose(result.sum(axis=1), 1.0)
    scores, y = sample(rng, n=300)
    for size in (1e-100, 1e100):
        result = AdaptiveTemperatureScaler().fit(size * scores, y).predict_proba(size * scores)
        np.testing.assert_allclose(result.sum(axis=1), 1.0)


def test_what_max_iter_leaves_is_reported(rng):
    with pytest.warns(ConvergenceWarning, match="AdaptiveTemperatureScaler did not reach tol=0 in max_iter=1"):
        scaler = AdaptiveTemperatureScaler(tol=0.0, max_iter=1).fit(*sample(rng))
    assert not scaler.converged_


def test_errors(rng):
    scores, y = sample(rng)
    with pytest.raises(NotFittedError):
        AdaptiveTemperatureScaler().temperature(scores)
    with pytest.raises(ValueError, match="there are 3 different labels in y"):
        AdaptiveTemperatureScaler().fit(scores, np.minimum(y, 2))
