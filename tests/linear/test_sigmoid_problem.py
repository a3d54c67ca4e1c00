"""Out-of-fold scores: from fits that did not see the row, equal rows together, whatever the order."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from sksoft.linear import sigmoid_problem
from sksoft.linear.indicators import read_indicators
from sksoft.linear.sigmoid_problem import FOLDS, SigmoidProblem


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def problem_of(rng, n=60, n_labels=3):
    X = rng.normal(size=(n, 4))
    indicators = read_indicators("SigmoidClassifier", (X[:, :n_labels] + rng.logistic(size=(n, n_labels)) > 0) * 1)
    return X, indicators.targets, SigmoidProblem(indicators, 1.0, True, None, 1e-13, 1000)


def scores_of(problem, X, targets, weights=None):
    weights = np.ones(len(targets.toarray())) if weights is None else weights
    start = np.zeros((targets.shape[1], X.shape[1])), np.zeros(targets.shape[1])
    parts = list(problem.out_of_fold_scores(X, targets, weights, start))
    return parts, np.hstack([scores for _, scores in parts])


def test_scores_are_of_fits_to_the_other_folds(rng, monkeypatch):
    X, targets, problem = problem_of(rng)
    # the folds are not told: a row's scores are those of the fit to the rows of all other folds
    fold = np.arange(60) % FOLDS
    monkeypatch.setattr(sigmoid_problem, "content_folds", lambda X, codes, n_folds: np.arange(len(codes)) % n_folds)
    _, scores = scores_of(problem, X, targets)
    for k in range(FOLDS):
        for label in range(3):
            peer = LogisticRegression(solver="newton-cholesky", tol=1e-12)
            peer.fit(X[fold != k], targets.toarray()[fold != k, label])
            np.testing.assert_allclose(scores[fold == k, label], peer.decision_function(X[fold == k]), atol=1e-5)


@pytest.mark.parametrize("is_sparse", [False, True])
def test_equal_rows_stand_together_and_order_means_nothing(is_sparse, rng):
    X, targets, problem = problem_of(rng)
    rows = np.concatenate([np.arange(60), np.arange(20)])
    order = rng.permutation(80)
    features = sparse.csr_array(X) if is_sparse else X
    _, weighted = scores_of(problem, features, targets, np.bincount(rows).astype(float))
    _, repeated = scores_of(problem, features[rows][order], targets[rows][order])
    np.testing.assert_allclose(repeated, weighted[rows][order], atol=1e-5)


def test_scores_come_in_pieces(rng, monkeypatch):
    X, targets, problem = problem_of(rng)
    _, whole = scores_of(problem, X, targets)
    monkeypatch.setattr(sigmoid_problem, "SCORE_BYTES", 8 * 60)
    parts, pieces = scores_of(problem, X, targets)
    assert [labels for labels, _ in parts] == [slice(0, 1), slice(1, 2), slice(2, 3)]
    np.testing.assert_allclose(pieces, whole, rtol=1e-12)


def test_a_single_row_has_no_folds(rng):
    X, targets, problem = problem_of(rng)
    with pytest.raises(ValueError, match="at least 2 different rows"):
        scores_of(problem, np.ones_like(X), targets)
