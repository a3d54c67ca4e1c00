"""The tree of smallest mean depth for given frequencies of the classes."""

import numpy as np

from sksoft.hierarchical.class_tree import ClassTree


def huffman_tree(weights, arity: int = 2) -> ClassTree:
    """Merge the m lightest parts until one is left [1]_.

    With p = weights / Σ weights and logarithms to base m no tree of this arity has a smaller mean depth, and

        H ≤ Σ_k p_k depth_k < H + 1,    H = −Σ_k p_k log_m p_k

    (at most H + 1 where some weights are 0). All nodes have m children but the first that is made, which takes what
    would be left over at the root. Among equal weights classes come before nodes, and lower numbers first: so the
    tree is as shallow as it can be, and classes without weight make a balanced bunch.

    Parameters
    ----------
    weights : (K,) array of finite numbers >= 0
        Frequency of each class, in any unit.
    arity : int >= 2
        m.

    Returns
    -------
    tree : ClassTree
        Cost O(K log K), and O(K) for every doubling between the weights that are merged one after the other.

    References
    ----------
    .. [1] Huffman, "A method for the construction of minimum-redundancy codes", Proceedings of the IRE 40, 1952.
    """
    weights = np.asarray(weights, np.float64)
    n_classes = len(weights)
    n_nodes = n_classes + -(-(n_classes - 1) // (arity - 1))
    parent = np.full(n_nodes, -1, np.intp)
    pool = np.argsort(weights, kind="stable")
    weights = weights[pool]
    size, made = (n_classes - 2) % (arity - 1) + 2, n_classes
    while made < n_nodes:
        n_merges = 1
        if size == arity:
            # The next node weighs `limit`: whatever weighs no more is merged before any node made from here on.
            limit = weights[:size].reshape(1, size).sum(axis=1)
            n_merges = int(np.searchsorted(weights, limit, side="right")[0]) // size
        merged = n_merges * size
        new = np.arange(made, made + n_merges)
        parent[pool[:merged]] = np.repeat(new, size)
        sums = weights[:merged].reshape(n_merges, size).sum(axis=1)
        place = np.searchsorted(weights[merged:], sums, side="right")
        pool, weights = np.insert(pool[merged:], place, new), np.insert(weights[merged:], place, sums)
        size, made = arity, made + n_merges
    return ClassTree.of(parent, np.arange(n_classes))
