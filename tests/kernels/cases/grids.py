"""Cases of the residual grids: both ends, nodes, weights, several blocks, no rows."""

import numpy as np

from cases import Case


def rows(n_rows, n_cells, *, weighted=False, integer_hits=False):
    def build(dtype):
        rng = np.random.default_rng(n_rows)
        scores = np.concatenate([[0.0, 1.0, 0.5, 0.25], rng.random(n_rows)])[:n_rows].astype(dtype)
        hits = rng.random(n_rows) < scores
        options = {"weights": rng.random(n_rows)} if weighted else {}
        return (scores, hits.astype(np.intp) if integer_hits else hits), {"n_cells": n_cells, **options}

    return build


# Sums of residuals of both signs.
LOOSE = {"rtol": {"float64": 1e-11, "float32": 1e-11}, "atol": {"float64": 1e-12, "float32": 1e-12}}

CASES = {
    "residual_grid": [
        Case("counts", rows(2500, 64), **LOOSE),
        Case("integer hits", rows(2500, 64, integer_hits=True), **LOOSE),
        Case("weights", rows(2500, 64, weighted=True), **LOOSE),
        Case("one cell", rows(100, 1), **LOOSE),
        Case("several blocks", rows(600_000, 1 << 10), **LOOSE),
        Case("no rows", rows(0, 8), **LOOSE),
        Case("few rows", rows(40, 8, weighted=True), **LOOSE),
        Case("few rows, large grid", rows(40, 5000), **LOOSE),
    ],
}
