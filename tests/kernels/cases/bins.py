"""Cases of the binned statistics: layouts of rows, ties with edges, weights, groups, empty cells and draws."""

import numpy as np

from cases import Case

UNIFORM = np.linspace(0.0, 1.0, 16)[1:-1]
QUANTILE = np.array([0.03, 0.2, 0.21, 0.5, np.inf, np.inf])


def matrix(n_rows, n_classes, special=None):
    def build(dtype):
        proba = np.random.default_rng(n_classes).standard_exponential((n_rows, n_classes))
        proba /= proba.sum(axis=1, keepdims=True)
        proba = np.round(proba, 3).astype(dtype)  # ties
        for position, value in (special or {}).items():
            proba[position] = value
        return (proba,), {}

    return build


def rows(n_rows, edges, *, weighted=False, n_groups=None, integer_hits=False, special=()):
    def build(dtype):
        rng = np.random.default_rng(n_rows)
        scores = np.concatenate([UNIFORM, [0.0, 1.0], rng.random(n_rows)])[:n_rows].astype(dtype)
        hits = rng.random(n_rows) < scores
        options = {}
        if weighted:
            options["weights"] = rng.integers(0, 4, n_rows).astype(np.float64)
            options["weights"][: len(special)] = special
        if n_groups:
            options |= {"groups": rng.integers(0, n_groups, n_rows), "n_groups": n_groups + 1}
        return (scores, hits.astype(np.intp) if integer_hits else hits, edges), options

    return build


def class_rows(edges, *, weighted=False, n_rows=500, n_classes=7):
    def build(dtype):
        (proba,), _ = matrix(n_rows, n_classes)(dtype)
        rng = np.random.default_rng(1)
        weights = {"weights": rng.random(n_rows)} if weighted else {}
        return (proba, rng.integers(0, n_classes, n_rows), np.tile(edges, (n_classes, 1))), weights

    return build


def many_classes(n_rows, n_classes, n_bins):
    """Peaked rows of many classes, with probabilities on the edges, zeros and ones."""

    def build(dtype):
        rng = np.random.default_rng(n_classes)
        proba = rng.standard_exponential((n_rows, n_classes)) ** 6
        proba /= proba.sum(axis=1, keepdims=True)
        edges = np.linspace(0.0, 1.0, n_bins + 1)
        proba[: n_bins + 1, 3] = edges
        proba[5] = 0.0
        proba[5, -1] = 1.0
        return (proba.astype(dtype), rng.integers(0, n_classes, n_rows), np.tile(edges[1:-1], (n_classes, 1))), {}

    return build


def scored_rows(n_rows, *, weighted=False):
    def build(dtype):
        rng = np.random.default_rng(n_rows)
        proba = np.concatenate([[0.0, 1.0, 0.5, 1e-30], rng.random(n_rows)])[:n_rows].astype(dtype)
        hits = rng.random(n_rows) < proba
        weights = {"weights": rng.random(n_rows)} if weighted else {}
        return (proba, hits, rng.integers(0, 5, n_rows)), {"n_groups": 6, **weights}

    return build


def draws(n_rows, *, weighted=False, resamples=range(3, 40), n_cuts=9, special=()):
    def build(_):
        rng = np.random.default_rng(n_rows)
        values = rng.random(n_rows)
        values[:2] = 0.0, 1.0
        cuts = np.sort(rng.integers(0, n_rows, n_cuts))
        options = {"weights": rng.random(n_rows)} if weighted else {}
        if special:
            options["weights"][-len(special) :] = special
        starts = np.concatenate([[0, 0], cuts, [n_rows]])
        return (values, starts), {"seed": 2**64 - 3, "resamples": resamples, **options}

    return build


NO_NUMBERS = (np.nan, np.nan)
SPECIAL = {(0, 1): np.nan, (1, 2): -0.25, (2, 0): np.inf, (3, 0): -0.0, (4, 1): -np.inf, (5, 2): -np.nan}
# Sums of differently ordered numbers that cancel in no place.
LOOSE = {"rtol": {"float64": 1e-12, "float32": 1e-6}, "atol": {"float64": 1e-12, "float32": 1e-6}}

