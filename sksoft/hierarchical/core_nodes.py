"""Large dense nodes of three children or more, by the solver of all softmax regressions.

Their products with X are worth a matrix library and their curvature a preconditioner: they are an ``Objective`` for
``newton_cg`` as ``SoftmaxRegression``'s are, with columns standardised inside. With fewer rows than columns the problem
is turned into the span of the rows: with Aᵀ = Q R, the optimum over V with the n columns of Rᵀ is that of W = V Qᵀ, the
same value and the same gap, for the gradient of the loss lies in that span.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg, special

from sksoft.hierarchical.class_tree import ClassTree
from sksoft.hierarchical.sorted_rows import SortedRows
from sksoft.kernels import placement
from sksoft.objective.batches import InMemory
from sksoft.objective.design import DENSE_SHARE
from sksoft.objective.device_design import standardised
from sksoft.objective.links import LINKS
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.objective import Objective
from sksoft.objective.penalties import Ridge
from sksoft.objective.scores import Linear
from sksoft.objective.targets import Labels, SmoothedLabels, SoftLabels
from sksoft.solvers import Solution, newton_cg, sketched

# From this many products of a number of X and a score, a node is worth its own preconditioner.
LARGE = 1 << 18


@dataclass(frozen=True)
class CoreFit:
    """Parameters of one node over all its features, and what was proved, in units of C × weight.

    Attributes
    ----------
    coef : ndarray (m, a)
    intercept : ndarray (m,)
    report : tuple of float
        F_v, gap, largest absolute entry of the gradient, Newton steps, and whether the gap is small enough.
    """

    coef: np.ndarray
    intercept: np.ndarray
    report: tuple[float, float, float, int, bool]


def core_nodes(tree: ClassTree, rows: SortedRows, nodes: np.ndarray, n_features: np.ndarray) -> np.ndarray:
    """Which of `nodes`, with so many features each, are for the core: a mask."""
    first, last = rows.of_nodes(tree, nodes)
    n_children, n_rows = tree.n_children[nodes], last - first
    entries = rows.indptr[last] - rows.indptr[first]
    size = n_rows * n_features
    wide = (n_children > 2) & (size * n_children >= LARGE) & (entries >= DENSE_SHARE * size)
    for number in np.flatnonzero(wide):
        children = np.arange(*tree.first_child[nodes[number] : nodes[number] + 2])
        start, stop = rows.of_nodes(tree, children)
        wide[number] = np.count_nonzero(stop > start) > 1
    return wide


def fit_core_node(
    tree: ClassTree, rows: SortedRows, node: int, features: np.ndarray | None, settings, start: tuple | None
) -> CoreFit:
    """Fit one node over `features`, or all; from ``start = (coef, intercept)`` or from the children's shares."""
    X, target, weights, entropy = _rows_of(tree, rows, node, features, settings)
    basis = None
    if len(X) < X.shape[1] and not placement.on_device(X):
        basis, R = linalg.qr(X.T, mode="economic", check_finite=False)
        X = np.ascontiguousarray(R.T)
    unit = settings.C * weights.sum()
    scores = Linear(X.shape[1], target.n_classes, fit_intercept=True)
    design = standardised(X, weights, intercept=True)
    penalty = Ridge(scores.spread(1.0 / (unit * design.scale**2)))
    objective = Objective(FenchelYoung(LINKS["softmax"]), scores, InMemory(design, target, weights), penalty)
    if start is None:
        shares = objective.batches.class_shares()
        w = scores.pack(0.0, np.log(shares) - np.log(shares).mean())
        w = sketched(objective, w) if objective.sketchable else w
    else:
        coef = start[0] if basis is None else start[0] @ basis
        w = scores.pack(coef * design.scale, start[1] + coef @ design.centre)
    solution = newton_cg(objective, w, tol=settings.tol, max_iter=settings.max_iter)
    coef, intercept = scores.unpack(solution.w)
    coef = coef / design.scale
    intercept = intercept - coef @ design.centre
    coef = coef if basis is None else coef @ basis.T
    return CoreFit(coef, intercept - intercept.mean(), _report(solution, unit, entropy))


def _rows_of(tree: ClassTree, rows: SortedRows, node: int, features: np.ndarray | None, settings):
    """A node's rows, targets, weights and the targets' mean entropy; pseudo-observations last where there are any."""
    (first,), (last,) = rows.of_nodes(tree, np.array([node]))
    children = np.arange(tree.first_child[node], tree.first_child[node + 1])
    n_rows = np.subtract(*rows.of_nodes(tree, children)[::-1])
    m, smoothing = len(children), settings.label_smoothing
    child = np.repeat(np.arange(m), n_rows)
    X, weights = rows.block(first, last, features), rows.weights[first:last]
    row_entropy = special.entr([1.0 - smoothing + smoothing / m, *[smoothing / m] * (m - 1)]).sum()
    if n_rows.all():
        return X, SmoothedLabels(child, m, smoothing) if smoothing else Labels(child, m), weights, float(row_entropy)
    proba = np.vstack([np.eye(m)[child] * (1.0 - smoothing) + smoothing / m, _leaf_shares(tree, children)])
    entropy = np.average([row_entropy, special.entr(proba[-1]).sum()], weights=[weights.sum(), settings.prior_count])
    X, weights = np.concatenate([X, np.zeros_like(X[:1])]), np.append(weights, settings.prior_count)
    return X, SoftLabels(proba), weights, float(entropy)


def _leaf_shares(tree: ClassTree, children: np.ndarray) -> np.ndarray:
    n_leaves = (tree.last_leaf - tree.first_leaf)[children]
    return n_leaves / n_leaves.sum()


def _report(solution: Solution, unit: float, entropy: float) -> tuple[float, float, float, int, bool]:
    """In units of C × weight, of cross-entropies: the loss of the core leaves out the targets' entropy."""
    value, bound = solution.value + entropy, solution.certificate.bound
    return value * unit, bound * unit, solution.gradient_norm * unit, solution.n_iter, solution.converged
