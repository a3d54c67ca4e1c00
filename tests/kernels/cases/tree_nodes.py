"""Cases of fits at the nodes of a tree: narrow and wide nodes, only children, children and nodes without rows, closed
forms, full, dense and sparse rows, few rows and many, smoothing, one step and a warm start.

All arrays are float64 whatever dtype is asked for: trees are not offered in float32. Fits are solved to the limit of
float64 (tol=0): F is 1-strongly convex in W, so two solutions with bounds b differ by √(8 b) at most, and a bound at
the limit is 1e-20 of F or less here. That is what `rtol` and `atol` ask of the coefficients. How many steps that took
and how small the bound got is each implementation's own, the argument `proof`.
"""

import numpy as np
from scipy import sparse

from cases import Case, tree_steps
from cases.tree_steps import BOTH
from sksoft.hierarchical.class_tree import ClassTree
from sksoft.kernels.tree_nodes import FULL_SHARE

SOLVED = {"rtol": dict.fromkeys(BOTH, 1e-9), "atol": dict.fromkeys(BOTH, 1e-10)}
OUTPUTS = ("coef_indices", "coef", "intercept")
# (parent, leaves)
TREES = {**tree_steps.TREES, "broad": ([-1, *[0] * 12], list(range(1, 13)))}


def sorted_rows(name, n, p, density, *, full=False, empty=(), order="random"):
    """A tree, rows of random classes sorted by position, and where each class' rows are."""
    rng = np.random.default_rng(20_261_121)
    tree = ClassTree.of(*TREES[name])
    X = rng.normal(size=(n, p)) * (rng.random((n, p)) < density)
    X[::9] = 0.0
    classes = np.setdiff1d(np.arange(tree.n_classes), empty)
    codes = rng.choice(classes, n) if len(classes) and n else np.empty(0, np.intp)
    position = np.sort(tree.position[codes])
    row_at = np.concatenate([[0], np.cumsum(np.bincount(position, minlength=tree.n_classes))])
    X += 0.5 * np.eye(tree.n_classes, p)[position] * (X != 0)
    if full:
        return tree, (X.ravel(), np.empty(0, np.int32), np.arange(n + 1) * p), row_at
    X = sparse.csr_array(X)
    return tree, (X.data, X.indices.astype(np.int32), X.indptr.astype(np.int64)), row_at


def node_rows(tree, row_at):
    nodes = np.flatnonzero(tree.n_children > 1)
    return nodes, row_at[tree.first_leaf[nodes]], row_at[tree.last_leaf[nodes]]


def known_features(tree, rows, row_at, p):
    """Of every node that decides, as fits keep them."""
    nodes, first, last = node_rows(tree, row_at)
    _, indices, indptr = rows
    known = np.array([len(np.unique(indices[indptr[lo] : indptr[hi]])) for lo, hi in zip(first, last)], np.int64)
    known[known >= FULL_SHARE * p] = p
    return nodes, known if len(indices) else np.full(len(nodes), p)


def fit_arguments(
    name, *, n=60, p=6, density=0.6, full=False, empty=(), C=0.7, smoothing=0.0, prior=1.0, max_iter=100, warm=False
):
    tree, rows, row_at = sorted_rows(name, n, p, density, full=full, empty=empty)
    rng = np.random.default_rng(n + p)
    nodes, known = known_features(tree, rows, row_at, p)
    if not full and not len(rows[1]):
        known[...] = 0
    width = np.zeros(tree.n_nodes, np.int64)
    width[nodes] = known
    coef_indptr = np.concatenate([[0], np.cumsum(np.repeat(width, np.diff(tree.first_score)))])
    size = coef_indptr[-1]
    return (*rows, rng.random(n) + 0.5), {
        "nodes": nodes,
        "tree": (tree.first_child, tree.first_leaf, tree.last_leaf, tree.first_score),
        "row_at": row_at,
        "coef_indptr": coef_indptr,
        "settings": (p, C, smoothing, prior, 0.0, max_iter),
        "warm": warm,
        "coef_indices": np.full(0 if full else size, -1, np.int32),
        "coef": rng.normal(size=size),
        "intercept": rng.normal(size=tree.n_scores),
        "proof": np.full((len(nodes), 4), np.nan),
    }


def fit_case(name, **how):
    """By default of more rows than are simulated on a device, where a step takes seconds."""
    how = {"n": 100, **how}
    label = "-".join([name, *(f"{key}={value}" for key, value in how.items())])
    return Case(label, lambda dtype: fit_arguments(name, **how), OUTPUTS, own_outputs=("proof",), **SOLVED)


def count_case(name, n, p, density):
    def build(dtype):
        tree, (_, indices, indptr), row_at = sorted_rows(name, n, p, density)
        return (indices, indptr, *node_rows(tree, row_at)[1:]), {"n_features": p}

    return Case(f"{name}-{n}x{p}-{density}", build)


CASES = {
    "node_features": [
        *(count_case(name, 60, 6, 0.6) for name in TREES),
        count_case("mixed", 200, 500, 0.02),
        count_case("mixed", 0, 5, 1.0),
        count_case("mixed", 30, 5, 0.0),
    ],
    "fit_nodes": [
        *(fit_case(name, full=full) for name in TREES for full in (False, True)),
        fit_case("mixed", n=300, p=60, density=0.05),
        fit_case("broad", n=300, p=200, density=0.03),
        fit_case("mixed", n=12, p=40, density=1.0, full=True),
        fit_case("mixed", empty=(0,)),
        fit_case("mixed", empty=(1, 2, 5), smoothing=0.3, prior=2.5),
        fit_case("mixed", empty=(0, 1, 2, 3, 5), full=True),
        fit_case("chain", empty=(0, 1, 2), prior=1e-3),
        fit_case("star", n=0),
        fit_case("star", n=0, full=True),
        fit_case("pair", density=0.0),
        fit_case("pair", n=40, p=1, density=0.6),
        fit_case("pair", n=12, p=12, density=0.4, C=0.1),
        fit_case("star", n=30, p=2, warm=True, max_iter=0),
        fit_case("star", smoothing=0.2, C=30.0),
        fit_case("broad", smoothing=0.2, C=0.01),
        fit_case("mixed", warm=True),
        fit_case("mixed", warm=True, max_iter=0),
        fit_case("mixed", warm=True, max_iter=0, full=True, smoothing=0.1),
        fit_case("broad", max_iter=0),
    ],
}
