"""Cases of the sweeps of linear and of diagonal scores."""

import numpy as np

from cases import Case
from cases.rowwise import normal, rng, simplex
from sksoft.kernels.sweeps import TILE, tiles_of

# n, c, K: none, one, less than a tile, several with a rest, and many rows
SHAPES = [(0, 3, 3), (1, 1, 3), (67, 5, 4), (TILE, 9, 3), (2 * TILE + 31, 12, 7), (60_000, 4, 3)]
# more columns than threads on a simulated device, and two columns
DIAGONAL_SHAPES = [*((n, K) for n, _, K in SHAPES), (17, 19), (70, 2)]
# sums over all rows, of terms of either sign, in the precision of the dtype
SUMS = {"rtol": {"float64": 1e-11, "float32": 2e-4}, "atol": {"float64": 1e-13, "float32": 2e-5}}


def hessian_case(n, c, K, *, tiled=True):
    def build(dtype):
        rows = normal((n, c), dtype, scale=1.0)
        weights = rng().uniform(0.0, 2.0, size=n) / max(n, 1)
        weights[::5] = 0.0
        direction = normal((K, c), dtype, scale=1.0)
        tiles = tiles_of(rows) if tiled else None
        return (rows, tiles, np.asfortranarray(simplex((n, K), dtype)), weights, direction), {}

    return Case(f"{n}x{c}x{K}" + "-untiled" * (not tiled), build, **SUMS)


def diagonal_case(n, K):
    def build(dtype):
        rows = normal((n, K), dtype, scale=1.0)
        weights = rng().uniform(0.0, 2.0, size=n) / max(n, 1)
        weights[::5] = 0.0
        return (rows, simplex((n, K), dtype), weights, normal((2, K), dtype, scale=1.0)), {}

    return Case(f"{n}x{K}", build, **SUMS)


def adjoint_case(n, K):
    def build(dtype):
        return (normal((n, K), dtype, scale=1.0 / max(n, 1)), normal((n, K), dtype, scale=1.0)), {}

    return Case(f"{n}x{K}", build, **SUMS)


CASES = {
    "softmax_hessian_sweep": [*(hessian_case(*shape) for shape in SHAPES), hessian_case(67, 5, 4, tiled=False)],
    "diagonal_hessian_sweep": [diagonal_case(n, K) for n, K in DIAGONAL_SHAPES],
    "diagonal_adjoint": [adjoint_case(n, K) for n, K in DIAGONAL_SHAPES],
}
