"""Fits of whole trees: every node is the regression of its own rows, and what they prove adds up."""

import numpy as np
import pytest
from random_models import dense_coef, leaf_logs, random_rows, random_tree
from sklearn.linear_model import LogisticRegression

from sksoft import SoftmaxRegression, config_context
from sksoft.hierarchical.node_fit import Settings, fit_tree
from sksoft.hierarchical.node_model import NodeModel
from sksoft.hierarchical.sorted_rows import SortedRows

EXACT = Settings(C=0.8, label_smoothing=0.0, prior_count=1.0, tol=0.0, max_iter=100)


def problem(seed, *, n=150, p=8, n_classes=9, density=0.5, sparse=True):
    """A random tree with chains, and rows whose classes depend on them; the last class has no rows."""
    rng = np.random.default_rng(seed)
    tree = random_tree(rng, n_classes, arity=5)
    X = random_rows(rng, n, p, density)
    scores = X @ rng.normal(size=(p, n_classes - 1)) + rng.gumbel(size=(n, n_classes - 1))
    codes, weights = scores.argmax(axis=1), rng.random(n) + 0.3
    return tree, X if sparse else X.toarray(), codes, weights


def fitted(tree, X, codes, weights, settings=EXACT, start=None):
    fit = fit_tree(tree, SortedRows.of(tree, X, codes, weights), settings, start)
    return fit, NodeModel.of(tree, fit.coef, fit.intercept)


def child_of_rows(tree, codes, v):
    """Rows below v and the number of the child that each goes to."""
    position = tree.position[codes]
    rows = np.flatnonzero((position >= tree.first_leaf[v]) & (position < tree.last_leaf[v]))
    children = np.arange(tree.first_child[v], tree.first_child[v + 1])
    return rows, np.searchsorted(tree.last_leaf[children], position[rows], side="right")


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_every_node_is_the_regression_of_the_rows_that_reach_it(seed, sparse, backend):
    tree, X, codes, weights = problem(seed, sparse=sparse)
    with config_context(backend=backend):
        _, model = fitted(tree, X, codes, weights)
    W, compared = dense_coef(model), 0
    for v in np.flatnonzero(tree.n_children > 1):
        rows, child = child_of_rows(tree, codes, v)
        if len(np.unique(child)) < tree.n_children[v]:
            continue
        scores = slice(tree.first_score[v], tree.first_score[v + 1])
        for theirs in (
            LogisticRegression(C=EXACT.C, solver="newton-cholesky", tol=1e-12, max_iter=500),
            SoftmaxRegression(C=EXACT.C, tol=1e-16, max_iter=500),
        ):
            if tree.n_children[v] == 2 and isinstance(theirs, SoftmaxRegression):
                continue  # it has two scores for two classes
            theirs.fit(X[rows], child, sample_weight=weights[rows])
            np.testing.assert_allclose(W[scores], theirs.coef_, atol=1e-6)
            b = theirs.intercept_ - (theirs.intercept_.mean() if tree.n_children[v] > 2 else 0.0)
            np.testing.assert_allclose(model.intercept[scores], b, atol=1e-6)
            compared += 1
    assert compared >= 2


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_objective_is_the_penalised_log_loss_of_the_leaves(seed, sparse):
    tree, X, codes, weights = problem(seed, sparse=sparse, n=60)
    codes[:9] = np.arange(9)  # every class has rows: no pseudo-observations
    fit, model = fitted(tree, X, codes, weights)
    dense = X.toarray() if sparse else X
    loss = -np.array([leaf_logs(model, x)[k] for x, k in zip(dense, codes)])
    W = dense_coef(model)
    expected = weights @ loss / weights.sum() + (W**2).sum() / (2 * EXACT.C * weights.sum())
    assert fit.objective == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("tol", [1e-1, 1e-3, 1e-6])
@pytest.mark.parametrize("seed", range(3))
def test_gap_bounds_the_excess(seed, tol):
    tree, X, codes, weights = problem(seed, n=400)
    best, _ = fitted(tree, X, codes, weights)
    loose, _ = fitted(tree, X, codes, weights, Settings(0.8, 0.0, 1.0, tol, 100))
    assert best.gap < 1e-20
    assert -1e-14 <= loose.objective - best.objective <= loose.gap + 1e-14
    assert loose.gap <= tol * loose.objective
    assert loose.n_unfinished == 0
    assert loose.n_iter <= best.n_iter


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("density", [0.04, 0.5])
def test_backends_and_forms_of_rows_agree(density, smoothing):
    tree, X, codes, weights = problem(5, p=60, n=300, density=density)
    settings = Settings(2.0, smoothing, 1.0, 0.0, 100)
    fits = []
    for rows in (X, X.toarray()):
        for backend in ("numpy", "numba"):
            with config_context(backend=backend):
                fit, model = fitted(tree, rows, codes, weights, settings)
            fits.append((dense_coef(model), model.intercept, fit.objective))
    for other in fits[1:]:
        for ours, theirs in zip(other, fits[0]):
            np.testing.assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("sparse", [True, False])
def test_a_warm_start_is_a_start(sparse, backend):
    tree, X, codes, weights = problem(6, sparse=sparse, n=500, p=40, density=0.05)
    settings = Settings(2.0, 0.0, 1.0, 1e-8, 100)
    with config_context(backend=backend):
        first, model = fitted(tree, X, codes, weights, settings)
        again, same = fitted(tree, X, codes, weights, settings, model)
        assert again.n_iter == 0
        np.testing.assert_allclose(dense_coef(same), dense_coef(model), atol=1e-12)
        # a start from rows with other features
        some = np.arange(len(codes)) % 3 > 0
        _, part = fitted(tree, X[some], codes[some], weights[some], settings)
        moved, found = fitted(tree, X, codes, weights, settings, part)
    assert moved.gap <= 1e-8 * moved.objective
    assert moved.objective == pytest.approx(first.objective, rel=1e-8)
    assert dense_coef(found).shape == dense_coef(model).shape


@pytest.mark.parametrize("sparse", [True, False])
def test_threads_change_no_bit(sparse):
    tree, X, codes, weights = problem(7, sparse=sparse, n=600, n_classes=40, p=50)
    fits = []
    for n_threads in (1, 2, 5):
        with config_context(backend="numba", n_threads=n_threads):
            fit, model = fitted(tree, X, codes, weights, Settings(1.0, 0.1, 1.0, 1e-6, 100))
        fits.append((dense_coef(model), model.intercept, fit.objective, fit.gap, fit.gradient_norm))
    for other in fits[1:]:
        for ours, theirs in zip(other, fits[0]):
            np.testing.assert_array_equal(ours, theirs)


def test_unfinished_nodes_are_counted():
    tree, X, codes, weights = problem(8)
    fit, _ = fitted(tree, X, codes, weights, Settings(1.0, 0.0, 1.0, 1e-12, 1))
    assert fit.n_iter == 1
    assert 0 < fit.n_unfinished <= (tree.n_children > 1).sum()
    assert fit.worst > 1e-12
