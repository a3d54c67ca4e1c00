"""EnsembleTemperatureScaler: the best weights, with a proof; the same decisions; labels, weights and zeros."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import log_loss

from sksoft import EnsembleTemperatureScaler, TemperatureScaler
from sksoft.metrics import negative_log_likelihood


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def noisy(rng, n=600, n_classes=4, noise=0.05):
    """Honest scores, but some labels are drawn blindly: what the uniform component is for."""
    scores = 4.0 * rng.normal(size=(n, n_classes))
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    blind = rng.random(n) < noise
    y[blind] = rng.integers(n_classes, size=blind.sum())
    return scores, y


def mixture(scores, temperature, w):
    n_classes = scores.shape[1]
    return w[0] * softmax(scores / temperature, axis=1) + w[1] * softmax(scores, axis=1) + w[2] / n_classes


def test_no_other_weights_are_better(rng):
    scores, y = noisy(rng)
    s = rng.integers(1, 4, size=len(y))
    scaler = EnsembleTemperatureScaler().fit(scores, y, sample_weight=s)
    plain = TemperatureScaler().fit(scores, y, sample_weight=s)
    np.testing.assert_allclose(scaler.temperature_, plain.temperature_, rtol=1e-12)
    assert scaler.weights_[2] > 0.01
    assert scaler.converged_
    assert scaler.gap_ < 1e-10
    loss = log_loss(y, scaler.predict_proba(scores), sample_weight=s)
    np.testing.assert_allclose(scaler.loss_, loss, rtol=1e-12)
    assert loss < plain.loss_ - 1e-3
    for w in rng.dirichlet(np.ones(3), size=500):
        assert log_loss(y, mixture(scores, scaler.temperature_, w), sample_weight=s) > loss - scaler.gap_


def test_share_of_blind_labels_is_found(rng):
    """Known truth: softmax(z) with probability 0.8, else uniform."""
    scores, y = noisy(rng, n=20000, noise=0.2)
    scaler = EnsembleTemperatureScaler().fit(scores, y)
    np.testing.assert_allclose(scaler.weights_, [0.0, 0.8, 0.2], atol=0.03)


def test_never_worse_than_the_temperature_alone_on_cifar_10(shared_data):
    data = np.load(shared_data / "calibration" / "cifar10_resnet110_logits.npz")
    scaler = EnsembleTemperatureScaler().fit(data["val_logits"], data["val_labels"])
    plain = TemperatureScaler().fit(data["val_logits"], data["val_labels"])
    assert scaler.loss_ <= plain.loss_ + 1e-15
    y = data["test_labels"]
    # Kull et al., NeurIPS 2019: 0.209261 for the temperature; here the temperature alone is proved to be the best mix.
    assert negative_log_likelihood(y, scaler.predict_proba(data["test_logits"])) <= 0.209262
    assert scaler.gap_ < 1e-12


def test_decisions_do_not_change(rng):
    scores, y = noisy(rng)
    scaler = EnsembleTemperatureScaler().fit(scores, y)
    np.testing.assert_array_equal(scaler.predict(scores), scores.argmax(axis=1))
    np.testing.assert_array_equal(scaler.predict_proba(scores).argmax(axis=1), scores.argmax(axis=1))


def test_a_sure_and_wrong_row_costs_no_infinite_loss():
    proba = np.array([[1.0, 0.0, 0.0]] * 20 + [[0.0, 1.0, 0.0]] * 20 + [[0.0, 0.0, 1.0]] * 2)
    y = np.argmax(proba, axis=1)
    y[0] = 2
    scaler = EnsembleTemperatureScaler("proba").fit(proba, y)
    result = scaler.predict_proba(proba)
    np.testing.assert_allclose(result.sum(axis=1), 1.0, rtol=1e-14)
    assert result.min() > 1e-3
    # p = 41/42 for the label, and 1/42 halved between the others: no mixture can know more
    np.testing.assert_allclose(scaler.loss_, -(41 * np.log(41 / 42) + np.log(1 / 84)) / 42, rtol=1e-9)


def test_weight_is_repetition_and_zero_weight_is_removal(rng):
    scores, y = noisy(rng, n=150)
    s = rng.integers(0, 4, size=150)
    weighted = EnsembleTemperatureScaler().fit(scores, y, sample_weight=s)
    repeated = EnsembleTemperatureScaler().fit(np.repeat(scores, s, axis=0), np.repeat(y, s))
    np.testing.assert_allclose(weighted.predict_proba(scores), repeated.predict_proba(scores), rtol=1e-8)
    np.testing.assert_allclose(weighted.loss_, repeated.loss_, rtol=1e-12)


@pytest.mark.parametrize("labels", [[1, 2, 3, 4], [-7, 0, 3, 90], ["d", "c", "b", "a"]], ids=str)
def test_labels_are_names_and_not_indices(rng, labels):
    scores, y = noisy(rng)
    reference = EnsembleTemperatureScaler().fit(scores, y)
    ordered = np.asarray(labels)
    scaler = EnsembleTemperatureScaler(classes=labels).fit(scores, ordered[y])
    np.testing.assert_array_equal(scaler.weights_, reference.weights_)
    np.testing.assert_array_equal(scaler.predict(scores), ordered[scores.argmax(axis=1)])


def test_one_dimensional_scores_are_two_classes(rng):
    scores, y = noisy(rng, n_classes=2)
    margin = scores[:, 1] - scores[:, 0]
    full, short = EnsembleTemperatureScaler().fit(scores, y), EnsembleTemperatureScaler().fit(margin, y)
    np.testing.assert_allclose(short.predict_proba(margin), full.predict_proba(scores), atol=1e-9)


def test_float32_scores_are_summed_in_float64(rng):
    scores, y = noisy(rng)
    rough = scores.astype(np.float32)
    exact = EnsembleTemperatureScaler().fit(rough.astype(np.float64), y)
    scaler = EnsembleTemperatureScaler().fit(rough, y)
    np.testing.assert_allclose(scaler.loss_, exact.loss_, rtol=1e-12)
    assert scaler.predict_proba(rough).dtype == np.float32


def test_scores_of_any_size(rng):
    scores, y = noisy(rng)
    for size in (1e-300, 1e300):
        result = EnsembleTemperatureScaler().fit(size * scores, y).predict_proba(size * scores)
        np.testing.assert_allclose(result.sum(axis=1), 1.0, rtol=1e-13)


def test_separable_scores_say_so():
    scores = np.array([[2.0, 0.0], [0.0, 1.0]] * 3)
    with pytest.warns(ConvergenceWarning, match="the scores separate the labels"):
        scaler = EnsembleTemperatureScaler().fit(scores, [0, 1] * 3)
    assert scaler.converged_
    np.testing.assert_allclose(scaler.predict_proba(scores).max(axis=1), 1.0)


def test_what_max_iter_leaves_is_reported(rng):
    scores, y = noisy(rng)
    with pytest.warns(ConvergenceWarning) as caught:
        scaler = EnsembleTemperatureScaler(tol=0.0, max_iter=1).fit(scores, y)
    messages = [str(warning.message) for warning in caught]
    assert any(
        message.startswith("EnsembleTemperatureScaler did not reach tol=0 in max_iter=1") for message in messages
    )
    assert any(message.startswith("TemperatureScaler did not reach") for message in messages)
    assert not scaler.converged_


def test_errors(rng):
    scores, y = noisy(rng)
    with pytest.raises(NotFittedError):
        EnsembleTemperatureScaler().predict_proba(scores)
    with pytest.raises(ValueError, match="there are 3 different labels in y"):
        EnsembleTemperatureScaler().fit(scores, np.minimum(y, 2))
    with pytest.raises(ValueError, match=r"Rows of X of EnsembleTemperatureScaler\(input='proba'\) must sum to one"):
        EnsembleTemperatureScaler("proba").fit(np.abs(scores), y)
    scaler = EnsembleTemperatureScaler().fit(scores, y)
    with pytest.raises(ValueError, match="X has 3 features, but EnsembleTemperatureScaler is expecting 4"):
        scaler.predict_proba(scores[:, :3])