CASES = {
    "top_label_rows": [
        Case("few classes", matrix(300, 3)),
        Case("many classes", matrix(50, 301)),
        Case("one class", matrix(20, 1)),
        Case("no rows", matrix(0, 4)),
        Case("not probabilities", matrix(60, 4, SPECIAL)),
        Case("not probabilities, many classes", matrix(20, 130, SPECIAL)),
        Case("several blocks", matrix(90_000, 10)),
        Case("few wide rows", matrix(2, 300, {(0, 290): np.nan, (1, 299): np.inf})),
    ],
    "bin_sums": [
        Case("uniform", rows(2500, UNIFORM), **LOOSE),
        Case("integer hits", rows(2500, UNIFORM, integer_hits=True), **LOOSE),
        Case("one bin", rows(100, np.empty(0)), **LOOSE),
        Case("merged quantiles", rows(2500, QUANTILE), **LOOSE),
        Case("weights", rows(2500, UNIFORM, weighted=True), **LOOSE),
        Case("groups, one empty", rows(2500, UNIFORM, n_groups=5), **LOOSE),
        Case("weights and groups", rows(2500, QUANTILE, weighted=True, n_groups=5), **LOOSE),
        Case("several blocks", rows(600_000, UNIFORM), **LOOSE),
        Case("no rows", rows(0, UNIFORM), **LOOSE),
        Case("few rows, weights and groups", rows(26, QUANTILE, weighted=True, n_groups=3), **LOOSE),
        Case("weights that are no numbers", rows(26, QUANTILE, weighted=True, special=NO_NUMBERS), **LOOSE),
        Case("more groups than rows", rows(40, QUANTILE, n_groups=400), **LOOSE),
        Case("more groups than weights", rows(20, QUANTILE, weighted=True, n_groups=400), **LOOSE),
    ],
    "class_bin_sums": [
        Case("uniform", class_rows(UNIFORM), **LOOSE),
        Case("weights", class_rows(UNIFORM, weighted=True), **LOOSE),
        Case("quantiles", class_rows(QUANTILE), **LOOSE),
        Case("many classes", many_classes(700, 130, 15), **LOOSE),
        Case("many classes, several blocks", many_classes(9000, 70, 10), **LOOSE),
        Case("many classes, one bin", many_classes(300, 64, 1), **LOOSE),
        Case("few rows, weights", class_rows(QUANTILE, weighted=True, n_rows=6), **LOOSE),
        Case("few rows of several tiles", many_classes(12, 19, 5), **LOOSE),
        Case("many bins", class_rows(np.linspace(0.0, 1.0, 670)[1:-1], weighted=True, n_rows=5, n_classes=1), **LOOSE),
    ],
    "binary_score_sums": [
        Case("counts", scored_rows(3000), **LOOSE),
        Case("weights", scored_rows(3000, weighted=True), **LOOSE),
        Case("several blocks", scored_rows(400_000), **LOOSE),
        Case("no rows", scored_rows(0), **LOOSE),
        Case("few rows", scored_rows(40), **LOOSE),
        Case("few rows, weights", scored_rows(30, weighted=True), **LOOSE),
    ],
    "null_hit_sums": [
        Case("counts", draws(5000), **LOOSE),
        Case("weights", draws(5000, weighted=True), **LOOSE),
        Case("few rows", draws(90, resamples=range(4), n_cuts=1), **LOOSE),
        Case("few rows, weights", draws(50, weighted=True, resamples=range(3), n_cuts=3), **LOOSE),
        Case("weights that are no numbers", draws(12, weighted=True, resamples=range(3), special=NO_NUMBERS), **LOOSE),
        Case("no resamples", draws(10, resamples=range(5, 5)), **LOOSE),
    ],
    "bootstrap_sums": [
        Case("counts", draws(5000), **LOOSE),
        Case("weights", draws(5000, weighted=True), **LOOSE),
        Case("few rows", draws(90, resamples=range(4), n_cuts=1), **LOOSE),
        Case("few rows, weights", draws(50, weighted=True, resamples=range(3), n_cuts=3), **LOOSE),
        Case("weights that are no numbers", draws(12, weighted=True, resamples=range(3), special=NO_NUMBERS), **LOOSE),
        Case("no resamples", draws(10, resamples=range(5, 5)), **LOOSE),
    ],
}
