"""Cases of the column-batched kernels."""

import numpy as np
from scipy import sparse

from cases import Case
from cases.rowwise import normal, rng

# (K, N, L): tiles of 4 rows and 8 columns, with and without what is left over, one and several blocks of rows
STACKS = [(1, 0, 3), (1, 1, 1), (2, 5, 1), (3, 7, 2), (4, 8, 8), (8, 67, 41), (5, 130, 19), (6, 20_000, 9)]
# few numbers, for simulated devices: several tiles of directions and blocks of rows, more problems than threads
SMALL_STACKS = [(6, 40, 2), (1, 20, 11)]
# sums of products of both signs, of size about one
SUMS = {"rtol": {"float64": 1e-11, "float32": 1e-11}, "atol": {"float64": 1e-12, "float32": 1e-12}}
ENTRIES = {"rtol": {"float64": 1e-12, "float32": 1e-5}, "atol": {"float64": 1e-14, "float32": 1e-5}}


def gram_case(shape):
    def build(dtype):
        stack = normal(shape, dtype, scale=1.0)
        residual, curvature = normal((2, *shape[1:]), dtype, scale=1.0)[:, ::-1]
        return (stack, residual.copy(), np.abs(curvature)), {}

    return Case("x".join(map(str, shape)), build, **SUMS)


def advance_case(shape, step_is_in_stack):
    def build(dtype):
        stack, state = normal(shape, dtype, scale=1.0), normal(shape[1:], dtype, scale=2.0)
        step = stack[-1] if step_is_in_stack else np.full_like(state, 7.0)
        return (stack, rng().normal(size=(shape[2], shape[0]))), {"step": step, "state": state}

    return Case("x".join(map(str, shape)) + "-in-stack" * step_is_in_stack, build, ("step", "state"), **ENTRIES)


def product_case(n, m, width, index_dtype=np.int32, density=0.2):
    def build(dtype):
        matrix = sparse.random_array((n, m), density=density, format="csr", rng=rng())
        dense = normal((m, width), dtype, scale=1.0)
        indices, indptr = matrix.indices.astype(index_dtype), matrix.indptr.astype(index_dtype)
        return (matrix.data.astype(dtype), indices, indptr, dense), {"out": np.full((n, width), 7.0, dtype)}

    return Case(f"{n}x{m}x{width}-{np.dtype(index_dtype).name}", build, ("out",), **ENTRIES)


CASES = {
    "gram_columns": [gram_case(shape) for shape in STACKS + SMALL_STACKS],
    "advance_columns": [advance_case(shape, inside) for shape in STACKS for inside in (False, True)],
    "csr_times_dense": [
        product_case(0, 3, 2),
        product_case(3, 1, 1),
        product_case(40, 30, 0),
        *(product_case(40, 30, width) for width in (1, 2, 3, 4, 5, 7, 8, 11, 31, 32, 33, 44, 100)),
        product_case(40, 30, 12, index_dtype=np.int64),
        product_case(20, 10, 9, density=0.0),
        product_case(60_000, 30, 12),
        # few numbers, for simulated devices: more columns than threads, and long rows
        product_case(6, 5, 11, density=0.5),
        product_case(2, 130, 1, density=0.9),
        product_case(1, 70, 3, density=0.95),
    ],
}
