"""The tree in which all classes are equally deep, or one level apart."""

import numpy as np

from sksoft.hierarchical.class_tree import ClassTree


def balanced_tree(n_classes: int, arity: int = 2) -> ClassTree:
    """Lay the classes, in their order, under the complete tree: all nodes but one have `arity` children.

    With I = ⌈(K − 1) / (m − 1)⌉ inner nodes numbered level by level the parent of node v is ⌊(v − 1) / m⌋. No tree
    of this arity has a smaller mean depth over K equally frequent classes.

    Parameters
    ----------
    n_classes : int >= 1
        K.
    arity : int >= 2
        m.

    Returns
    -------
    tree : ClassTree
        Depths are ⌈log_m K⌉ or one less. Cost O(K log K).
    """
    n_inner = -(-(n_classes - 1) // (arity - 1))
    node = np.arange(n_inner + n_classes)
    parent = np.where(node == 0, -1, (node - 1) // arity)
    # the lowest level stands to the left of the leaves that are one level higher
    lowest = 0
    while arity * lowest + 1 < len(node):
        lowest = arity * lowest + 1
    leaf = np.concatenate([node[max(lowest, n_inner) :], node[n_inner : max(lowest, n_inner)]])
    return ClassTree.of(parent, leaf)
