"""IsotonicCalibrator: scikit-learn's functions, ties, rows of zeros, finite losses, weights and labels."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from sksoft import IsotonicCalibrator
from sksoft.calibration.one_vs_rest import one_vs_rest


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def sample(rng, n=500, n_classes=4):
    scores = 2.0 * rng.normal(size=(n, n_classes))
    return 2.0 * scores, (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)


@pytest.mark.filterwarnings("ignore:Since FrozenEstimator does not appear:UserWarning")
def test_two_classes_are_scikit_learns(rng):
    X = rng.normal(size=(400, 3))
    y = (X[:, 0] + rng.normal(size=400) > 0).astype(int)
    s = rng.integers(1, 4, size=400).astype(float)
    model = LogisticRegression().fit(X, y)
    theirs = CalibratedClassifierCV(FrozenEstimator(model), method="isotonic", cv=2, ensemble=False)
    theirs = theirs.fit(X, y, sample_weight=s)
    ours = IsotonicCalibrator(laplace=False).fit(model.decision_function(X), y, sample_weight=s)
    new = rng.normal(size=(200, 3))
    np.testing.assert_allclose(ours.predict_proba(model.decision_function(new)), theirs.predict_proba(new), atol=1e-12)


def test_more_classes_are_pooled_shares_divided_by_their_sum(rng):
    """Pool adjacent violators by brute force: max over starts of min over ends of means."""
    scores, y = sample(rng, n=40, n_classes=3)
    s = rng.integers(1, 4, size=40).astype(float)
    expected = np.empty((40, 3))
    for k, r in enumerate(one_vs_rest(scores).T):
        order = np.argsort(r)
        w, hits = s[order], (s * (y == k))[order]
        fitted = [
            max(min(hits[a : b + 1].sum() / w[a : b + 1].sum() for b in range(i, 40)) for a in range(i + 1))
            for i in range(40)
        ]
        expected[order, k] = fitted
    expected /= expected.sum(axis=1, keepdims=True)
    calibrator = IsotonicCalibrator(laplace=False).fit(scores, y, sample_weight=s)
    np.testing.assert_allclose(calibrator.predict_proba(scores), expected, atol=1e-12)
    n = s.sum()
    mixed = IsotonicCalibrator().fit(scores, y, sample_weight=s).predict_proba(scores)
    np.testing.assert_allclose(mixed, (n * expected + 1.0) / (n + 3.0), atol=1e-12)


def test_equal_scores_get_the_share_of_their_labels():
    scores, y = np.array([1.0, 1.0, 1.0, 2.0, 2.0]), [0, 1, 1, 1, 1]
    calibrator = IsotonicCalibrator(laplace=False).fit(scores, y)
    np.testing.assert_allclose(calibrator.predict_proba([1.0, 2.0])[:, 1], [2 / 3, 1.0])
    weighted = IsotonicCalibrator(laplace=False).fit(scores, y, sample_weight=[2, 1, 1, 1, 1])
    np.testing.assert_allclose(weighted.predict_proba([1.0])[0, 1], 0.5)


def test_losses_of_new_rows_are_finite_by_default(rng):
    scores, y = sample(rng, n=300)
    new, labels = sample(rng, n=3000)
    plain = IsotonicCalibrator(laplace=False).fit(scores, y).predict_proba(new)
    assert (plain[np.arange(3000), labels] == 0.0).any()
    proba = IsotonicCalibrator().fit(scores, y).predict_proba(new)
    assert proba.min() >= 1.0 / 304 - 1e-15
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-14)
    assert log_loss(labels, proba) < log_loss(labels, softmax(new, axis=1))


def test_row_that_no_class_wants_is_uniform():
    scores = np.array([[5.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 5.0]] * 4)
    calibrator = IsotonicCalibrator(laplace=False).fit(scores, np.argmax(scores, axis=1))
    undecided = calibrator.predict_proba([[-9.0, -9.0, -9.0], [5.0, 0.0, 0.0]])
    np.testing.assert_allclose(undecided[1], [1.0, 0.0, 0.0])
    np.testing.assert_allclose(undecided[0].sum(), 1.0)
    np.testing.assert_allclose(undecided[0], 1.0 / 3.0)


def test_weight_is_repetition_and_zero_weight_is_removal(rng):
    scores, y = sample(rng, n=150)
    s = rng.integers(0, 4, size=150)
    weighted = IsotonicCalibrator().fit(scores, y, sample_weight=s)
    repeated = IsotonicCalibrator().fit(np.repeat(scores, s, axis=0), np.repeat(y, s))
    np.testing.assert_allclose(weighted.predict_proba(scores), repeated.predict_proba(scores), rtol=1e-12)


@pytest.mark.parametrize("labels", [[4, 3, 2, 1], ["d", "b", "c", "a"]], ids=str)
def test_labels_are_names_and_not_indices(rng, labels):
    scores, y = sample(rng)
    reference, ordered = IsotonicCalibrator().fit(scores, y), np.asarray(labels)
    calibrator = IsotonicCalibrator(classes=labels).fit(scores, ordered[y])
    np.testing.assert_array_equal(calibrator.predict_proba(scores), reference.predict_proba(scores))
    np.testing.assert_array_equal(calibrator.predict(scores), ordered[reference.predict(scores)])


def test_exact_zeros_and_scores_of_any_size(rng):
    proba = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.6, 0.4, 0.0], [0.0, 0.5, 0.5]] * 5)
    result = IsotonicCalibrator("proba").fit(proba, [0, 1, 1, 2] * 5).predict_proba(proba)
    np.testing.assert_allclose(result.sum(axis=1), 1.0)
    scores, y = sample(rng)
    for size in (1e-300, 1e300):
        assert np.isfinite(IsotonicCalibrator().fit(size * scores, y).predict_proba(size * scores)).all()


def test_errors(rng):
    scores, y = sample(rng)
    with pytest.raises(NotFittedError):
        IsotonicCalibrator().predict_proba(scores)
    with pytest.raises(ValueError, match="there are 3 different labels in y"):
        IsotonicCalibrator().fit(scores, np.minimum(y, 2))
