"""Cases of segments: empty ones, long ones, scores of −inf and NaN, several blocks."""

import numpy as np

from cases import Case

ENTRIES = {"rtol": {"float64": 1e-12, "float32": 4e-6}, "atol": {"float64": 1e-13, "float32": 1e-6}}


def lengths(n_segments, longest):
    return np.random.default_rng(n_segments).integers(0, longest + 1, n_segments)


def starts_of(sizes, index_dtype):
    return np.concatenate([[0], np.cumsum(sizes)]).astype(index_dtype)


def softmax_case(name, sizes, index_dtype=np.int64, special=None):
    def build(dtype):
        starts = starts_of(sizes, index_dtype)
        scores = (5.0 * np.random.default_rng(1).normal(size=starts[-1])).astype(dtype)
        for position, value in (special or {}).items():
            scores[position] = value
        return (scores, starts), {}

    return Case(name, build, **ENTRIES)


def vjp_case(name, sizes, index_dtype=np.int64):
    def build(dtype):
        starts = starts_of(sizes, index_dtype)
        proba, vectors = np.random.default_rng(2).random((2, starts[-1])).astype(dtype)
        return (proba / len(sizes), vectors, starts), {}

    return Case(name, build, **ENTRIES)


def products_case(name, sizes, width, n_right=50, index_dtype=np.int64):
    def build(dtype):
        rng, starts = np.random.default_rng(3), starts_of(sizes, index_dtype)
        columns = rng.integers(0, n_right, starts[-1]).astype(index_dtype)
        left, right = rng.normal(size=(len(sizes), width)), rng.normal(size=(n_right, width))
        return (columns, starts, left.astype(dtype), right.astype(dtype)), {}

    return Case(name, build, **ENTRIES)


SHAPES = {
    "none": [],
    "empty ones": [0, 3, 0, 0, 1, 2, 0],
    "all empty": [0, 0],
    "one long": [3000],
    "several blocks": lengths(60_000, 20),
}
ODD = {0: -np.inf, 1: -np.inf, 2: -np.inf, 3: 1e30, 5: np.nan}

CASES = {
    "segment_softmax": [
        *(softmax_case(name, sizes) for name, sizes in SHAPES.items()),
        softmax_case("int32", lengths(50, 9), np.int32),
        softmax_case("odd scores", [3, 2, 3, 1, 2], special=ODD),
        softmax_case("plus infinity", [3, 2], special={1: np.inf}),
        softmax_case("a NaN after its like", [4], special={0: np.nan, 2: 3.0}),
    ],
    "segment_softmax_vjp": [
        *(vjp_case(name, sizes) for name, sizes in SHAPES.items()),
        vjp_case("int32", lengths(50, 9), np.int32),
    ],
    "segment_products": [
        *(products_case(name, sizes, 7) for name, sizes in SHAPES.items()),
        *(products_case(f"width {width}", lengths(50, 9), width) for width in (0, 1, 8, 65)),
        products_case("int32", lengths(50, 9), 3, index_dtype=np.int32),
    ],
}
