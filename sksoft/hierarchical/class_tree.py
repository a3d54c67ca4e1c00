"""A rooted tree whose leaves are the classes, as flat arrays.

Nodes are numbered level by level from the root, 0, and brothers stand side by side, so that the children of v are the
range ``first_child[v] : first_child[v + 1]`` and a parent's number is smaller than its children's. Read from left to
right the leaves have *positions* 0 … K − 1, and those below v are the range ``first_leaf[v] : last_leaf[v]``: rows
sorted by the position of their class hold the rows of every node side by side.

Node v decides among its m children by

    m ≤ 1   nothing: the only child has probability one
    m = 2   one score z, and probabilities (1 − σ(z), σ(z))
    m ≥ 3   m scores z, and softmax(z)

The scores of all nodes are numbered through: those of v are ``first_score[v] : first_score[v + 1]``. The probability
of a class is the product over its path ([1]_, equation 3).

References
----------
.. [1] Morin, Bengio, "Hierarchical probabilistic neural network language model", AISTATS 2005.
"""

from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from sksoft.kernels.tree_paths import ranges


@dataclass(frozen=True)
class ClassTree:
    """The arrays of a tree with M nodes and K leaves; all intp.

    Attributes
    ----------
    parent : (M,), −1 for the root
    first_child : (M + 1,)
    leaf : (K,), the node of each class
    class_of : (M,), the class of each leaf, −1 for other nodes
    depth : (M,), edges from the root
    first_leaf, last_leaf : (M,), positions of the leaves below, from and up to without the end
    first_score : (M + 1,)
    """

    parent: np.ndarray
    first_child: np.ndarray
    leaf: np.ndarray
    class_of: np.ndarray
    depth: np.ndarray
    first_leaf: np.ndarray
    last_leaf: np.ndarray
    first_score: np.ndarray

    @classmethod
    def of(cls, parent, leaf) -> "ClassTree":
        """Number the nodes of a tree anew.

        Parameters
        ----------
        parent : (M,) int
            The parent of each node, in any numbering; −1 for the root, of which there is one. No cycles.
        leaf : (K,) int
            The node of each class: all nodes without children, each once.

        Returns
        -------
        tree : ClassTree
            Cost O(M log M). Brothers keep the order of their numbers.
        """
        parent = np.asarray(parent, np.intp)
        order, depth = by_level(parent)
        new = np.empty_like(order)
        new[order] = np.arange(len(order))
        parent = np.where(depth == 0, -1, new[parent[order]])
        n_children = np.bincount(parent[1:], minlength=len(parent))
        first_child = np.concatenate([[1], 1 + np.cumsum(n_children)])
        leaf = new[leaf]
        class_of = np.full(len(parent), -1, np.intp)
        class_of[leaf] = np.arange(len(leaf))
        first_leaf, last_leaf = _leaf_ranges(parent, first_child, depth, n_children == 0)
        n_scores = np.where(n_children == 2, 1, np.where(n_children == 1, 0, n_children))
        first_score = np.concatenate([[0], np.cumsum(n_scores)])
        return cls(parent, first_child, leaf, class_of, depth, first_leaf, last_leaf, first_score)

    @property
    def n_nodes(self) -> int:
        return len(self.parent)

    @property
    def n_classes(self) -> int:
        return len(self.leaf)

    @property
    def n_scores(self) -> int:
        return int(self.first_score[-1])

    @property
    def n_children(self) -> np.ndarray:
        """(M,)."""
        return np.diff(self.first_child)

    @property
    def position(self) -> np.ndarray:
        """(K,): where each class stands among the leaves read from left to right."""
        return self.first_leaf[self.leaf]

    def expected_depth(self, weights) -> float:
        """Mean number of edges to a class, with the weights (K,) of the classes."""
        return float(np.average(self.depth[self.leaf], weights=weights))

    def arrays(self) -> dict[str, np.ndarray]:
        """What makes the same tree again: ``ClassTree(**tree.arrays())``."""
        return asdict(self)


def by_level(parent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes by depth, brothers side by side in the order of their fathers, and the depth of each of these."""
    by_parent = np.argsort(parent, kind="stable")  # the root, whose parent is −1, comes first
    n_children = np.bincount(parent + 1, minlength=len(parent) + 1)[1:]
    first = 1 + np.cumsum(n_children) - n_children
    levels = [by_parent[:1]]
    while len(levels[-1]):
        level = levels[-1]
        levels.append(by_parent[ranges(first[level], n_children[level])])
    depth = np.repeat(np.arange(len(levels)), [len(level) for level in levels])
    return np.concatenate(levels), depth


def _leaf_ranges(parent, first_child, depth, is_leaf) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the leaves below each node: counted from the lowest level up, laid out from the root down."""
    n_leaves = is_leaf.astype(np.intp)
    levels = np.concatenate([[0], np.cumsum(np.bincount(depth))])
    for top, bottom in zip(levels[-2:0:-1], levels[:1:-1]):
        np.add.at(n_leaves, parent[top:bottom], n_leaves[top:bottom])
    before = np.cumsum(n_leaves) - n_leaves
    first_leaf = np.zeros_like(n_leaves)
    for top, bottom in pairwise(levels[1:]):
        mothers = parent[top:bottom]
        first_leaf[top:bottom] = first_leaf[mothers] + before[top:bottom] - before[first_child[mothers]]
    return first_leaf, first_leaf + n_leaves
