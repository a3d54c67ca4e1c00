"""A stream comes near the batch optimum, has the same bits however it is cut, and grows with the features it meets."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, softmax

from sksoft import config_context
from sksoft.hierarchical.class_tree import ClassTree
from sksoft.hierarchical.paths import log_proba_of
from sksoft.hierarchical.stream import Stream, advance

PAIR = ClassTree.of([-1, 0, 0], [1, 2])
STAR = ClassTree.of([-1, 0, 0, 0, 0], [1, 2, 3, 4])
# two binary nodes below a node of three children, an only child, and a chain
MIXED = ClassTree.of([-1, 0, 0, 0, 1, 1, 2, 3, 3, 8, 8], [4, 5, 6, 7, 9, 10])
ARRAYS = [name for name in vars(Stream.start(PAIR, 1, is_sparse=True)) if name not in ("n_features", "n_entries")]


def rows_of(tree, n, p, *, density=1.0, seed=0, scale=1.0):
    """Rows from a model of the tree's own kind."""
    rng = np.random.default_rng(seed)
    X = scale * rng.normal(size=(n, p)) * (rng.random((n, p)) < density)
    scores = X @ rng.normal(size=(p, tree.n_classes)) / scale + rng.normal(size=tree.n_classes)
    codes = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    return X, codes


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS)


def objective(tree, model, X, codes, C):
    return -C * log_proba_of(model, X, codes).sum() + 0.5 * (np.asarray(model.data) ** 2).sum()


def best(tree, X, codes, C):
    """The least value of C Σ loss + ½ ‖W‖² over all nodes: of each node by SciPy."""
    total = 0.0
    first_leaf, last_leaf = tree.first_leaf[tree.leaf[codes]], tree.last_leaf
    for v in np.flatnonzero(tree.n_children > 1):
        children = np.arange(tree.first_child[v], tree.first_child[v + 1])
        below = (first_leaf >= tree.first_leaf[v]) & (first_leaf < last_leaf[v])
        child = np.searchsorted(tree.first_leaf[children], first_leaf[below], side="right") - 1
        total += _best_node(X[below], child, len(children), C)
    return total


def _best_node(X, child, m, C):
    A = np.column_stack([X, np.ones(len(X))])
    hot = np.eye(m)[child]
    free = 1 if m == 2 else m

    def loss(flat):
        W = flat.reshape(free, -1)
        scores = A @ (np.vstack([np.zeros_like(W), W]) if m == 2 else W).T
        gradient = C * (softmax(scores, axis=1) - hot).T @ A
        gradient = gradient[1:] if m == 2 else gradient
        ridge = W.copy()
        ridge[:, -1] = 0.0
        value = -C * (hot * log_softmax(scores, axis=1)).sum() + 0.5 * (ridge**2).sum()
        return value, (gradient + ridge).ravel()

    found = minimize(loss, np.zeros(free * A.shape[1]), jac=True, method="L-BFGS-B", tol=1e-12)
    return found.fun


def test_a_step_of_a_logistic_node_is_the_proximal_point():
    """Against SciPy's minimum of loss + ½ ‖move‖² in the metric, over all coordinates."""
    rng = np.random.default_rng(0)
    x, s, C = rng.normal(size=3), 1.7, 0.6
    before = Stream.start(PAIR, 3, is_sparse=False)
    before = replace(
        before,
        coef=rng.normal(size=3),
        point=rng.normal(size=3),
        curvature=rng.random(3),
        count=rng.random(3) * 9,
        intercept_point=rng.normal(size=1),
        intercept_curvature=rng.random(1),
        seen=np.array([4.0, 0.0, 0.0]),
    )
    after = advance(before, PAIR, x[None], [1], [s], C=C)
    metric = 1.0 / C + before.curvature * (s / (before.count + s)) ** 0.2
    metric0 = s / 4 + before.intercept_curvature * (s / (4.0 + s)) ** 0.2
    w, M = np.append(before.point, before.intercept_point), np.append(metric, metric0)

    def proximal(v):
        return s * np.logaddexp(0.0, -(v[:3] @ x + v[3])) + 0.5 * M @ (v - w) ** 2

    found = minimize(proximal, w, method="BFGS", options={"gtol": 1e-10}).x
    np.testing.assert_allclose(np.append(after.point, after.intercept_point), found, rtol=1e-6)
    rate = 8.0 / ((before.count + s) / s + 7.0)
    np.testing.assert_allclose(after.coef, before.coef + rate * (after.point - before.coef))
    np.testing.assert_allclose(after.intercept, 8.0 / ((4.0 + s) / s + 7.0) * after.intercept_point)
    p = expit(found[:3] @ x + found[3])
    np.testing.assert_allclose(after.curvature - before.curvature, s * p * (1 - p) * x**2, rtol=1e-5)
    np.testing.assert_allclose(after.count - before.count, s)


