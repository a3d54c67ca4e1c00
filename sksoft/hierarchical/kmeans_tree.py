"""Trees in which classes with similar rows stand near each other."""

import numpy as np
from scipy import sparse

from sksoft.hierarchical.class_tree import ClassTree
from sksoft.kernels import placement
from sksoft.kernels.blocks import row_blocks
from sksoft.kernels.class_splits import split_classes

# Up to so many classes depth costs little, and natural parts are worth more than equal ones; beyond they are not.
FEW_CLASSES, LEAST_SHARE = 256, 0.1
# The mean of fewer rows is itself by chance more than by its class.
NOISY_ROWS = 30.0
# Indicators of classes that are moved to a device at once.
INDICATOR_BYTES = 1 << 26


def class_centroids(X, codes, weights, n_classes: int):
    """``Σ_i weight_i x_i`` over the rows of each class.

    Parameters
    ----------
    X : ndarray, device array or CSR (n, p)
    codes : (n,) int, in 0 … n_classes − 1
    weights : (n,) float >= 0, or None for ones
    n_classes : int
        K.

    Returns
    -------
    sums : ndarray (K, p), or csr_array (K, p) of a sparse X
        Cost O(entries of X); of rows on a device O(n p K), in matrix products. The indices of a row are not sorted.
    """
    if placement.on_device(X):
        return _device_centroids(X, codes, np.ones(len(codes)) if weights is None else weights, n_classes)
    rows = np.argsort(codes, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=n_classes))])
    members = np.ones(len(codes)) if weights is None else np.asarray(weights, np.float64)[rows]
    return sparse.csr_array((members, rows, indptr), shape=(n_classes, len(codes))) @ X


def _device_centroids(X, codes, weights, n_classes: int) -> np.ndarray:
    """The sums by products with indicators of the classes, a block of rows at a time."""
    sums = 0.0
    for rows in row_blocks(len(X), 8 * n_classes, INDICATOR_BYTES):
        indicators = np.zeros((rows.stop - rows.start, n_classes))
        indicators[np.arange(len(indicators)), codes[rows]] = weights[rows]
        sums = sums + placement.where(X, indicators).T @ X[rows]
    return placement.to_host(sums)


def kmeans_tree(centroids, weights, arity: int = 2, *, balance: str = "mass") -> ClassTree:
    """Split the classes in two by spherical 2-means of their mean rows, and each part again ([1]_, [2]_).

    A class is a vector of length one: from a sparse matrix of sums c over totals t_j = Σ_k |c_kj|, its direction in
    c_kj / √t_j, which keeps frequent features from deciding everything; from a dense one the direction of its mean row
    less the mean of all rows. In the means of the parts it counts with the root of its weight f, and for its own
    comparison min(1, NOISY_ROWS / f) of it is left out: the mean of few rows resembles itself by chance.

    Parameters
    ----------
    centroids : ndarray or sparse matrix (K, p) of finite numbers
        Sums of the rows of each class, as :func:`class_centroids` has them.
    weights : (K,) float >= 0
        Weight of each class in rows. Without any the class goes to either part, by halves.
    arity : int >= 2
        m. A node of more than two children splits the heaviest part again until there are m.
    balance : {'mass', 'count'}
        ``'mass'``: a part has half of its node's weight, as nearly as classes allow, so that the mean depth is near
        Huffman's; where K ≤ FEW_CLASSES it has LEAST_SHARE of it or more. ``'count'``: half of the classes, so that
        the depth is ⌈log₂ K⌉.

    Returns
    -------
    tree : ClassTree
        Cost O(entries · depth), at most MAX_ROUNDS passes a level; memory O(entries + K), and p for each thread.

    References
    ----------
    .. [1] Dhillon, Modha, "Concept decompositions for large sparse text data using clustering", Machine Learning 42,
       2001: spherical k-means.
    .. [2] Prabhu et al., "Parabel: partitioned label trees for extreme classification", WWW 2018: balanced 2-means of
       labels.
    """
    weights = np.asarray(weights, np.float64)
    known = weights > 0
    mass = _mass(weights) if balance == "mass" else np.ones(len(weights))
    least = LEAST_SHARE if balance == "mass" and len(weights) <= FEW_CLASSES else 0.5
    rows = _directions(centroids, weights)
    roots = np.sqrt(weights)
    own = np.where(np.diff(rows.indptr) > 0, roots * np.minimum(1.0, NOISY_ROWS / np.where(known, weights, 1.0)), 0.0)
    arrays = rows.data, rows.indices, rows.indptr, roots, own, mass
    tree = _binary_tree(*split_classes(*arrays, n_features=rows.shape[1], least=least))
    return tree if arity == 2 else _widened(tree, mass, arity)


