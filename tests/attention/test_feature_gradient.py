"""Derivatives by the features of a query, against finite differences, and what climbs them."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

from sksoft import AttentionClassifier, UncertaintySampler

X, Y = load_iris(return_X_y=True)
QUERIES = np.random.default_rng(0).normal(X.mean(axis=0), X.std(axis=0), size=(5, 4))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"metric": "ard", "kernel": "laplace"},
        {"metric": "ard", "n_heads": 2},
        {"kernel": "dot"},
        {"kernel": "biweight", "bandwidth": 2.0},
        {"kernel": "entmax15", "bandwidth": 1.0},
    ],
    ids=str,
)
def test_pullback_is_the_derivative_of_the_scores(options):
    model = AttentionClassifier(random_state=0, **options).fit(X, Y)
    scores, pullback = model.scores_and_pullback(QUERIES)
    assert np.allclose(np.exp(scores), model.predict_proba(QUERIES), rtol=0, atol=1e-12)
    direction = np.random.default_rng(1).normal(size=scores.shape)
    found, step = pullback(direction), 1e-6
    expected = np.empty_like(found)
    for d in range(X.shape[1]):
        shift = step * np.eye(4)[d]
        above, below = (model.scores_and_pullback(QUERIES + s)[0] for s in (shift, -shift))
        expected[:, d] = ((above - below) / (2 * step) * direction).sum(axis=1)
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.abs(found).max() > 0.01


def test_rows_that_attention_is_unsure_of_are_synthesised():
    sampler = UncertaintySampler(AttentionClassifier(metric="ard"), random_state=0).fit(X, Y)
    made = sampler.synthesize(X, 3)
    entropy = -(p := sampler.predict_proba(made)) * np.log(p)
    of_pool = -(p := sampler.predict_proba(X)) * np.log(p)
    assert entropy.sum(axis=1).min() > of_pool.sum(axis=1).max() - 1e-6


def test_without_all_rows_there_is_no_derivative():
    model = AttentionClassifier(bandwidth=1.0, top_k=5).fit(X, Y)
    with pytest.raises(ValueError, match=r"top_k=None and tol=0\. Got top_k=5 and tol=0"):
        model.scores_and_pullback(QUERIES)
