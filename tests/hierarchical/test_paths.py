"""Probabilities of given classes, samples and paths, against explicit sums along every path."""

from itertools import pairwise

import mpmath
import numpy as np
import pytest
from random_models import chain_tree, leaf_logs, node_logs, random_model, random_rows, random_tree
from scipy import stats
from scipy.special import logsumexp

from sksoft import config_context
from sksoft.hierarchical.class_tree import ClassTree
from sksoft.hierarchical.leaf_probabilities import leaf_proba
from sksoft.hierarchical.node_model import NodeModel
from sksoft.hierarchical.paths import decision_path, log_proba_of, node_log_proba, sample

EXACT = {"number": mpmath.mpf, "log": mpmath.log, "exp": mpmath.exp}


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    with config_context(backend=request.param):
        yield request.param


@pytest.mark.parametrize(("seed", "scale", "n_features"), [(0, 1.0, 6), (1, 3.0, 40), (2, 300.0, 5), (3, 0.0, 3)])
def test_every_class_against_many_digits(backend, seed, scale, n_features):
    rng = np.random.default_rng(seed)
    model = random_model(rng, random_tree(rng, 17), n_features, scale=scale)
    X = random_rows(rng, 8, n_features, 0.4)
    with mpmath.workdps(40):
        expected = [[float(log) for log in leaf_logs(model, x, **EXACT)] for x in X.toarray()]
    for k in range(17):
        got = log_proba_of(model, X, np.full(8, k))
        # scores are sums of terms of both signs
        np.testing.assert_allclose(got, np.array(expected)[:, k], rtol=1e-13, atol=1e-13 * max(scale, 1.0))
    assert scale < 300.0 or np.min(expected) < -800.0


def test_tails_are_exact(backend):
    tree = ClassTree.of([-1, 0, 0, 2, 2, 2], [1, 3, 4, 5])
    model = NodeModel.of(tree, np.zeros((4, 1)), np.array([800.0, -800.0, 0.0, 700.0]))
    X = np.ones((4, 1))
    got = log_proba_of(model, X, np.arange(4))
    np.testing.assert_allclose(got, [-800.0, -1500.0, -700.0, -np.exp(-700.0)], rtol=1e-13)
    model = NodeModel.of(tree, np.zeros((4, 1)), np.array([1e300, 0.0, 0.0, 1e308]))
    assert log_proba_of(model, X[:3], np.arange(3)).tolist() == [-1e300, -1e308, -1e308]
    # near one it is minus the probability of the others
    model = NodeModel.of(tree, np.zeros((4, 1)), np.array([-30.0, 0.0, -40.0, 0.0]))
    assert log_proba_of(model, X[:1], [0]) == pytest.approx(-np.exp(-30.0), rel=1e-12, abs=0)


def test_only_children_and_a_single_class_have_probability_one(backend):
    tree = ClassTree.of([-1, 0, 1], [2])
    model = NodeModel.of(tree, np.empty((0, 2)), np.empty(0))
    X = np.ones((3, 2))
    assert log_proba_of(model, X, [0, 0, 0]).tolist() == [0.0, 0.0, 0.0]
    assert sample(model, X, 2, 0).tolist() == [[0, 0]] * 3
    alone = NodeModel.of(ClassTree.of([-1], [0]), np.empty((0, 2)), np.empty(0))
    assert log_proba_of(alone, X, [0, 0, 0]).tolist() == [0.0, 0.0, 0.0]
    assert sample(alone, X, 2, 0).tolist() == [[0, 0]] * 3
    assert node_log_proba(alone, X).tolist() == [[0.0]] * 3


@pytest.mark.parametrize("nested", [True, False])
def test_rows_and_nodes_of_any_length(backend, nested):
    rng = np.random.default_rng(4)
    model = random_model(rng, random_tree(rng, 300, arity=30), 60, scale=0.7, keep=0.7, nested=nested)
    for density in (0.02, 0.3, 1.0):
        X = random_rows(rng, 40, 60, density)
        codes = rng.integers(0, 300, 40)
        expected = [leaf_logs(model, x)[k] for x, k in zip(X.toarray(), codes)]
        np.testing.assert_allclose(log_proba_of(model, X, codes), expected, rtol=1e-12)
        np.testing.assert_allclose(log_proba_of(model, X.toarray(), codes), expected, rtol=1e-12)


def test_a_dense_model_and_unsorted_rows_with_duplicates(backend):
    rng = np.random.default_rng(5)
    tree = random_tree(rng, 50)
    model = NodeModel.of(tree, rng.normal(size=(tree.n_scores, 9)), rng.normal(size=tree.n_scores))
    X = random_rows(rng, 30, 9, 0.5)
    codes = rng.integers(0, 50, 30)
    expected = [leaf_logs(model, x)[k] for x, k in zip(X.toarray(), codes)]
    np.testing.assert_allclose(log_proba_of(model, X.toarray(), codes), expected, rtol=1e-12)
    entries = np.repeat(np.arange(X.nnz), 2)
    starts = 2 * X.indptr
    doubled = type(X)((X.data[entries] / 2, X.indices[entries], starts), shape=X.shape)
    for a, b in pairwise(starts):
        doubled.indices[a:b], doubled.data[a:b] = doubled.indices[a:b][::-1].copy(), doubled.data[a:b][::-1].copy()
    np.testing.assert_allclose(log_proba_of(model, doubled, codes), expected, rtol=1e-12)
    assert doubled.nnz == 2 * X.nnz


