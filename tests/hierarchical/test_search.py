"""The most probable classes against all classes sorted."""

import numpy as np
import pytest
from random_models import chain_tree, leaf_logs, random_model, random_rows, random_tree

from sksoft import config_context
from sksoft.hierarchical.balanced_tree import balanced_tree
from sksoft.hierarchical.class_tree import ClassTree
from sksoft.hierarchical.node_model import NodeModel
from sksoft.hierarchical.paths import log_proba_of
from sksoft.hierarchical.search import top_k


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    with config_context(backend=request.param):
        yield request.param


def in_order(logs):
    """Classes by decreasing log-probability, equal ones by number."""
    return np.argsort(-np.asarray(logs), axis=1, kind="stable")


def assert_best(model, X, k, expected):
    codes, log_proba, bound = top_k(model, X, k)
    order = in_order(expected)
    np.testing.assert_array_equal(codes, order[:, :k])
    np.testing.assert_allclose(log_proba, np.take_along_axis(expected, codes, axis=1), rtol=1e-12, atol=1e-14)
    assert (bound <= log_proba[:, -1]).all()
    if k < expected.shape[1]:
        left_out = np.take_along_axis(expected, order[:, k:], axis=1).max(axis=1)
        assert (bound >= left_out - 1e-12 * (1 + abs(left_out))).all()
    else:
        assert (bound == -np.inf).all()


