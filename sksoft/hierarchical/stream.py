"""``partial_fit``: what a model knows of a stream of rows, each seen once, and how the next rows change it.

After any number of chunks the coefficients are near the optimum of

    Σᵢ sᵢ L(tᵢ, z(xᵢ)) + ‖W‖² / (2 C)

with i over the rows of *all* chunks: a row that is shown again is a second row, so E epochs over the same rows come
near the fit to these rows with E times the `C`. The steps, and their metric, are in
:mod:`sksoft.kernels.tree_steps`: one for each node on a row's path, without a step size.

**Chunks.** Rows are taken in order, and the bits depend on the rows and their order, not on how they were cut into
chunks. So order matters: rows sorted by class are learnt badly, shuffle them. A weight of two is nearly, not exactly,
the row twice: it is one implicit step on twice the loss.

**Features.** With sparse rows a node's coefficients grow as (node, feature) pairs appear, and a node that knows a
quarter of the features gets all. A chunk costs O(entries of X × depth × (children + log p)), and the copy of the
model: chunks of a few hundred rows and more are worth their copy.

**Memory**: beside the coefficients twice as many numbers, and a weight for each feature of each node.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from sksoft.hierarchical.class_tree import ClassTree
from sksoft.hierarchical.node_model import NodeModel
from sksoft.kernels.blocks import row_blocks
from sksoft.kernels.registry import backend_for
from sksoft.kernels.tree_nodes import FULL_SHARE
from sksoft.kernels.tree_paths import ranges
from sksoft.kernels.tree_steps import tree_steps

# Of X, looked at at a time.
ENTRIES = 1 << 20
WRITTEN = ("coef", "point", "curvature", "count", "intercept", "intercept_point", "intercept_curvature", "seen")


@dataclass(frozen=True)
class Stream:
    """What has been learnt from a stream of rows; plain arrays, in the layout of a NodeModel of M nodes and R scores.

    Attributes
    ----------
    n_features : int
        p.
    indptr : (R + 1,) int64
        Entries of each score.
    indices : (nnz,) int32
        Their features; empty for a model of dense rows, which has all.
    coef, point, curvature : (nnz,) float64
        The mean W̄ that is reported, W where the steps stand, and the weighted sum of p (1 − p) x² of each.
    count : float64
        For each feature of each node with scores, node by node, the weight of the rows that had it.
    intercept, intercept_point, intercept_curvature : (R,) float64
    seen : (M,) float64
        Weight of the rows of each node that decides among children.
    n_entries : int
        Of the rows of X so far.
    """

    n_features: int
    indptr: np.ndarray
    indices: np.ndarray
    coef: np.ndarray
    point: np.ndarray
    curvature: np.ndarray
    count: np.ndarray
    intercept: np.ndarray
    intercept_point: np.ndarray
    intercept_curvature: np.ndarray
    seen: np.ndarray
    n_entries: int

    @classmethod
    def start(cls, tree: ClassTree, n_features: int, *, is_sparse: bool) -> "Stream":
        """Before the first rows: no entries for sparse rows, all R p for dense ones."""
        n_scores = tree.n_scores
        width = 0 if is_sparse else n_features
        n_deciding = int(np.count_nonzero(tree.n_children > 1))
        return cls(
            n_features=n_features,
            indptr=np.arange(n_scores + 1, dtype=np.int64) * width,
            indices=np.empty(0, np.int32),
            coef=np.zeros(n_scores * width),
            point=np.zeros(n_scores * width),
            curvature=np.zeros(n_scores * width),
            count=np.zeros(n_deciding * width),
            intercept=np.zeros(n_scores),
            intercept_point=np.zeros(n_scores),
            intercept_curvature=np.zeros(n_scores),
            seen=np.zeros(tree.n_nodes),
            n_entries=0,
        )

    @classmethod
    def after_fit(cls, model: NodeModel, X, codes, weights, *, past_weight: float, C: float) -> "Stream":
        """Go on from fitted coefficients, as if the rows of the fit had been like those at hand.

        A node that none of these rows reaches remembers nothing, so the first rows to come move it far.

        Parameters
        ----------
        model : NodeModel
        X, codes, weights, C
            As of :func:`advance`.
        past_weight : float
            Of the rows of the fit.
        """
        tree = model.tree
        stream = replace(
            cls.start(tree, model.n_features, is_sparse=True),
            indptr=np.asarray(model.indptr, np.int64),
            indices=np.asarray(model.indices, np.int32),
            coef=np.asarray(model.data, np.float64),
            point=np.asarray(model.data, np.float64),
            curvature=np.zeros(len(model.data)),
            count=np.zeros(int(_n_known(tree, model.indptr).sum())),
            intercept=np.asarray(model.intercept, np.float64),
            intercept_point=np.asarray(model.intercept, np.float64),
        )
        looked = advance(stream, tree, X, codes, weights, C=C, learning=False)
        scale = past_weight / float(np.sum(weights))
        sums = ("curvature", "count", "intercept_curvature", "seen")
        return replace(looked, n_entries=0, **{name: scale * getattr(looked, name) for name in sums})

    @property
    def has_all_features(self) -> bool:
        """Whether the rows were dense."""
        return len(self.indices) < len(self.coef)

    def model(self, tree: ClassTree) -> NodeModel:
        """The parameters as they stand."""
        return NodeModel(tree, self.n_features, self.indptr, self.indices, self.coef, self.intercept)

    def coefficients(self):
        """(R, p): CSR, or a dense array where the rows were dense."""
        shape = len(self.intercept), self.n_features
        if self.has_all_features:
            return self.coef.reshape(shape)
        return sparse.csr_array((self.coef, self.indices, self.indptr), shape=shape)

    def dump(self) -> dict[str, Any]:
        """Arrays and numbers, from which ``Stream(**plain)`` goes on with the same bits."""
        return dict(vars(self))


def advance(
    stream: Stream, tree: ClassTree, X, codes, weights, *, C: float, label_smoothing: float = 0.0, learning: bool = True
) -> Stream:
    """Learn rows, in order; the stream given stays as it was.

    Parameters
    ----------
    stream : Stream
    tree : ClassTree
    X : (n, p) float64, CSR or dense, as the stream was started for
        Finite.
    codes : (n,) int in [0, K)
        Class of each row.
    weights : (n,) float64
        Not negative; rows of weight zero are no rows.
    C : float in (0, inf)
    label_smoothing : float in [0, 1)
        ε: the path is left with probability ε at each node, for a child drawn from all its children.
    learning : bool
        Whether the parameters move, or only what is remembered of the rows.

    Returns
    -------
    stream : Stream
    """
    kept = np.flatnonzero(weights)
    weights, leaves = np.asarray(weights, np.float64)[kept], tree.leaf[codes][kept]
    X = X if len(kept) == X.shape[0] else X[kept]
    entries = X.nnz if sparse.issparse(X) else X.size
    blocks = row_blocks(len(kept), -(-entries // max(len(kept), 1)), ENTRIES)
    stream = replace(
        stream, **{name: getattr(stream, name).copy() for name in WRITTEN}, n_entries=stream.n_entries + entries
    )
    with backend_for(stream.n_entries, tree_steps.auto_size)():
        for rows in blocks:
            parts = _without_zeros(X[rows])
            stream = _grown(stream, tree, parts, leaves[rows])
            n_known = _n_known(tree, stream.indptr)
            tree_steps(
                *(*parts, leaves[rows], weights[rows]),
                ridge=1.0 / C,
                smoothing=label_smoothing,
                learning=learning,
                parent=tree.parent,
                first_child=tree.first_child,
                first_score=tree.first_score,
                n_features=stream.n_features,
                score_indptr=stream.indptr,
                score_indices=stream.indices,
                node_start=np.cumsum(n_known) - n_known,
                **{name: getattr(stream, name) for name in WRITTEN},
            )
    return stream


def _without_zeros(X) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, columns and starts of the rows, sorted, each entry once."""
    if not sparse.issparse(X):
        X = sparse.csr_array(X)
    elif not (X.has_canonical_format and X.data.all()):
        X = X.copy()
        X.sum_duplicates()
        X.eliminate_zeros()
    return X.data, X.indices, X.indptr


