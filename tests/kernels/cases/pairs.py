"""Cases of the sums over pairs: every kernel, rows that coincide, one row, more than one tile."""

import numpy as np

from cases import Case


def rows(n_rows, n_columns):
    rng = np.random.default_rng(n_rows)
    points = rng.dirichlet(np.full(n_columns, 0.5), n_rows)
    points[n_rows // 2 :: 7] = points[0]
    return points, rng.standard_normal((n_rows, n_columns)), rng.integers(0, 4, n_rows).astype(np.float64)


def form(n_rows, n_columns, kind):
    def build(_):
        points, residuals, _ = rows(n_rows, n_columns)
        return (points, residuals), {"kind": kind, "bandwidth": 0.7}

    return build


def histogram(n_rows, n_columns, kind, low=0.0, high=1.5):
    def build(_):
        points, _, weights = rows(n_rows, n_columns)
        return (points, weights), {"kind": kind, "low": low, "high": high, "n_cells": 7}

    return build


def smoothing(n_rows, n_columns, kind, n_values=3):
    def build(_):
        points, residuals, _ = rows(n_rows, n_columns)
        return (points, residuals[:, :n_values].copy()), {"kind": kind, "bandwidth": 0.7}

    return build


def labels(n_rows, n_columns, kind, n_sets=7):
    def build(_):
        points, _, weights = rows(n_rows, n_columns)
        codes = np.random.default_rng(1).integers(0, n_columns, (n_rows, n_sets)).astype(np.int32)
        return (points, weights, codes), {"kind": kind, "bandwidth": 0.7}

    return build


# Sums of many terms of both signs.
LOOSE = {"rtol": {"float64": 1e-10, "float32": 1e-10}, "atol": {"float64": 1e-10, "float32": 1e-10}}

CASES = {
    "kernel_form": [
        *(Case(f"{kind}", form(600, 5, kind), **LOOSE) for kind in ("total_variation", "laplacian", "gaussian")),
        Case("one column", form(420, 1, "laplacian"), **LOOSE),
        Case("few rows", form(20, 5, "total_variation"), **LOOSE),
        Case("one row", form(1, 3, "gaussian"), **LOOSE),
        Case("many columns", form(40, 300, "total_variation"), **LOOSE),
    ],
    "distance_histogram": [
        *(Case(f"{kind}", histogram(600, 5, kind), **LOOSE) for kind in ("total_variation", "laplacian", "gaussian")),
        Case("a part of the distances", histogram(600, 5, "total_variation", 0.31, 0.77), **LOOSE),
        Case("one column", histogram(420, 1, "laplacian"), **LOOSE),
        Case("few rows", histogram(20, 5, "total_variation", 0.31, 0.77), **LOOSE),
        Case("one row", histogram(1, 3, "gaussian"), **LOOSE),
    ],
    "smoothed_rows": [
        *(Case(f"{kind}", smoothing(600, 5, kind), **LOOSE) for kind in ("total_variation", "laplacian", "gaussian")),
        Case("one column", smoothing(420, 1, "laplacian", 1), **LOOSE),
        Case("few rows", smoothing(20, 5, "gaussian"), **LOOSE),
        Case("one row", smoothing(1, 3, "gaussian"), **LOOSE),
    ],
    "same_label_forms": [
        *(Case(f"{kind}", labels(600, 5, kind), **LOOSE) for kind in ("total_variation", "laplacian", "gaussian")),
        Case("one column", labels(420, 1, "laplacian"), **LOOSE),
        Case("few rows", labels(20, 5, "gaussian"), **LOOSE),
        Case("one row", labels(1, 3, "gaussian"), **LOOSE),
        Case("many classes and sets", labels(67, 90, "total_variation", 300), **LOOSE),
    ],
}
