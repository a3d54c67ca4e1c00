"""The tree that the parameters of an estimator and its rows make."""

import numpy as np
from scipy import sparse

from sksoft.hierarchical.balanced_tree import balanced_tree
from sksoft.hierarchical.class_tree import ClassTree
from sksoft.hierarchical.huffman_tree import huffman_tree
from sksoft.hierarchical.kmeans_tree import class_centroids, kmeans_tree
from sksoft.kernels import placement

# Names that the `tree` parameter takes, beside a taxonomy.
GROWN = ("auto", "huffman", "balanced", "kmeans")
# The largest arity there is, and one that costs little more than two: a softmax of 8 has 8/3 of the scores of 3 pairs.
WIDEST, WIDE = 100, 8
CHEAP = 1 << 24


def is_taxonomy(tree) -> bool:
    """Whether `tree` is the user's own, not the name of one to be grown; ValueError for a name that is none."""
    if isinstance(tree, str) and tree not in GROWN:
        raise ValueError(f"The 'tree' parameter must be one of {GROWN} or a taxonomy. Got {tree!r} instead.")
    return not isinstance(tree, str)


def grow_tree(tree: str, arity: int | None, X, codes: np.ndarray, weights: np.ndarray, n_classes: int) -> ClassTree:
    """Grow a tree for the rows X (n, p) of classes `codes`.

    ``'auto'`` is k-means whose parts are balanced by the weight of the classes: alike ones are told apart last, and the
    mean depth is near Huffman's.
    """
    if arity is None:
        arity = cheap_arity(X, weights, n_classes) if tree == "auto" else 2
    if tree == "balanced" or arity >= n_classes:  # one node has no tree to choose
        return balanced_tree(n_classes, arity)
    class_weight = _without_rounding(np.bincount(codes, weights=weights, minlength=n_classes))
    if tree == "huffman":
        return huffman_tree(class_weight, arity)
    centroids = class_centroids(X, codes, weights, n_classes)
    return kmeans_tree(centroids, class_weight, arity, balance="mass" if tree == "auto" else "count")


def _without_rounding(sums: np.ndarray) -> np.ndarray:
    """The sums to 32 bits, so that those equal but for rounding are equal, and so is half of a sum of them.

    ``class_weight='balanced'`` makes all classes equally heavy, and neither the order of the rows nor a weight in the
    place of a repetition is to choose the tree.
    """
    mantissa, exponent = np.frexp(sums)
    return np.ldexp(np.rint(np.ldexp(mantissa, 32)), exponent - 32)


def cheap_arity(X, weights: np.ndarray, n_classes: int) -> int:
    """As wide as costs at most `CHEAP` products a sweep, Σ_i s_i nnz(x_i) × arity × log_arity K; at least two."""
    entries = np.diff(X.indptr) if sparse.issparse(X) else placement.to_host(np.count_nonzero(X, axis=1))
    total = float(weights @ entries)
    for arity in (n_classes, WIDE):
        if arity <= min(n_classes, WIDEST) and total * arity * np.log(n_classes) / np.log(arity) <= CHEAP:
            return arity
    return 2
