"""Cases of walks through a tree: narrow and wide nodes, only children, chains; rows and nodes of any length.

All arrays are float64 whatever dtype is asked for: trees are not offered in float32.
"""

import numpy as np
from scipy import sparse

from cases import Case
from sksoft.hierarchical.class_tree import ClassTree

BOTH = ("float64", "float32")
CLOSE = {"rtol": dict.fromkeys(BOTH, 1e-12), "atol": dict.fromkeys(BOTH, 1e-14)}
MANY, FEW = 37, 5
# (parent, leaves): one class; only children above and below; a chain; mixed widths; more children than a warp's lanes
TREES = {
    "one": ([-1], [0]),
    "only-children": ([-1, 0, 1, 1, 2, 4, 4], [3, 5, 6]),
    "chain": ([-1, 0, 0, 2, 2, 4, 4], [1, 3, 5, 6]),
    "mixed": ([-1, 0, 0, 0, 1, 1, 2, 2, 2, 3, 4, 4], [5, 6, 7, 8, 9, 10, 11]),
    "broad": ([-1, *[0] * 11, 3, 3], [*range(1, 3), *range(4, 14)]),
}


def walk_arguments(name, n_features, density, *, dense=False, n_rows=MANY, share=0.7):
    """Rows of X and a model whose nodes know a share of the features of their parent, as the kernels take them."""
    rng = np.random.default_rng(20_261_121)
    tree = ClassTree.of(*TREES[name])
    known = np.ones((tree.n_nodes, n_features), bool)
    for v in range(1, tree.n_nodes):
        known[v] = known[tree.parent[v]] & (rng.random(n_features) < share)
    mask = np.repeat(known, np.diff(tree.first_score), axis=0)
    coef = sparse.csr_array(np.where(mask, rng.normal(size=mask.shape), 0.0))
    X = rng.normal(size=(n_rows, n_features)) * (rng.random((n_rows, n_features)) < density)
    if dense:
        x = X.ravel(), np.empty(0, np.int32), np.arange(n_rows + 1) * n_features
    else:
        X = sparse.csr_array(X)
        x = X.data, X.indices, X.indptr
    parameters = coef.indptr.astype(np.int64), coef.indices, coef.data, rng.normal(size=tree.n_scores)
    return tree, (*x, n_features, tree.parent, tree.first_child, tree.first_score, *parameters)


def shapes(few=FEW):
    """Of trees and rows: (name of the tree, features, density, dense X, rows)."""
    return [
        *((name, 5, 0.5, False, few) for name in TREES),
        *(("mixed", 30, 0.1, False, few), ("mixed", 60, 0.6, False, MANY), ("mixed", 20, 1.0, True, MANY)),
        *(("chain", 4, 0.5, True, few), ("mixed", 5, 0.5, False, 0)),
    ]


def walk_cases(arguments_and_options, of=None):
    """Over trees and rows, shapes as above."""
    return [
        Case(
            f"{name}-{n_rows}x{n_features}-{density}" + "-dense" * dense,
            lambda dtype, shape=(name, n_features, density), how={"dense": dense, "n_rows": n_rows}: (
                arguments_and_options(*walk_arguments(*shape, **how))
            ),
            **CLOSE,
        )
        for name, n_features, density, dense, n_rows in of or shapes()
    ]


def path_call(tree, arguments):
    codes = np.random.default_rng(1).integers(0, tree.n_classes, len(arguments[2]) - 1)
    return arguments, {"leaves": tree.leaf[codes]}


def sample_call(tree, arguments):
    return arguments, {"seed": 2**64 - 5, "samples": range(2, 5)}


def descend_case(name, log, depth=None, n_rows=FEW):
    def build(dtype):
        tree = ClassTree.of(*TREES[name])
        n_nodes = tree.n_nodes if depth is None else int((tree.depth <= depth).sum())
        n_inner = int((tree.first_child < n_nodes).sum()) if n_nodes > 1 else 0
        scores = 9.0 * np.random.default_rng(2).normal(size=(n_rows, tree.first_score[n_inner]))
        arguments = scores, tree.parent[:n_nodes], tree.first_child[: n_inner + 1]
        return arguments, {"log": log, "out": np.full((n_rows, n_nodes), 7.0)}

    return Case(f"{name}-{n_rows}-{'log' if log else 'proba'}-{depth}", build, ("out",), **CLOSE)


def product_case(n_rows, n_inner, n_columns, density):
    def build(dtype):
        rng = np.random.default_rng(n_rows)
        left, right = (
            sparse.csr_array(rng.normal(size=shape) * (rng.random(shape) < density))
            for shape in ((n_rows, n_inner), (n_inner, n_columns))
        )
        parts = (part for matrix in (left, right) for part in (matrix.data, matrix.indices, matrix.indptr))
        return tuple(parts), {"out": np.full((n_rows, n_columns), 7.0)}

    return Case(f"{n_rows}x{n_inner}x{n_columns}-{density}", build, ("out",), **CLOSE)


CASES = {
    "path_log_proba": walk_cases(path_call),
    "sampled_leaves": walk_cases(sample_call),
    "descended_proba": [descend_case(name, log) for name in TREES for log in (False, True)]
    + [
        descend_case("mixed", True, depth=1),
        descend_case("mixed", False, depth=0),
        descend_case("mixed", True, n_rows=200),
    ],
    "csr_times_csr": [
        product_case(1, 3, 2, 1.0),
        product_case(6, 10, 19, 0.4),
        product_case(50, 20, 30, 0.2),
        product_case(4, 9, 5, 0.0),
    ],
}