def test_a_step_of_a_wide_node_is_the_best_along_its_direction():
    x, s, C, smoothing = np.array([2.0, -1.0]), 3.0, 0.8, 0.1
    after = advance(Stream.start(STAR, 2, is_sparse=False), STAR, x[None], [2], [s], C=C, label_smoothing=smoothing)
    targets = 0.9 * np.eye(4)[2] + 0.1 / 4
    gradient = s * (targets - 0.25)
    direction = np.outer(gradient, x) * C, gradient / (s / 4)

    def proximal(length):
        scores = length * (direction[0] @ x + direction[1])
        moved = (direction[0] ** 2).sum() / C + (direction[1] ** 2).sum() * s / 4
        return -s * targets @ log_softmax(scores) + 0.5 * length**2 * moved

    length = minimize_scalar(proximal, bounds=(0, 1), method="bounded", options={"xatol": 1e-12}).x
    assert 0.05 < length < 0.95
    np.testing.assert_allclose(after.coef.reshape(4, 2), length * direction[0], rtol=1e-6)
    np.testing.assert_allclose(after.intercept, length * direction[1], rtol=1e-6)


@pytest.mark.parametrize("tree", [PAIR, STAR, MIXED], ids=["pair", "star", "mixed"])
def test_the_excess_over_the_batch_optimum_falls_with_the_rows(tree):
    """In nats a row, above the optimum of the rows so far, mean of three streams."""
    excess = np.zeros((3, 3))
    for seed in range(3):
        X, codes = rows_of(tree, 30_000, 6, seed=seed)
        stream, start = Stream.start(tree, 6, is_sparse=False), 0
        for i, stop in enumerate((1000, 6000, 30_000)):
            stream = advance(stream, tree, X[start:stop], codes[start:stop], np.ones(stop - start), C=1.0)
            rows, start = (X[:stop], codes[:stop]), stop
            excess[seed, i] = (objective(tree, stream.model(tree), *rows, 1.0) - best(tree, *rows, 1.0)) / stop
    assert (excess > 0).all()
    first, second, last = excess.mean(axis=0)
    assert first < 0.03
    assert second < 0.5 * first
    assert last < 0.5 * second


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**30])
def test_features_of_any_scale_are_the_same_problem(scale):
    X, codes = rows_of(MIXED, 500, 6)
    start = Stream.start(MIXED, 6, is_sparse=False)
    one = advance(start, MIXED, X, codes, np.ones(500), C=1.0)
    other = advance(start, MIXED, scale * X, codes, np.ones(500), C=1.0 / scale**2)
    np.testing.assert_array_equal(scale * other.coef, one.coef)
    np.testing.assert_array_equal(other.intercept, one.intercept)


def test_epochs_are_rows():
    """Eight passes come near the optimum for eight times C."""
    X, codes = rows_of(MIXED, 1500, 5, seed=3)
    stream = Stream.start(MIXED, 5, is_sparse=False)
    least, values = best(MIXED, X, codes, 8e-3), []
    for _ in range(8):
        stream = advance(stream, MIXED, X, codes, np.ones(1500), C=1e-3)
        values.append(objective(MIXED, stream.model(MIXED), X, codes, 8e-3))
    assert values[0] > 1.09 * least
    assert least <= values[-1] < 1.01 * least


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("backend", ["numpy", "numba", "auto"])
def test_bits_do_not_depend_on_the_chunks(is_sparse, backend):
    X, codes = rows_of(MIXED, 1000, 30, density=0.2)
    X = sparse.csr_array(X) if is_sparse else X
    weights = np.random.default_rng(1).random(1000)
    with config_context(backend=backend):
        start = Stream.start(MIXED, 30, is_sparse=is_sparse)
        whole = advance(start, MIXED, X, codes, weights, C=0.3)
        cut = start
        for i in range(0, 1000, 100):
            cut = advance(cut, MIXED, X[i : i + 100], codes[i : i + 100], weights[i : i + 100], C=0.3)
    assert same(whole, cut)
    assert whole.n_entries == cut.n_entries


