"""VennAbersCalibrator: values of the package venn-abers, validity, many classes, weights and labels."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.exceptions import NotFittedError

from sksoft import VennAbersCalibrator


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def sample(rng, n=500, n_classes=4):
    scores = 2.0 * rng.normal(size=(n, n_classes))
    return 2.0 * scores, (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)


def test_values_of_the_package():
    """venn-abers 1.5.4, VennAbers().fit and predict_proba on the same probabilities."""
    rng = np.random.default_rng(3)
    z = np.round(rng.normal(size=60) * 1.5, 1)
    y = (rng.random(60) < 1 / (1 + np.exp(-0.7 * z))).astype(int)
    calibrator = VennAbersCalibrator(input="proba").fit(expit(z), y)
    new = expit(np.array([-4.0, -1.5, -0.35, 0.0, 0.6, 1.2, 5.0]))
    np.testing.assert_allclose(
        calibrator.predict_proba(new)[:, 1],
        [0.16666667, 0.32653061, 0.45454545, 0.46938776, 0.58823529, 0.60377358, 0.85714286],
        atol=1e-8,
    )
    expected = [
        [0.0, 0.2],
        [0.25, 0.36363636],
        [0.4, 0.5],
        [0.43478261, 0.5],
        [0.5625, 0.625],
        [0.5625, 0.66666667],
        [0.83333333, 1.0],
    ]
    interval = calibrator.predict_interval(new)
    np.testing.assert_allclose(interval[:, 1], expected, atol=1e-8)
    np.testing.assert_allclose(interval[:, 0], 1.0 - interval[:, 1, ::-1])


def test_valid_without_any_assumption(rng):
    """With the label as it comes choosing the bound, mean bound = mean label, though these scores are nonsense."""
    misses = []
    for _ in range(2000):
        z = rng.normal(size=21)
        y = rng.random(21) < expit(np.sin(5 * z))
        if y[:20].all() or not y[:20].any():
            continue
        low, high = VennAbersCalibrator(classes=[False, True]).fit(z[:20], y[:20]).predict_interval(z[20:])[0, 1]
        misses.append((high if y[20] else low) - y[20])
    assert abs(np.mean(misses)) < 4 * np.std(misses) / np.sqrt(len(misses))


def test_more_classes_against_the_rest(rng):
    scores, y = sample(rng)
    calibrator = VennAbersCalibrator().fit(scores, y)
    proba, interval = calibrator.predict_proba(scores), calibrator.predict_interval(scores)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-14)
    low, high = interval[..., 0], interval[..., 1]
    assert (low < high).all()
    single = high / (1.0 - low + high)
    np.testing.assert_allclose(proba, single / single.sum(axis=1, keepdims=True), rtol=1e-13)
    assert -np.log(proba[np.arange(500), y]).mean() < 1.0
    assert proba.min() > 0.0


def test_weight_is_repetition_and_zero_weight_is_removal(rng):
    scores, y = sample(rng, n=150)
    s = rng.integers(0, 4, size=150)
    weighted = VennAbersCalibrator().fit(scores, y, sample_weight=s)
    repeated = VennAbersCalibrator().fit(np.repeat(scores, s, axis=0), np.repeat(y, s))
    np.testing.assert_allclose(weighted.predict_interval(scores), repeated.predict_interval(scores), atol=1e-13)


@pytest.mark.parametrize("labels", [[4, 3, 2, 1], ["d", "b", "c", "a"]], ids=str)
def test_labels_are_names_and_not_indices(rng, labels):
    scores, y = sample(rng)
    reference, ordered = VennAbersCalibrator().fit(scores, y), np.asarray(labels)
    calibrator = VennAbersCalibrator(classes=labels).fit(scores, ordered[y])
    np.testing.assert_array_equal(calibrator.predict_proba(scores), reference.predict_proba(scores))
    np.testing.assert_array_equal(calibrator.predict(scores), ordered[reference.predict(scores)])


def test_exact_zeros_and_scores_of_any_size(rng):
    proba = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.6, 0.4, 0.0], [0.0, 0.5, 0.5]] * 5)
    result = VennAbersCalibrator("proba").fit(proba, [0, 1, 1, 2] * 5).predict_proba(proba)
    np.testing.assert_allclose(result.sum(axis=1), 1.0)
    scores, y = sample(rng)
    for size in (1e-300, 1e300):
        assert np.isfinite(VennAbersCalibrator().fit(size * scores, y).predict_proba(size * scores)).all()


def test_errors(rng):
    scores, y = sample(rng)
    with pytest.raises(NotFittedError):
        VennAbersCalibrator().predict_interval(scores)
    with pytest.raises(ValueError, match="there are 3 different labels in y"):
        VennAbersCalibrator().fit(scores, np.minimum(y, 2))
