"""Thresholds against brute force over all cuts, with scikit-learn's metrics."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, jaccard_score, matthews_corrcoef

from sksoft.linear.thresholds import METRICS, best_threshold

PEERS = {
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "f1": f1_score,
    "jaccard": jaccard_score,
    "matthews_corrcoef": matthews_corrcoef,
}


def test_every_metric_has_a_peer():
    assert set(PEERS) == set(METRICS)


def sample(seed, n=60):
    """Scores with ties, targets that they say something about, and weights."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, size=n)
    return np.round(y + rng.normal(size=n), 1), y, rng.uniform(0.1, 3.0, size=n)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("as_function", [False, True])
def test_no_cut_is_better(name, seed, weighted, as_function):
    scores, y, weights = sample(seed)
    weights = weights if weighted else None
    metric = PEERS[name]
    threshold = best_threshold(scores, y, weights, metric if as_function else name)
    values = [
        metric(y, (scores > cut).astype(int), sample_weight=weights) for cut in np.append(np.unique(scores), -np.inf)
    ]
    got = metric(y, (scores > logit(threshold)).astype(int), sample_weight=weights)
    np.testing.assert_allclose(got, max(values), rtol=1e-12)


def test_ties_are_broken_towards_one_half():
    scores, y = np.array([-3.0, -1.0, 0.5, 4.0]), np.array([1, 0, 1, 0])
    # cuts below -3, in (-1, 0.5) and above 4 are right in two of four rows
    np.testing.assert_allclose(best_threshold(scores, y, None, "accuracy"), expit(-0.25))


@pytest.mark.parametrize("y", [0, 1])
def test_one_target_decides_nothing(y):
    assert best_threshold(np.arange(5.0), np.full(5, y), None, "f1") == 0.5


def test_the_order_of_rows_means_nothing():
    scores, y, weights = sample(7)
    order = np.random.default_rng(1).permutation(len(y))
    for name in METRICS:
        np.testing.assert_allclose(
            best_threshold(scores, y, weights, name), best_threshold(scores[order], y[order], weights[order], name)
        )


def test_a_function_is_called_at_no_more_than_a_hundred_cuts():
    scores, y, calls = np.random.default_rng(0).normal(size=5000), np.arange(5000) % 2, []
    best_threshold(scores, y, None, lambda t, p: calls.append(1) or accuracy_score(t, p))
    assert len(calls) == 100
