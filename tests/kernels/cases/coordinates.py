"""Cases of coordinate descent: dense and sparse columns, empty classes, signs, unpenalised and flat coordinates.

All arrays are float64 whatever dtype is asked for: the descent is not offered in float32.
"""

from functools import partial

import numpy as np
from scipy import sparse

from cases import Case

LOOSE = {"rtol": dict.fromkeys(("float64", "float32"), 1e-9), "atol": dict.fromkeys(("float64", "float32"), 1e-12)}


def rng():
    return np.random.default_rng(20_260_901)


def make_columns(n, c, *, sparse_columns):
    X = rng().normal(size=(n, c))
    if not sparse_columns:
        return (np.ascontiguousarray(X.T),)
    X[rng().uniform(size=X.shape) < 0.7] = 0.0
    X[:, : min(2, c)] = 0.0  # columns without entries
    csc = sparse.csc_array(X)
    return csc.indptr.astype(np.int64), csc.indices.astype(np.int32), csc.data


def make_coordinates(c, n_rows):
    """Some columns of each class, none of the second."""
    generator = rng()
    chosen = [np.flatnonzero(generator.uniform(size=c) < (0.0 if k == 1 else 0.6)) for k in range(n_rows)]
    starts = np.concatenate([[0], np.cumsum([len(own) for own in chosen])]).astype(np.intp)
    return np.concatenate(chosen).astype(np.intp), starts


def make_proba(n, n_rows):
    scores = 2.0 * rng().normal(size=(n_rows + 1, n))
    exps = np.exp(scores)
    return np.ascontiguousarray((exps / exps.sum(axis=0))[:n_rows])


def make_penalties(m):
    generator = rng()
    l1 = generator.uniform(0.0, 0.1, size=m) * (np.arange(m) % 5 > 0)
    l2 = generator.uniform(0.0, 0.1, size=m) * (np.arange(m) % 3 > 0)
    lower = np.where(np.arange(m) % 4 == 1, 0.0, -np.inf)
    upper = np.where(np.arange(m) % 4 == 2, 0.0, np.inf)
    return {"l1": l1, "l2": l2, "lower": lower, "upper": upper}


SIZES = [(40, 7, 3), (200, 12, 1), (1, 3, 2), (0, 3, 2), (30, 1, 4)]


def over_sizes(build, names=(), tag=""):
    return [
        Case(f"{n}x{c}x{r}-{'sparse' if kind else 'dense'}{tag}", build(n, c, r, kind), names, **LOOSE)
        for n, c, r in SIZES
        for kind in (False, True)
    ]


def sweep_case(n, c, n_rows, kind):
    def build(dtype):
        generator = rng()
        columns = make_columns(n, c, sparse_columns=kind)
        members, starts = make_coordinates(c, n_rows)
        m = len(members)
        proba, weights = make_proba(n, n_rows), generator.uniform(0.5, 1.5, size=n) / max(n, 1)
        weights[::7] = 0.0
        curvature = np.full(m, 0.5) * (np.arange(m) % 6 != 5)
        scores = generator.normal(size=(n_rows, n))
        kwargs = {
            "columns": columns,
            "members": members,
            "starts": starts,
            **make_penalties(m),
            "position": np.clip(generator.normal(size=m), make_penalties(m)["lower"], make_penalties(m)["upper"]),
            "scores": scores,
            "mean": (proba * scores).sum(axis=0),
        }
        return (proba, weights, generator.normal(size=m) * 0.1, curvature), kwargs

    return build


def group_case(n, c, n_rows, kind):
    def build(dtype):
        generator = rng()
        members = np.flatnonzero(generator.uniform(size=c) < 0.7).astype(np.intp)
        m = len(members)
        proba, weights = make_proba(n, n_rows), generator.uniform(0.5, 1.5, size=n) / max(n, 1)
        scores = generator.normal(size=(n_rows, n))
        penalties = make_penalties(n_rows * m)
        lower, upper = penalties["lower"].reshape(n_rows, m), penalties["upper"].reshape(n_rows, m)
        kwargs = {
            "columns": make_columns(n, c, sparse_columns=kind),
            "members": members,
            "l1": 2.0 * penalties["l1"][:m],
            "l2": penalties["l2"][:m],
            "lower": lower,
            "upper": upper,
            "position": np.clip(generator.normal(size=(n_rows, m)), lower, upper),
            "scores": scores,
            "mean": (proba * scores).sum(axis=0),
        }
        return (proba, weights, generator.normal(size=(n_rows, m)) * 0.1, np.full(m, 0.5)), kwargs

    return build


def combine_case(n, c, n_rows, kind):
    def build(dtype):
        members, starts = make_coordinates(c, n_rows)
        coefficients = rng().normal(size=len(members)) * (np.arange(len(members)) % 3 > 0)
        columns = make_columns(n, c, sparse_columns=kind)
        out = np.full((n_rows, n), 7.0)
        return (coefficients,), {"columns": columns, "members": members, "starts": starts, "out": out}

    return build


def project_case(n, c, n_rows, kind, squared=False):
    def build(dtype):
        members, starts = make_coordinates(c, n_rows)
        columns = make_columns(n, c, sparse_columns=kind)
        vectors = rng().normal(size=(n_rows, n))
        return (vectors,), {"columns": columns, "members": members, "starts": starts, "squared": squared}

    return build


CASES = {
    "coordinate_sweep": over_sizes(sweep_case, ("position", "scores", "mean")),
    "group_sweep": over_sizes(group_case, ("position", "scores", "mean")),
    "combine_columns": over_sizes(combine_case, ("out",)),
    "project_on_columns": over_sizes(project_case) + over_sizes(partial(project_case, squared=True), tag="-squared"),
}
