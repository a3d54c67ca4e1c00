"""Probabilities of all classes, against explicit products, and their sums."""

import numpy as np
import pytest
from random_models import chain_tree, leaf_logs, random_model, random_rows, random_tree
from scipy import sparse
from scipy.special import log_softmax

from sksoft import config_context
from sksoft.hierarchical.balanced_tree import balanced_tree
from sksoft.hierarchical.class_tree import ClassTree
from sksoft.hierarchical.leaf_probabilities import csr_parts, dense_bytes, leaf_proba, node_proba, top_k_csr
from sksoft.hierarchical.node_model import NodeModel
from sksoft.hierarchical.search import top_k


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    with config_context(backend=request.param):
        yield request.param


@pytest.mark.parametrize(("seed", "scale"), [(0, 1.0), (1, 5.0), (2, 300.0), (3, 0.0)])
def test_against_explicit_sums(backend, seed, scale):
    rng = np.random.default_rng(seed)
    model = random_model(rng, random_tree(rng, 70), 12, scale=scale)
    X = random_rows(rng, 15, 12, 0.5)
    expected = np.array([leaf_logs(model, x) for x in X.toarray()])
    for rows in (X, X.toarray(), sparse.csr_matrix(X)):
        np.testing.assert_allclose(leaf_proba(model, rows, log=True), expected, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(leaf_proba(model, rows), np.exp(expected), rtol=1e-9, atol=1e-300)
    assert scale < 300.0 or expected.min() < -800.0


def test_a_dense_model(backend):
    rng = np.random.default_rng(4)
    tree = random_tree(rng, 50)
    model = NodeModel.of(tree, rng.normal(size=(tree.n_scores, 9)), rng.normal(size=tree.n_scores))
    X = random_rows(rng, 30, 9, 0.5)
    expected = np.array([leaf_logs(model, x) for x in X.toarray()])
    np.testing.assert_allclose(leaf_proba(model, X.toarray(), log=True), expected, rtol=1e-12)
    np.testing.assert_allclose(leaf_proba(model, X, log=True), expected, rtol=1e-12)


def test_a_star_is_a_softmax(backend):
    rng = np.random.default_rng(5)
    tree = balanced_tree(300, 300)
    coef, intercept = rng.normal(size=(300, 7)), 500.0 * rng.normal(size=300)
    X = rng.normal(size=(20, 7))
    expected = log_softmax(X @ coef.T + intercept, axis=1)
    got = leaf_proba(NodeModel.of(tree, coef, intercept), X, log=True)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scale", [0.1, 3.0, 300.0])
@pytest.mark.parametrize(
    "tree",
    [chain_tree(1001), balanced_tree(10_000), balanced_tree(10_000, 7), random_tree(np.random.default_rng(6), 3000)],
    ids=["chain", "binary", "wide", "random"],
)
def test_rows_sum_to_one(backend, tree, scale):
    rng = np.random.default_rng(7)
    model = NodeModel.of(tree, scale * rng.normal(size=(tree.n_scores, 2)), scale * rng.normal(size=tree.n_scores))
    X = rng.normal(size=(20, 2))
    np.testing.assert_allclose(leaf_proba(model, X).sum(axis=1), 1.0, rtol=0, atol=1e-12)


def test_equal_classes_down_a_chain_of_1000(backend):
    """Node i stops with probability 1 / (1001 − i): errors add up along the whole chain."""
    tree = chain_tree(1001)
    left = 1001.0 - np.arange(1000)
    model = NodeModel.of(tree, np.zeros((1000, 1)), -np.log(left - 1.0))
    proba = leaf_proba(model, np.ones((1, 1)))
    np.testing.assert_allclose(proba, 1 / 1001, rtol=1e-12)
    assert proba.sum() == pytest.approx(1.0, rel=0, abs=1e-12)
    np.testing.assert_allclose(leaf_proba(model, np.ones((1, 1)), log=True), -np.log(1001), rtol=1e-12)


def test_a_single_class_and_no_rows(backend):
    alone = NodeModel.of(ClassTree.of([-1], [0]), np.empty((0, 2)), np.empty(0))
    assert leaf_proba(alone, np.ones((3, 2))).tolist() == [[1.0]] * 3
    assert leaf_proba(alone, np.ones((3, 2)), log=True).tolist() == [[0.0]] * 3
    rng = np.random.default_rng(8)
    model = random_model(rng, random_tree(rng, 9), 4)
    assert leaf_proba(model, np.ones((0, 4))).shape == (0, 9)


def test_nodes_of_the_upper_levels(backend):
    rng = np.random.default_rng(9)
    model = random_model(rng, random_tree(rng, 60), 6)
    X = random_rows(rng, 9, 6, 0.6)
    every = node_proba(model, X)
    np.testing.assert_array_equal(every[:, model.tree.leaf], leaf_proba(model, X))
    for depth in range(int(model.tree.depth.max()) + 2):
        upper = node_proba(model, X, depth)
        np.testing.assert_allclose(upper, every[:, : (model.tree.depth <= depth).sum()], rtol=1e-13)


def test_any_number_of_threads_gives_the_same_bits():
    rng = np.random.default_rng(10)
    model = random_model(rng, random_tree(rng, 400), 30)
    X = random_rows(rng, 3000, 30, 0.2)
    results = []
    for n_threads in (1, 2, 5):
        with config_context(n_threads=n_threads):
            results.append((leaf_proba(model, X), leaf_proba(model, X.toarray(), log=True)))
    for other in results[1:]:
        for ours, theirs in zip(other, results[0]):
            np.testing.assert_array_equal(ours, theirs)


def test_the_most_probable_as_a_sparse_matrix():
    rng = np.random.default_rng(11)
    model = random_model(rng, random_tree(rng, 60), 6)
    X = random_rows(rng, 9, 6, 0.6)
    codes, log_proba, _ = top_k(model, X, 4)
    found, dense = top_k_csr(codes, np.exp(log_proba), 60), leaf_proba(model, X)
    assert found.shape == (9, 60)
    assert found.nnz == 36
    assert found.has_canonical_format
    kept = np.sort(dense, axis=1)[:, -4:-3]
    np.testing.assert_allclose(found.toarray(), np.where(dense >= kept, dense, 0.0), rtol=1e-12)


def test_bytes():
    assert dense_bytes(3, 5) == leaf_proba_bytes(3, 5)
    assert dense_bytes(10**6, 10**6) == 8 * 10**12


def leaf_proba_bytes(n_rows, n_classes):
    return np.empty((n_rows, n_classes)).nbytes


def test_rows_of_a_dense_array_need_no_columns():
    values, columns, starts = csr_parts(np.arange(6.0).reshape(2, 3).T)
    assert values.tolist() == [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
    assert len(columns) == 0
    assert starts.tolist() == [0, 2, 4, 6]