def _n_known(tree: ClassTree, indptr: np.ndarray) -> np.ndarray:
    """(M,): number of features of each node; none where nothing is decided."""
    first = tree.first_score
    decides = np.diff(first) > 0
    n_known = np.zeros(tree.n_nodes, np.int64)
    n_known[decides] = np.diff(indptr)[first[:-1][decides]]
    return n_known


def _grown(stream: Stream, tree: ClassTree, parts, leaves: np.ndarray) -> Stream:
    """The same stream, with zero coefficients for the features that are new to a node."""
    if stream.has_all_features:
        return stream
    n_features, n_known = stream.n_features, _n_known(tree, stream.indptr)
    pairs = _pairs(tree, n_known == n_features, parts, leaves, n_features)
    inside = ranges(stream.indptr[np.minimum(tree.first_score[:-1], tree.n_scores)], n_known)
    known = np.repeat(np.arange(tree.n_nodes), n_known) * n_features + stream.indices[inside]
    place = np.searchsorted(known, pairs)
    new = pairs[known[np.minimum(place, len(known) - 1)] != pairs] if len(known) else pairs
    if not len(new):
        return stream
    merged = _completed(np.sort(np.concatenate([known, new]), kind="stable"), tree.n_nodes, n_features)
    n_merged = np.bincount(merged // n_features, minlength=tree.n_nodes)
    node = np.repeat(np.arange(tree.n_nodes), np.diff(tree.first_score))
    start, was_start = np.cumsum(n_merged) - n_merged, np.cumsum(n_known) - n_known
    indptr = np.concatenate([[0], np.cumsum(n_merged[node])])
    # where the entries that were there go: to a place among their node's features, in the row that they were in
    place = np.searchsorted(merged, known)
    moved = place[ranges(was_start[node], n_known[node])] + np.repeat(indptr[:-1] - start[node], n_known[node])
    return replace(
        stream,
        indptr=indptr,
        indices=(merged[ranges(start[node], n_merged[node])] % n_features).astype(np.int32),
        coef=_spread(stream.coef, moved, indptr[-1]),
        point=_spread(stream.point, moved, indptr[-1]),
        curvature=_spread(stream.curvature, moved, indptr[-1]),
        count=_spread(stream.count, place, len(merged)),
    )


def _pairs(tree: ClassTree, is_full: np.ndarray, parts, leaves: np.ndarray, n_features: int) -> np.ndarray:
    """node · p + feature of all nodes with scores on the rows' paths that have not all features; sorted, once each."""
    _, indices, indptr = parts
    wanted = (np.diff(tree.first_score) > 0) & ~is_full
    above = _on_paths(tree, wanted)
    keys = np.repeat(leaves, np.diff(indptr)) * n_features + indices
    found = [np.empty(0, np.int64)]
    while len(keys := _once_each(keys[above[keys // n_features]])):
        keys = tree.parent[keys // n_features] * n_features + keys % n_features
        found.append(keys[wanted[keys // n_features]])
    return _once_each(np.concatenate(found))


def _once_each(keys: np.ndarray) -> np.ndarray:
    """Sorted, in place; ``np.unique`` makes a hash table first, which takes several times as long."""
    keys.sort()
    return keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys


def _on_paths(tree: ClassTree, wanted: np.ndarray) -> np.ndarray:
    """(M,): whether a node has an ancestor that is wanted."""
    above = np.zeros(tree.n_nodes, bool)
    levels = np.searchsorted(tree.depth, np.arange(1, tree.depth[-1] + 2))
    for top, bottom in pairwise(levels):
        mothers = tree.parent[top:bottom]
        above[top:bottom] = above[mothers] | wanted[mothers]
    return above


def _completed(keys: np.ndarray, n_nodes: int, n_features: int) -> np.ndarray:
    """With all features of the nodes that have a quarter of them."""
    n_known = np.bincount(keys // n_features, minlength=n_nodes)
    is_full = n_known >= FULL_SHARE * n_features
    is_full[n_known == 0] = False
    partial = keys[~is_full[keys // n_features]]
    full = (np.flatnonzero(is_full)[:, None] * n_features + np.arange(n_features)).ravel()
    return np.sort(np.concatenate([partial, full]), kind="stable")


def _spread(values: np.ndarray, place: np.ndarray, size: int) -> np.ndarray:
    out = np.zeros(size)
    out[place] = values
    return out
