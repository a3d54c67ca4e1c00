"""Optimality against brute force and a heap, the entropy bound, ties and classes without weight."""

import heapq
from functools import cache

import numpy as np
import pytest

from sksoft.hierarchical.balanced_tree import balanced_tree
from sksoft.hierarchical.huffman_tree import huffman_tree

SETTINGS = [(K, arity) for K in (2, 3, 4, 7, 50, 333) for arity in (2, 3, 5, 17, 100)]


def mean_depth_by_heap(weights, arity):
    """Σ weight · depth of Huffman's algorithm as in a textbook: nodes of weight zero fill up the first merge."""
    heap = [*weights, *[0.0] * (-(len(weights) - 1) % (arity - 1))]
    heapq.heapify(heap)
    total = 0.0
    while len(heap) > 1:
        merged = sum(heapq.heappop(heap) for _ in range(arity))
        total += merged
        heapq.heappush(heap, merged)
    return total


def least_total_depth(weights, arity):
    """By trying all partitions of the classes at each node."""

    @cache
    def best(members):
        if len(members) == 1:
            return 0.0
        return sum(weights[k] for k in members) + min(parts(members, arity))

    def parts(members, left):
        if left == 1 or len(members) == 1:
            yield best(members)
            return
        first, others = members[0], members[1:]
        for chosen in range(1 << len(others)):
            here = (first, *(k for i, k in enumerate(others) if chosen >> i & 1))
            rest = tuple(k for k in members if k not in here)
            if len(here) == len(members) and left == arity:
                continue
            yield best(here) + (min(parts(rest, left - 1)) if rest else 0.0)

    return best(tuple(range(len(weights))))


@pytest.mark.parametrize("seed", range(12))
def test_no_tree_of_the_arity_is_better(seed):
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 10, rng.integers(2, 7)).astype(float) + (seed % 2) * rng.random()
    weights[0] += 1
    for arity in (2, 3, 4):
        tree = huffman_tree(weights, arity)
        assert tree.n_children.max() <= arity
        assert weights @ tree.depth[tree.leaf] == pytest.approx(least_total_depth(weights.tolist(), arity), rel=1e-12)


@pytest.mark.parametrize(("K", "arity"), SETTINGS)
def test_mean_depth_is_that_of_a_heap_and_within_one_of_the_entropy(K, arity):
    rng = np.random.default_rng(K * arity)
    draws = [rng.random(K), 1 / np.arange(1, K + 1), rng.integers(1, 4, K) + 0.0, 1.5 ** -np.arange(K), np.ones(K)]
    for weights in draws:
        tree = huffman_tree(weights, arity)
        total = weights @ tree.depth[tree.leaf]
        assert total == pytest.approx(mean_depth_by_heap(weights, arity), rel=1e-12)
        p = weights / weights.sum()
        entropy = -(p @ np.log(p)) / np.log(arity)
        assert entropy - 1e-12 <= tree.expected_depth(weights) < entropy + 1


@pytest.mark.parametrize("arity", [2, 3, 7])
def test_all_nodes_are_full_but_one_of_the_deepest(arity):
    weights = np.random.default_rng(0).random(101)
    tree = huffman_tree(weights, arity)
    short = np.flatnonzero((tree.n_children > 0) & (tree.n_children < arity))
    assert len(short) == ((101 - 1) % (arity - 1) > 0)
    assert (tree.depth[short] == tree.depth.max() - 1).all()


def test_equal_weights_make_a_complete_tree_whichever_they_are():
    for K in range(1, 40):
        for arity in (2, 3, 10):
            for weight in (0.0, 1.0, 0.1):
                depths = huffman_tree(np.full(K, weight), arity).depth
                np.testing.assert_array_equal(np.sort(depths), np.sort(balanced_tree(K, arity).depth))


def test_classes_without_weight_are_a_balanced_bunch():
    tree = huffman_tree(np.r_[np.zeros(1024), 5.0, 3.0, 2.0], 2)
    assert np.unique(tree.depth[tree.leaf[:1024]]).tolist() == [3 + 10]
    assert tree.depth[tree.leaf[1024:]].tolist() == [1, 2, 3]


def test_ties_are_broken_by_number_and_the_tree_is_as_shallow_as_it_can_be():
    weights = np.array([2.0, 1.0, 1.0, 2.0])  # 1+1 ties with the twos: Huffman's depth may be 2 or 3
    assert huffman_tree(weights).depth.max() == 2
    for key, value in huffman_tree(weights).arrays().items():
        np.testing.assert_array_equal(value, huffman_tree(weights.copy()).arrays()[key])


def test_weights_of_a_wide_range_and_a_single_class():
    weights = 2.0 ** -np.arange(1000)
    assert huffman_tree(weights).depth.max() == 999
    assert huffman_tree([3.0]).n_nodes == 1
