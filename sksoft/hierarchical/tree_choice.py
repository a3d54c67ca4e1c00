"""The tree that the parameters of an estimator and its rows make."""

import numpy as np

from sksoft.hierarchical.balanced_tree import balanced_tree
from sksoft.hierarchical.class_tree import ClassTree
from sksoft.hierarchical.huffman_tree import huffman_tree
from sksoft.hierarchical.kmeans_tree import class_centroids, kmeans_tree

# Names that the `tree` parameter takes, beside a taxonomy.
GROWN = ("auto", "huffman", "balanced", "kmeans")


def is_taxonomy(tree) -> bool:
    """Whether `tree` is the user's own, not the name of one to be grown; ValueError for a name that is none."""
    if isinstance(tree, str) and tree not in GROWN:
        raise ValueError(f"The 'tree' parameter must be one of {set(GROWN)} or a taxonomy. Got {tree!r} instead.")
    return not isinstance(tree, str)


def grow_tree(tree: str, arity: int, X, codes: np.ndarray, weights: np.ndarray, n_classes: int) -> ClassTree:
    """Grow a tree for the rows X (n, p) of classes `codes`.

    ``'auto'`` is k-means whose parts are balanced by the weight of the classes: alike ones are told apart last, and the
    mean depth is near Huffman's.
    """
    if tree == "balanced":
        return balanced_tree(n_classes, arity)
    shares = np.bincount(codes, weights=weights, minlength=n_classes)
    if tree == "huffman":
        return huffman_tree(shares, arity)
    centroids = class_centroids(X, codes, weights, n_classes)
    return kmeans_tree(centroids, shares, arity, balance="mass" if tree == "auto" else "count")