@pytest.mark.parametrize("seed", range(12))
def test_every_k_on_small_trees(backend, seed):
    rng = np.random.default_rng(seed)
    n_classes, n_features = int(rng.integers(1, 40)), int(rng.integers(1, 30))
    tree = random_tree(rng, n_classes, arity=int(rng.integers(2, 8)))
    model = random_model(rng, tree, n_features, scale=rng.choice([0.1, 1.0, 10.0, 200.0]), nested=seed % 3 > 0)
    X = random_rows(rng, 12, n_features, rng.choice([0.1, 0.5, 1.0]))
    expected = np.array([leaf_logs(model, x) for x in X.toarray()])
    for k in range(1, n_classes + 1):
        assert_best(model, X, k, expected)
    assert_best(model, X.toarray(), (n_classes + 1) // 2, expected)


@pytest.mark.parametrize(("n_classes", "arity", "n_features"), [(2000, 2, 50), (700, 7, 400), (1500, 100, 20)])
def test_large_trees(backend, n_classes, arity, n_features):
    rng = np.random.default_rng(n_classes)
    model = random_model(rng, random_tree(rng, n_classes, arity=arity, chain=0.1), n_features, keep=0.7, scale=0.5)
    for density in (2 / n_features, 0.3):
        X = random_rows(rng, 5, n_features, density)
        expected = np.array([leaf_logs(model, x) for x in X.toarray()])
        for k in (1, 5, 50, n_classes):
            assert_best(model, X, k, expected)


def test_chains_of_1000(backend):
    rng = np.random.default_rng(1)
    model = random_model(rng, chain_tree(1001), 5, scale=0.3)
    X = random_rows(rng, 4, 5, 0.6)
    expected = np.array([leaf_logs(model, x) for x in X.toarray()])
    for k in (1, 10, 1001):
        assert_best(model, X, k, expected)


def test_a_dense_model(backend):
    rng = np.random.default_rng(2)
    for n_features in (3, 16, 33):
        tree = random_tree(rng, 60)
        model = NodeModel.of(tree, rng.normal(size=(tree.n_scores, n_features)), rng.normal(size=tree.n_scores))
        X = rng.normal(size=(20, n_features))
        assert_best(model, X, 5, np.array([leaf_logs(model, x) for x in X]))


@pytest.mark.parametrize("arity", [2, 3, 5])
def test_equal_classes_are_ordered_by_number(backend, arity):
    tree = balanced_tree(30, arity)
    shuffled = ClassTree.of(tree.parent, tree.leaf[np.random.default_rng(3).permutation(30)])
    model = NodeModel.of(shuffled, np.zeros((shuffled.n_scores, 2)), np.zeros(shuffled.n_scores))
    expected = np.tile([leaf_logs(model, [0, 0])], (3, 1))
    depth = shuffled.depth[shuffled.leaf]
    # by depth, for they are equally probable where equally deep, but for rounding in the explicit sums
    order = np.lexsort((np.arange(30), depth)) if arity < 3 else in_order(np.round(expected, 9))[0]
    for k in range(1, 31):
        codes, _, bound = top_k(model, np.ones((3, 2)), k)
        np.testing.assert_array_equal(codes, np.tile(order[:k], (3, 1)))
        assert (bound <= top_k(model, np.ones((3, 2)), k)[1][:, -1]).all()


@pytest.mark.parametrize("seed", range(6))
def test_ties_of_every_kind_are_cut_from_one_order(backend, seed):
    """Scores 0, ±1 and ±800 make equal sums, certain branches and probabilities that underflow."""
    rng = np.random.default_rng(seed)
    tree = random_tree(rng, 80, arity=4)
    model = random_model(rng, tree, 4, values=[-800.0, -1.0, 0.0, 0.0, 1.0, 800.0])
    X = np.round(random_rows(rng, 10, 4, 0.5))
    codes, log_proba, _ = top_k(model, X, 80)
    assert (np.sort(codes, axis=1) == np.arange(80)).all()
    for i in range(10):
        assert (np.lexsort((codes[i], -log_proba[i])) == np.arange(80)).all()
        every = log_proba_of(model, X[[i] * 80], codes[i])
        np.testing.assert_allclose(log_proba[i], every, rtol=1e-14, atol=1e-14)
        np.testing.assert_allclose(every, np.array(leaf_logs(model, X[[i]].toarray()[0]))[codes[i]], rtol=1e-13)
    assert (np.diff(log_proba, axis=1) == 0.0).mean() > 0.1
    for k in (1, 2, 7, 30, 79):
        fewer, logs, bound = top_k(model, X, k)
        np.testing.assert_array_equal(fewer, codes[:, :k])
        np.testing.assert_array_equal(logs, log_proba[:, :k])
        assert (bound <= logs[:, -1]).all()
        assert (bound >= log_proba[:, k]).all()


def test_the_same_bits_as_the_path_of_a_class():
    rng = np.random.default_rng(4)
    model = random_model(rng, random_tree(rng, 300), 80, keep=0.6)
    with config_context(backend="numba"):
        for density in (0.03, 0.6):
            X = random_rows(rng, 300, 80, density)
            codes, log_proba, _ = top_k(model, X, 3)
            for j in range(3):
                np.testing.assert_array_equal(log_proba_of(model, X, codes[:, j]), log_proba[:, j])


@pytest.mark.parametrize("nested", [True, False])
def test_one_row_and_many_give_the_same(nested):
    """Many rows are searched with tables; one row of a large model, or a model whose nodes are not nested, without."""
    rng = np.random.default_rng(5)
    model = random_model(rng, random_tree(rng, 400), 30, keep=0.7, nested=nested)
    X = random_rows(rng, 200, 30, 0.1)
    with config_context(backend="numba"):
        from sksoft.kernels._numba.tree_traces import WEIGHTS_A_ROW

        assert WEIGHTS_A_ROW < len(model.data) < 200 * WEIGHTS_A_ROW
        many = top_k(model, X, 4)
        for i in range(200):
            for part, whole in zip(top_k(model, X[[i]], 4), many):
                np.testing.assert_array_equal(part[0], whole[i])


def test_a_single_class(backend):
    alone = NodeModel.of(ClassTree.of([-1], [0]), np.empty((0, 2)), np.empty(0))
    codes, log_proba, bound = top_k(alone, np.ones((3, 2)), 1)
    assert codes.tolist() == [[0]] * 3
    assert log_proba.tolist() == [[0.0]] * 3
    assert bound.tolist() == [-np.inf] * 3


@pytest.mark.parametrize("seed", range(4))
def test_beams_know_whether_they_are_right(backend, seed):
    rng = np.random.default_rng(seed)
    n_classes = 120
    model = random_model(rng, random_tree(rng, n_classes, arity=4), 10, scale=0.4)
    X = random_rows(rng, 60, 10, 0.5)
    expected = np.array([leaf_logs(model, x) for x in X.toarray()])
    exact, n_wrong = in_order(expected), 0
    for k, width in ((1, 1), (3, 3), (3, 8), (20, 20), (n_classes, n_classes)):
        codes, log_proba, bound = top_k(model, X, k, width)
        assert all(len(set(row)) == k for row in codes)
        np.testing.assert_allclose(log_proba, np.take_along_axis(expected, codes, axis=1), rtol=1e-12)
        assert (np.diff(log_proba, axis=1) <= 0).all()
        wrong = (codes != exact[:, :k]).any(axis=1)
        assert (bound > log_proba[:, -1])[wrong].all()
        n_wrong += wrong.sum()
        for i in range(60):
            others = np.setdiff1d(np.arange(n_classes), codes[i])
            assert bound[i] >= expected[i, others].max(initial=-np.inf) - 1e-12
    assert n_wrong > 0
    for part, whole in zip(top_k(model, X, 5, 10_000), top_k(model, X, 5)):
        np.testing.assert_array_equal(part, whole)


def test_any_number_of_threads_gives_the_same_bits():
    rng = np.random.default_rng(6)
    model = random_model(rng, random_tree(rng, 100), 30)
    X = random_rows(rng, 5000, 30, 0.2)
    results = []
    for n_threads in (1, 2, 5):
        with config_context(backend="numba", n_threads=n_threads):
            results.append(top_k(model, X, 4) + top_k(model, X, 4, 6))
    for other in results[1:]:
        for ours, theirs in zip(other, results[0]):
            np.testing.assert_array_equal(ours, theirs)
