"""Complete trees."""

import numpy as np
import pytest

from sksoft.hierarchical.balanced_tree import balanced_tree


@pytest.mark.parametrize("arity", [2, 3, 5, 100])
def test_depths_differ_by_at_most_one_and_classes_keep_their_order(arity):
    for K in [*range(1, 60), 99, 100, 101, 5000]:
        tree = balanced_tree(K, arity)
        depth = tree.depth[tree.leaf]
        lowest = next(d for d in range(K) if arity**d >= K)
        assert depth.max() == lowest
        assert depth.min() >= lowest - 1
        assert tree.position.tolist() == list(range(K))
        inner = tree.n_children[tree.n_children > 0]
        assert (inner >= 2).all()
        assert (inner < arity).sum() <= 1
        assert inner.max(initial=0) <= arity


def test_a_power_of_the_arity_is_a_perfect_tree():
    tree = balanced_tree(27, 3)
    assert np.unique(tree.depth[tree.leaf]).tolist() == [3]
    assert tree.n_scores == 13 * 3


def test_the_smallest_tree_that_is_not_perfect():
    tree = balanced_tree(3)
    assert tree.parent.tolist() == [-1, 0, 0, 1, 1]
    assert tree.leaf.tolist() == [3, 4, 2]
