"""Numbering, ranges of leaves, scores."""

import numpy as np
import pytest

from sksoft.hierarchical.class_tree import ClassTree


def random_tree(rng, n_nodes):
    """Parents of a random tree whose nodes are numbered anyhow, and its childless nodes in any order."""
    parent = np.array([-1, *(rng.integers(0, i) for i in range(1, n_nodes))])
    shuffled = rng.permutation(n_nodes)
    renumbered = np.empty(n_nodes, int)
    renumbered[shuffled] = np.where(parent < 0, -1, shuffled[parent])
    leaves = np.setdiff1d(np.arange(n_nodes), renumbered)
    return renumbered, rng.permutation(leaves)


@pytest.mark.parametrize("seed", range(20))
def test_against_walks_over_the_given_tree(seed):
    rng = np.random.default_rng(seed)
    parent, leaf = random_tree(rng, int(rng.integers(2, 60)))
    tree = ClassTree.of(parent, leaf)

    def path(up, node):
        steps = 0
        while up[node] >= 0:
            node, steps = up[node], steps + 1
        return steps

    assert tree.n_nodes == len(parent)
    assert tree.n_classes == len(leaf)
    assert [tree.depth[v] for v in tree.leaf] == [path(parent, v) for v in leaf]
    assert (np.diff(tree.depth) >= 0).all()
    assert (tree.parent[1:] < np.arange(1, tree.n_nodes)).all()
    for v in range(tree.n_nodes):
        children = np.flatnonzero(tree.parent == v)
        assert list(range(tree.first_child[v], tree.first_child[v + 1])) == list(children)
        n_scores = {0: 0, 1: 0, 2: 1}.get(len(children), len(children))
        assert tree.first_score[v + 1] - tree.first_score[v] == n_scores
        below = {k for k in range(tree.n_classes) if v in ancestors(tree, tree.leaf[k])}
        positions = sorted(tree.position[list(below)])
        assert positions == list(range(tree.first_leaf[v], tree.last_leaf[v]))
        # brothers read from left to right
        assert [tree.first_leaf[c] for c in children] == sorted(tree.first_leaf[c] for c in children)


def ancestors(tree, node):
    while node >= 0:
        yield node
        node = tree.parent[node]


def test_the_shape_is_kept_with_the_order_of_brothers():
    tree = ClassTree.of([-1, 0, 0, 1, 1, 2, 2, 2], [6, 3, 4, 5, 7])
    assert tree.parent.tolist() == [-1, 0, 0, 1, 1, 2, 2, 2]
    assert tree.leaf.tolist() == [6, 3, 4, 5, 7]
    assert tree.class_of.tolist() == [-1, -1, -1, 1, 2, 3, 0, 4]
    assert tree.first_score.tolist() == [0, 1, 2, 5, 5, 5, 5, 5, 5]
    assert tree.expected_depth([1, 1, 1, 1, 4]) == 2


def test_a_long_chain_and_an_only_child_have_no_scores():
    tree = ClassTree.of([-1, 0, 1, 2, 3, 4, 4], [5, 6])
    assert tree.n_scores == 1
    assert tree.depth.tolist() == [0, 1, 2, 3, 4, 5, 5]
    assert ClassTree(**tree.arrays()).parent.tolist() == tree.parent.tolist()