def test_dense_rows_and_sparse_rows_are_learnt_alike():
    X, codes = rows_of(MIXED, 400, 12, density=0.3)
    dense = advance(Stream.start(MIXED, 12, is_sparse=False), MIXED, X, codes, np.ones(400), C=0.5)
    thin = advance(Stream.start(MIXED, 12, is_sparse=True), MIXED, sparse.csr_array(X), codes, np.ones(400), C=0.5)
    assert isinstance(dense.coefficients(), np.ndarray)
    assert thin.coefficients().shape == dense.coefficients().shape == (MIXED.n_scores, 12)
    np.testing.assert_array_equal(thin.coefficients().toarray(), dense.coefficients())
    np.testing.assert_array_equal(thin.intercept, dense.intercept)


def test_untidy_rows_are_those_they_stand_for():
    """Unsorted, with duplicates and stored zeros."""
    values, columns = np.array([1.0, 0.5, 0.25, 0.0, 3.0]), np.array([4, 1, 4, 2, 0])
    untidy = sparse.csr_array((values, columns, [0, 4, 5]), shape=(2, 6))
    start = Stream.start(STAR, 6, is_sparse=True)
    one = advance(start, STAR, untidy, [0, 3], np.ones(2), C=1.0)
    other = advance(start, STAR, sparse.csr_array(untidy.toarray()), [0, 3], np.ones(2), C=1.0)
    assert same(one, other)
    assert untidy.nnz == 5


def test_pairs_of_node_and_feature_grow_as_they_appear():
    """Against the pairs that the rows have, listed one by one; a node with a quarter of the features has all."""
    p = 100
    X, codes = rows_of(MIXED, 60, p, density=0.01, seed=5)
    X = sparse.csr_array(X)
    stream = Stream.start(MIXED, p, is_sparse=True)
    assert stream.coefficients().nnz == 0
    known = {v: set() for v in range(MIXED.n_nodes)}
    for start in range(0, 60, 7):
        rows = slice(start, min(start + 7, 60))
        stream = advance(stream, MIXED, X[rows], codes[rows], np.ones(rows.stop - rows.start), C=1.0)
        for i in range(rows.start, rows.stop):
            v = MIXED.parent[MIXED.leaf[codes[i]]]
            while v >= 0:
                known[v] |= set(X.indices[X.indptr[i] : X.indptr[i + 1]].tolist())
                v = MIXED.parent[v]
        for v, features in known.items():
            wanted = list(range(p)) if len(features) >= p / 4 else sorted(features)
            for r in range(MIXED.first_score[v], MIXED.first_score[v + 1]):
                assert stream.indices[stream.indptr[r] : stream.indptr[r + 1]].tolist() == wanted
    sizes = [len(known[v]) for v in np.flatnonzero(MIXED.n_children > 1)]
    assert min(sizes) < p / 4 <= max(sizes)


def test_classes_that_never_came_are_improbable_and_finite():
    X, codes = rows_of(STAR, 2000, 3)
    seen = codes < 3
    stream = advance(Stream.start(STAR, 3, is_sparse=False), STAR, X[seen], codes[seen], np.ones(seen.sum()), C=1.0)
    log_proba = log_proba_of(stream.model(STAR), X[:50], np.full(50, 3))
    assert np.isfinite(log_proba).all()
    assert log_proba.mean() < np.log(0.01)