def _mass(weights) -> np.ndarray:
    """The weights; classes without one together count less than any with, and halve exactly: a power of two."""
    positive = weights > 0
    _, exponent = np.frexp(weights[positive].min(initial=1.0) / len(weights))
    return np.where(positive, weights, np.ldexp(1.0, exponent - 10))


def _directions(centroids, weights) -> sparse.csr_array:
    """What is compared: rows of length one, or zero."""
    if sparse.issparse(centroids):
        rows = sparse.csr_array(centroids, copy=True)
        totals = np.bincount(rows.indices, np.abs(rows.data), rows.shape[1])
        rows.data /= np.sqrt(np.where(totals > 0, totals, 1.0))[rows.indices]
    else:
        known = weights > 0
        means = centroids / np.where(known, weights, 1.0)[:, None]
        means -= np.average(means, axis=0, weights=weights if known.any() else None)
        rows = sparse.csr_array(np.where(known[:, None], means, 0.0))
    rows.eliminate_zeros()
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    lengths = np.sqrt(np.bincount(row, rows.data**2, rows.shape[0]))
    rows.data /= np.where(lengths > 0, lengths, 1.0)[row]
    return rows


def _binary_tree(order, cut_parent, leaf_parent) -> ClassTree:
    """Position i is node 2 i, cut c is node 2 c − 1: so brothers are numbered from left to right."""
    parent = np.empty(2 * len(order) - 1, np.intp)
    parent[::2], parent[1::2] = 2 * leaf_parent - 1, 2 * cut_parent[1:] - 1
    leaf = np.empty(len(order), np.intp)
    leaf[order] = 2 * np.arange(len(order))
    return ClassTree.of(np.maximum(parent, -1), leaf)


def _widened(tree: ClassTree, mass, arity: int) -> ClassTree:
    """Replace the heaviest child of a node by its two children until there are `arity`, from the root down."""
    below = np.concatenate([[0.0], np.cumsum(mass[tree.class_of[tree.leaf[np.argsort(tree.position)]]])])
    heaviness = below[tree.last_leaf] - below[tree.first_leaf]
    heaviness[tree.n_children == 0] = -1.0
    parent = np.full(tree.n_nodes, -1)
    nodes = np.flatnonzero(tree.n_children[:1])
    while len(nodes):
        parts, weight = np.full((len(nodes), arity), -1), np.full((len(nodes), arity), -1.0)
        parts[:, 0], weight[:, 0] = nodes, heaviness[nodes]
        for n_parts in range(1, arity):
            rows = np.flatnonzero(weight.max(axis=1) >= 0.0)
            column = weight[rows].argmax(axis=1)
            left = tree.first_child[parts[rows, column]]
            parts[rows, column], weight[rows, column] = left, heaviness[left]
            parts[rows, n_parts], weight[rows, n_parts] = left + 1, heaviness[left + 1]
        known = parts >= 0
        parent[parts[known]] = np.broadcast_to(nodes[:, None], parts.shape)[known]
        nodes = parts[known & (weight >= 0.0)]
    kept = np.flatnonzero((parent >= 0) | (np.arange(tree.n_nodes) == 0))
    kept = kept[np.argsort(tree.first_leaf[kept], kind="stable")]
    number = np.full(tree.n_nodes + 1, -1)
    number[kept] = np.arange(len(kept))
    return ClassTree.of(number[parent[kept]], number[tree.leaf])
