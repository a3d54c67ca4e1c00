"""Cases of the sums of a temperature."""

import numpy as np

from cases import Case
from cases.rowwise import normal, rng

SHAPES = [(1, 1), (1, 2), (5, 3), (67, 10), (131, 33), (70, 41), (20_000, 12), (300, 1000), (2, 300), (18, 5)]
# sums of terms of either sign; float32 scores are exact inputs and all else is float64
SUMS = {"rtol": {"float64": 1e-12, "float32": 1e-12}, "atol": {"float64": 1e-12, "float32": 1e-12}}


def built(make_scores):
    def build(dtype):
        scores = make_scores(dtype)
        n, n_classes = scores.shape
        codes = rng().integers(0, n_classes, size=n)
        return scores, codes, rng().uniform(0.0, 2.0, size=n) / n

    return build


def sums_case(name, make_scores, beta=0.7, inverse_unit=1.0):
    build = built(make_scores)
    return Case(name, lambda dtype: (build(dtype), {"beta": beta, "inverse_unit": inverse_unit}), **SUMS)


def far_apart(dtype):
    """Scores whose difference is too large for a number."""
    largest = np.finfo(dtype).max
    return np.array([[largest, -largest, 0.0], [0.0, 1.0, -largest]], dtype=dtype)


def ranges_case(name, make_scores):
    build = built(make_scores)
    return Case(name, lambda dtype: (build(dtype)[:2], {}))


CASES = {
    "row_ranges": [
        *(ranges_case(f"{n}x{k}", lambda dtype, s=(n, k): normal(s, dtype)) for n, k in SHAPES),
        ranges_case("far-apart", far_apart),
    ],
    "temperature_sums": [
        *(sums_case(f"{n}x{k}", lambda dtype, s=(n, k): normal(s, dtype)) for n, k in SHAPES),
        sums_case("flat", lambda dtype: normal((67, 10), dtype), beta=0.0),
        sums_case("steep", lambda dtype: normal((67, 10), dtype), beta=1e9),
        sums_case("far-apart", far_apart, inverse_unit=1e-40),
        sums_case("small-unit", lambda dtype: normal((67, 10), dtype), inverse_unit=1e290, beta=1e-290),
    ],
}