def test_weights():
    X, codes = rows_of(MIXED, 300, 4)
    weights = np.where(np.arange(300) % 3 == 0, 0.0, 1.0)
    start = Stream.start(MIXED, 4, is_sparse=False)
    kept = weights > 0
    some = advance(start, MIXED, X[kept], codes[kept], weights[kept], C=0.5)
    assert same(advance(start, MIXED, X, codes, weights, C=0.5), some)
    # as in the objective, weights scale against the ridge: twice the weight is half of it
    double = advance(start, MIXED, X, codes, np.full(300, 2.0), C=0.5)
    np.testing.assert_allclose(double.coef, advance(start, MIXED, X, codes, np.ones(300), C=1.0).coef, rtol=1e-9)
    repeated = advance(start, MIXED, np.repeat(X, 2, axis=0), np.repeat(codes, 2), np.ones(600), C=0.5)
    least = best(MIXED, X, codes, 1.0)
    for stream in (double, repeated):
        assert objective(MIXED, stream.model(MIXED), X, codes, 1.0) < 1.1 * least


def test_a_stream_goes_on_after_pickling_and_the_stream_before_stays():
    X, codes = rows_of(MIXED, 200, 8, density=0.3)
    X = sparse.csr_array(X)
    first = advance(Stream.start(MIXED, 8, is_sparse=True), MIXED, X[:120], codes[:120], np.ones(120), C=2.0)
    frozen = {name: getattr(first, name).copy() for name in ARRAYS}
    went_on = advance(first, MIXED, X[120:], codes[120:], np.ones(80), C=2.0)
    resumed = Stream(**pickle.loads(pickle.dumps(first.dump())))
    assert same(advance(resumed, MIXED, X[120:], codes[120:], np.ones(80), C=2.0), went_on)
    assert all(np.array_equal(getattr(first, name), before) for name, before in frozen.items())
    assert not same(first, went_on)


@pytest.mark.parametrize("is_sparse", [False, True])
def test_after_a_fit_a_stream_keeps_what_the_fit_knew(is_sparse):
    X, codes = rows_of(MIXED, 6000, 5, seed=7)
    X = sparse.csr_array(X) if is_sparse else X
    model = advance(
        Stream.start(MIXED, 5, is_sparse=is_sparse), MIXED, X[:5000], codes[:5000], np.ones(5000), C=1.0
    ).model(MIXED)
    new = X[5000:], codes[5000:], np.ones(1000)
    stream = Stream.after_fit(model, *new, past_weight=5000.0, C=1.0)
    assert np.array_equal(stream.coef, model.data)
    assert np.array_equal(stream.intercept, model.intercept)
    np.testing.assert_allclose(stream.seen[0], 5000.0)
    moved = advance(stream, MIXED, *new, C=1.0)
    forgot = advance(
        replace(stream, **{name: 0 * getattr(stream, name) for name in ("curvature", "count")}), MIXED, *new, C=1.0
    )
    distance = [np.abs(s.coef - model.data).mean() for s in (moved, forgot)]
    assert 0 < distance[0] < 0.5 * distance[1]


def test_extreme_rows_do_not_overshoot():
    """Rows of any size, weight and ridge: scores stay finite, and each step lowers the loss of its row."""
    rng = np.random.default_rng(0)
    for scale in (1e-150, 1e-3, 1e3, 1e70):
        for C in (1e-8, 1e8):
            stream = Stream.start(STAR, 4, is_sparse=False)
            for code in (0, 1, 2, 3, 0):
                x = scale * rng.normal(size=(1, 4))
                before = log_proba_of(stream.model(STAR), x, [code])
                stream = advance(stream, STAR, x, [code], [1e3], C=C)
                after = log_proba_of(stream.model(STAR), x, [code])
                assert np.isfinite(after).all()
                assert after >= before - 1e-9


def test_no_rows_and_no_features():
    start = Stream.start(MIXED, 0, is_sparse=True)
    stream = advance(start, MIXED, sparse.csr_array((9, 0)), np.zeros(9, int), np.ones(9), C=1.0)
    assert log_proba_of(stream.model(MIXED), sparse.csr_array((1, 0)), [0]) > np.log(1 / 6)
    assert same(advance(stream, MIXED, sparse.csr_array((2, 0)), np.zeros(2, int), np.zeros(2), C=1.0), stream)
