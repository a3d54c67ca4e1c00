"""Fit all nodes of a tree: one small convex problem each, over the rows that reach it (``sksoft.kernels.tree_nodes``).

The joint objective is a sum over nodes, so the bounds that are proved for them add up,

    F = Σ_v F_v / (C Σ_i s_i)            gap = Σ_v ½ ‖∂F_v/∂W_v‖² / (C Σ_i s_i)  ≥  F − min F
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sksoft.hierarchical.class_tree import ClassTree
from sksoft.hierarchical.core_nodes import core_nodes, fit_core_node
from sksoft.hierarchical.node_model import NodeModel
from sksoft.hierarchical.sorted_rows import SortedRows
from sksoft.kernels import placement
from sksoft.kernels.blocks import serial_blas
from sksoft.kernels.registry import backend_for
from sksoft.kernels.tree_nodes import FULL_SHARE, fit_nodes, node_features

# Below this size the NumPy reference takes a tenth of a second, in units of entries of X; a node costs a millisecond,
# and one with many parameters the cube of their number.
AUTO_SIZE, NODE_SIZE, PARAMETERS = 1 << 18, 1 << 12, 300


@dataclass(frozen=True)
class Settings:
    """What a fit needs beside rows and a tree; see the estimator's parameters."""

    C: float
    label_smoothing: float
    prior_count: float
    tol: float
    max_iter: int


@dataclass(frozen=True)
class Fit:
    """Fitted parameters and what was proved of them.

    Attributes
    ----------
    coef : ndarray or csr_array (R, p)
    intercept : ndarray (R,)
    objective, gap, gradient_norm : float
        Per unit of weight.
    n_iter : int
        Newton steps of the node that took most.
    n_unfinished : int
        Nodes whose bound did not reach the tolerance.
    worst : float
        Their largest bound, as a share of F_v.
    """

    coef: np.ndarray | sparse.csr_array
    intercept: np.ndarray
    objective: float
    gap: float
    gradient_norm: float
    n_iter: int
    n_unfinished: int
    worst: float


def fit_tree(tree: ClassTree, rows: SortedRows, settings: Settings, start: NodeModel | None = None) -> Fit:
    """Fit the parameters of all nodes, from zero or from those of another model of the same tree."""
    nodes = np.flatnonzero(tree.n_children > 1)
    with serial_blas(), backend_for(_size(tree, rows, nodes), AUTO_SIZE, rows.values)():
        n_known = _known_features(tree, rows, nodes)
        parameters = _Parameters.for_nodes(tree, rows, nodes, n_known)
        is_core = core_nodes(tree, rows, nodes, n_known)
        report = np.empty((len(nodes), 5))
        others = np.flatnonzero(~is_core)
        if start is not None:
            _fit_nodes(tree, rows, nodes, parameters, settings, max_iter=0, warm=False)  # finds each node's features
            parameters.carry_over(start)
        elif is_core.any():
            _fit_nodes(tree, rows, nodes[is_core], parameters, settings, max_iter=0, warm=False)
        for number in np.flatnonzero(is_core):
            report[number] = _fit_core(tree, rows, nodes[number], parameters, settings, warm=start is not None)
        report[others] = _fit_nodes(
            tree, rows, nodes[others], parameters, settings, max_iter=settings.max_iter, warm=start is not None
        )
    return _summary(parameters, report, settings, float(rows.weights.sum()))


