"""Sums of classes, what a split looks for, balance, wide nodes, classes without rows."""

import numpy as np
import pytest
from scipy import sparse

from sksoft import config_context
from sksoft.hierarchical.kmeans_tree import class_centroids, kmeans_tree


def clusters(rng, depth, per_leaf=1, noise=0.2):
    """2^depth · per_leaf classes around the leaves of a binary hierarchy of directions, and the leaf of each."""
    centers = np.zeros((1, 30))
    for level in range(depth):
        centers = np.repeat(centers, 2, axis=0) + 2.0**-level * rng.normal(size=(2 ** (level + 1), 30))
    leaf = np.repeat(np.arange(len(centers)), per_leaf)
    return centers[leaf] + noise * 2.0**-depth * rng.normal(size=(len(leaf), 30)), leaf


def classes_below(tree, node):
    leaves = tree.leaf[np.argsort(tree.position)][tree.first_leaf[node] : tree.last_leaf[node]]
    return set(tree.class_of[leaves].tolist())


def check_is_a_tree_of(tree, K, arity):
    assert tree.n_classes == K
    assert sorted(tree.class_of[tree.class_of >= 0]) == list(range(K))
    inner = tree.n_children[tree.n_children > 0]
    assert (inner >= 2).all()
    assert inner.max(initial=0) <= arity


@pytest.mark.parametrize("weights", [None, np.random.default_rng(0).integers(0, 4, 500).astype(float)])
def test_centroids_are_sums_of_the_rows_of_each_class(weights):
    rng = np.random.default_rng(1)
    X = sparse.random_array((500, 40), density=0.1, format="csr", rng=rng)
    codes = rng.integers(0, 17, 500)
    expected = np.zeros((20, 40))
    np.add.at(expected, codes, X.toarray() * (1.0 if weights is None else weights[:, None]))
    sums = class_centroids(X, codes, weights, 20)
    assert sparse.issparse(sums)
    np.testing.assert_allclose(sums.toarray(), expected, rtol=1e-13)
    np.testing.assert_allclose(class_centroids(X.toarray(), codes, weights, 20), expected, rtol=1e-13)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_hierarchy_of_clusters_is_found(backend):
    centroids, leaf = clusters(np.random.default_rng(3), depth=4, per_leaf=3)
    with config_context(backend=backend):
        tree = kmeans_tree(centroids, np.ones(len(leaf)))
    below = [classes_below(tree, node) for node in range(tree.n_nodes)]
    for cluster in range(16):
        assert set(np.flatnonzero(leaf == cluster).tolist()) in below


@pytest.mark.parametrize("K", [1, 2, 3, 5, 64, 300])
@pytest.mark.parametrize("arity", [2, 3, 10, 100])
@pytest.mark.parametrize("balance", ["mass", "count"])
def test_every_class_is_a_leaf_once(K, arity, balance):
    rng = np.random.default_rng(K)
    weights = np.floor(100 / np.arange(1, K + 1)) * (rng.random(K) < 0.8)
    centroids = sparse.random_array((K, 50), density=0.2, format="csr", rng=rng)
    for rows in (centroids, centroids.toarray() - 0.1):
        tree = kmeans_tree(rows, weights, arity, balance=balance)
        check_is_a_tree_of(tree, K, arity)
        if arity >= K > 1:
            assert tree.depth.max() == 1
        if balance == "count" and arity == 2:
            assert tree.depth.max() == int(np.ceil(np.log2(K)))


def test_mean_depth_is_near_the_entropy():
    K = 3000
    rng = np.random.default_rng(0)
    weights = np.floor(30_000 / np.arange(1, K + 1))
    centroids = sparse.random_array((K, 500), density=0.02, format="csr", rng=rng)
    centroids.data *= np.repeat(weights, np.diff(centroids.indptr))
    p = weights / weights.sum()
    entropy = -(p @ np.log2(p))
    tree = kmeans_tree(centroids, weights)
    assert entropy <= tree.expected_depth(weights) < 1.05 * entropy
    assert tree.depth.max() < 40


def test_a_wide_node_has_the_parts_that_binary_splits_of_the_heaviest_make():
    centroids, leaf = clusters(np.random.default_rng(5), depth=3, per_leaf=4)
    tree = kmeans_tree(centroids, np.ones(len(leaf)), arity=8)
    children = range(tree.first_child[0], tree.first_child[1])
    assert len(children) == 8
    found = [classes_below(tree, child) for child in children]
    assert all(set(np.flatnonzero(leaf == cluster).tolist()) in found for cluster in range(8))


def test_classes_that_nobody_saw_are_halved_by_their_number():
    weights = np.r_[100.0, 50.0, np.zeros(1024)]
    centroids = sparse.csr_array((np.array([3.0, 2.0]), ([0, 1], [0, 1])), shape=(1026, 2))
    tree = kmeans_tree(centroids, weights)
    check_is_a_tree_of(tree, 1026, 2)
    assert tree.depth.max() <= 10 + 2
    assert tree.expected_depth(weights) <= 2
    nothing = kmeans_tree(sparse.csr_array((1024, 3)), np.zeros(1024))
    assert nothing.depth[nothing.leaf].tolist() == [10] * 1024


def test_equal_classes_are_halved():
    tree = kmeans_tree(np.ones((64, 2)), np.ones(64))
    assert tree.depth.max() == 6


def test_a_frequent_class_may_be_alone():
    weights = np.r_[1000.0, np.ones(31)]
    centroids = np.random.default_rng(0).normal(size=(32, 5))
    assert kmeans_tree(centroids, weights).expected_depth(weights) < 1.5


def test_scale_and_repetition_change_nothing():
    rng = np.random.default_rng(2)
    X, codes = rng.normal(size=(400, 6)), rng.integers(0, 30, 400)
    counts = rng.integers(0, 3, 400)
    repeated = np.repeat(np.arange(400), counts)

    def parents(X, codes, weights):
        shares = np.bincount(codes, weights, minlength=30)
        return kmeans_tree(class_centroids(X, codes, weights, 30), shares).parent.tolist()

    by_weight = parents(X, codes, counts.astype(float))
    assert parents(X[repeated], codes[repeated], None) == by_weight
    assert parents(1e6 * X + 3.0, codes, counts.astype(float)) == by_weight


def test_any_number_of_threads_and_explicit_zeros_give_the_same_tree():
    rng = np.random.default_rng(4)
    centroids = sparse.random_array((5000, 300), density=0.05, format="csr", rng=rng)
    with_zeros = centroids.copy()
    with_zeros.data[::7] = 0.0
    without = with_zeros.copy()
    without.eliminate_zeros()
    weights = rng.integers(1, 50, 5000).astype(float)
    trees = []
    for n_threads, rows in ((1, with_zeros), (2, with_zeros), (7, without)):
        with config_context(backend="numba", n_threads=n_threads):
            trees.append(kmeans_tree(rows, weights))
    for tree in trees[1:]:
        np.testing.assert_array_equal(tree.parent, trees[0].parent)
        np.testing.assert_array_equal(tree.leaf, trees[0].leaf)


def test_centroids_are_not_written_to():
    for centroids in (np.random.default_rng(0).random((9, 3)), sparse.eye_array(9, format="csr")):
        before = centroids.copy()
        kmeans_tree(centroids, np.ones(9))
        assert abs(centroids - before).max() == 0