def test_frequencies_of_samples(backend):
    rng = np.random.default_rng(6)
    model = random_model(rng, random_tree(rng, 25), 5)
    X = random_rows(rng, 4, 5, 0.7)
    proba, n_samples = leaf_proba(model, X), 20_000
    drawn = sample(model, X, n_samples, 20_261_121)
    for p, codes in zip(proba, drawn):
        likely = p * n_samples > 5
        observed, expected = np.bincount(codes, minlength=25), p * n_samples
        pooled = [np.append(counts[likely], counts[~likely].sum()) for counts in (observed, expected)]
        assert stats.chisquare(*pooled).pvalue > 1e-3


def test_a_draw_depends_on_seed_sample_and_row_alone(backend):
    rng = np.random.default_rng(7)
    model = random_model(rng, random_tree(rng, 200), 5, scale=0.1)
    X = random_rows(rng, 30, 5, 0.7)
    drawn = sample(model, X, 6, 3)
    np.testing.assert_array_equal(sample(model, X, 2, 3), drawn[:, :2])
    np.testing.assert_array_equal(sample(model, X[:11], 6, 3), drawn[:11])
    assert (sample(model, X, 6, 4) != drawn).mean() > 0.5
    # equal rows are drawn apart, and so are samples
    same = sample(model, X[[1] * 500], 2, 3)
    assert (same[1:] != same[:-1]).mean() > 0.5
    assert (same[:, 0] != same[:, 1]).mean() > 0.5
    np.testing.assert_array_equal(sample(model, X.toarray(), 6, 3), drawn)


def test_backends_draw_the_same():
    rng = np.random.default_rng(8)
    model = random_model(rng, random_tree(rng, 200), 30)
    X = random_rows(rng, 200, 30, 0.3)
    with config_context(backend="numpy"):
        expected = sample(model, X, 3, 2**64 - 1)
    with config_context(backend="numba"):
        np.testing.assert_array_equal(sample(model, X, 3, 2**64 - 1), expected)


def test_any_number_of_threads_gives_the_same_bits():
    rng = np.random.default_rng(9)
    model = random_model(rng, random_tree(rng, 100), 30)
    X = random_rows(rng, 5000, 30, 0.2)
    codes = rng.integers(0, 100, 5000)
    results = []
    for n_threads in (1, 2, 5):
        with config_context(backend="numba", n_threads=n_threads):
            results.append((log_proba_of(model, X, codes), sample(model, X, 2, 1)))
    for log_proba, drawn in results[1:]:
        np.testing.assert_array_equal(log_proba, results[0][0])
        np.testing.assert_array_equal(drawn, results[0][1])


@pytest.mark.parametrize("tree", [random_tree(np.random.default_rng(10), 40), chain_tree(30)], ids=["random", "chain"])
def test_decision_paths(tree):
    model = random_model(np.random.default_rng(11), tree, 3)
    codes = np.array([3, 0, 3, tree.n_classes - 1])
    path = decision_path(model, codes)
    assert path.shape == (4, tree.n_nodes)
    assert path.has_canonical_format
    for row, k in zip(path.toarray(), codes):
        node, expected = tree.leaf[k], set()
        while node >= 0:
            expected.add(node)
            node = tree.parent[node]
        assert set(np.flatnonzero(row)) == expected
    assert decision_path(model, codes[:0]).shape == (0, tree.n_nodes)


def test_nodes_have_the_probability_of_what_is_below(backend):
    rng = np.random.default_rng(12)
    model = random_model(rng, random_tree(rng, 60), 6, scale=20.0)
    tree, X = model.tree, random_rows(rng, 9, 6, 0.6)
    logs = node_log_proba(model, X)
    np.testing.assert_allclose(logs, [node_logs(model, x) for x in X.toarray()], rtol=1e-12, atol=1e-12)
    leaves = leaf_proba(model, X, log=True)[:, np.argsort(tree.position)]
    for v in range(tree.n_nodes):
        below = leaves[:, tree.first_leaf[v] : tree.last_leaf[v]]
        np.testing.assert_allclose(logs[:, v], logsumexp(below, axis=1), rtol=1e-12, atol=1e-12)
    for depth in range(int(tree.depth.max()) + 2):
        upper = node_log_proba(model, X, depth)
        assert upper.shape[1] == (tree.depth <= depth).sum()
        np.testing.assert_allclose(upper, logs[:, : upper.shape[1]], rtol=1e-12, atol=1e-12)