@dataclass
class _Parameters:
    """Coefficients and intercepts of all nodes, to be filled in; see ``NodeModel`` for the layout."""

    n_features: int
    indptr: np.ndarray
    indices: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray
    is_sparse: bool

    @classmethod
    def for_nodes(cls, tree: ClassTree, rows: SortedRows, nodes: np.ndarray, n_known: np.ndarray) -> "_Parameters":
        n_scores = np.diff(tree.first_score)[nodes]
        indptr = np.concatenate([[0], np.cumsum(np.repeat(n_known, n_scores))]).astype(np.int64)
        indices = np.empty(indptr[-1] if rows.is_sparse else 0, np.int32)
        return cls(rows.n_features, indptr, indices, np.empty(indptr[-1]), np.empty(tree.n_scores), rows.is_sparse)

    @property
    def matrix(self):
        """(R, p): CSR, or an array of full rows."""
        shape = len(self.intercept), self.n_features
        if self.is_sparse:
            return sparse.csr_array((self.coef, self.indices, self.indptr), shape=shape)
        return self.coef.reshape(shape)

    def carry_over(self, start: NodeModel) -> None:
        """Take the coefficients that `start` has, zero where it has none."""
        self.intercept[...] = start.intercept
        if not self.is_sparse:
            self.coef[...] = start.data
            return
        numbers = np.arange(len(self.intercept)) * np.int64(self.n_features)
        known = np.repeat(numbers, np.diff(start.indptr)) + start.indices
        wanted = np.repeat(numbers, np.diff(self.indptr)) + self.indices
        at = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
        found = known[at] == wanted if len(known) else np.zeros(len(wanted), bool)
        self.coef[...] = 0.0
        self.coef[found] = start.data[at[found]]


def _fit_nodes(tree: ClassTree, rows: SortedRows, nodes, parameters: _Parameters, settings, *, max_iter, warm):
    """Write the parameters of `nodes`; what they minimised and its proof, (N, 5)."""
    proof = np.empty((len(nodes), 4))
    values = fit_nodes(
        *(rows.values, rows.indices, rows.indptr, rows.weights),
        nodes=nodes,
        tree=(tree.first_child, tree.first_leaf, tree.last_leaf, tree.first_score),
        row_at=rows.row_at,
        coef_indptr=parameters.indptr,
        settings=(rows.n_features, settings.C, settings.label_smoothing, settings.prior_count, settings.tol, max_iter),
        warm=warm,
        coef_indices=parameters.indices,
        coef=parameters.coef,
        intercept=parameters.intercept,
        proof=proof,
    )
    return np.column_stack([placement.to_host(values), proof])


def _fit_core(tree: ClassTree, rows: SortedRows, node: int, parameters: _Parameters, settings, *, warm: bool):
    """Write the parameters of a node that is for the core; its report."""
    scores = slice(tree.first_score[node], tree.first_score[node + 1])
    entries = slice(parameters.indptr[scores.start], parameters.indptr[scores.stop])
    coef = parameters.coef[entries].reshape(scores.stop - scores.start, -1)
    features = parameters.indices[entries][: coef.shape[1]] if rows.is_sparse else None
    start = (coef.copy(), parameters.intercept[scores].copy()) if warm else None
    fit = fit_core_node(tree, rows, node, features, settings, start)
    coef[...], parameters.intercept[scores] = fit.coef, fit.intercept
    return fit.report


def _size(tree: ClassTree, rows: SortedRows, nodes: np.ndarray) -> int:
    """What decides whether the fit repays a compiler."""
    parameters = rows.n_features * int(tree.n_children.max())
    return len(rows.values) + NODE_SIZE * len(nodes) + AUTO_SIZE * (parameters > PARAMETERS)


def _known_features(tree: ClassTree, rows: SortedRows, nodes: np.ndarray) -> np.ndarray:
    """How many features each node stores."""
    n_features = rows.n_features
    if not rows.is_sparse:
        return np.full(len(nodes), n_features)
    counts = node_features(rows.indices, rows.indptr, *rows.of_nodes(tree, nodes), n_features=n_features)
    counts[counts >= FULL_SHARE * n_features] = n_features
    return counts


def _summary(parameters: _Parameters, report, settings: Settings, weight: float) -> Fit:
    """Add up what was proved of the nodes; ``report`` is that of ``_fit_nodes``."""
    value, bound, gradient, steps, finished = report.T
    unit = settings.C * weight
    return Fit(
        coef=parameters.matrix,
        intercept=parameters.intercept,
        objective=float(value.sum() / unit),
        gap=float(bound.sum() / unit),
        gradient_norm=float(gradient.max(initial=0.0) / unit),
        n_iter=int(steps.max(initial=0)),
        n_unfinished=int((finished == 0).sum()),
        worst=float((bound / np.maximum(value, np.finfo(np.float64).tiny)).max(initial=0.0)),
    )
