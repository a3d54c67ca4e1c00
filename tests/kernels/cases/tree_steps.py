"""Cases of stochastic steps: narrow and wide nodes, only children, chains, full and partial rows, no rows.

All arrays are float64 whatever dtype is asked for: a stream is not offered in float32.
"""

import numpy as np
from scipy import sparse

from cases import Case
from sksoft.hierarchical.class_tree import ClassTree

BOTH = ("float64", "float32")
CLOSE = {"rtol": dict.fromkeys(BOTH, 1e-11), "atol": dict.fromkeys(BOTH, 1e-13)}
OUTPUTS = ("coef", "point", "curvature", "count", "intercept", "intercept_point", "intercept_curvature", "seen")
# (parent, leaves): two classes; a star; binary with an only child; a chain; mixed widths
TREES = {
    "pair": ([-1, 0, 0], [1, 2]),
    "star": ([-1, 0, 0, 0, 0], [1, 2, 3, 4]),
    "only-child": ([-1, 0, 0, 1, 2, 2], [3, 4, 5]),
    "chain": ([-1, 0, 0, 2, 2, 4, 4], [1, 3, 5, 6]),
    "mixed": ([-1, 0, 0, 0, 1, 1, 2, 2, 2, 3], [4, 5, 6, 7, 8, 9]),
}


def step_case(name, *, n=100, p=7, full=False, smoothing=0.0, learning=True, scale=1.0, ridge=0.7, started=False):
    def build(dtype):
        rng = np.random.default_rng(20_261_121)
        tree = ClassTree.of(*TREES[name])
        X = sparse.csr_array(scale * rng.normal(size=(n, p)) * (rng.random((n, p)) < 0.5))
        # a node that is not full has the features 0 … p − 2 and one that no row has
        width = p if full else p + 1
        n_known = np.where(np.diff(tree.first_score) > 0, p, 0)
        score_indptr = np.arange(tree.n_scores + 1) * p
        features = np.empty(0) if full else np.tile(np.where(np.arange(p) < p - 1, np.arange(p), p), tree.n_scores)
        if not full:
            X = sparse.csr_array(np.where(np.arange(p) < p - 1, X.toarray(), 0.0))
        entries, scores = tree.n_scores * p, tree.n_scores
        sizes = (entries, entries, entries, n_known.sum(), scores, scores, scores, tree.n_nodes)
        values = [rng.random(size) if started else np.zeros(size) for size in sizes]
        leaves = tree.leaf[rng.integers(0, tree.n_classes, n)]
        return (X.data, X.indices, X.indptr, leaves, rng.random(n) + 0.5), {
            "ridge": ridge,
            "smoothing": smoothing,
            "learning": learning,
            "parent": tree.parent,
            "first_child": tree.first_child,
            "first_score": tree.first_score,
            "n_features": width,
            "score_indptr": score_indptr,
            "score_indices": features.astype(np.int32),
            "node_start": np.cumsum(n_known) - n_known,
            **dict(zip(OUTPUTS, values)),
        }

    return Case(
        f"{name}-{n}" + "-full" * full + "-smooth" * (smoothing > 0) + "-looks" * (not learning) + f"-{scale:g}",
        build,
        OUTPUTS,
        **CLOSE,
    )


CASES = {
    "tree_steps": [
        *(step_case(name, full=full) for name in TREES for full in (False, True)),
        step_case("mixed", smoothing=0.2, started=True),
        step_case("mixed", learning=False, started=True),
        step_case("mixed", scale=1e4, ridge=1e-3),
        step_case("star", scale=1e-6, full=True),
        step_case("star", n=0),
        # few enough for the simulator
        step_case("mixed", n=2, smoothing=0.2, started=True),
        step_case("star", n=2, full=True),
        step_case("only-child", n=2, learning=False),
    ]
}
