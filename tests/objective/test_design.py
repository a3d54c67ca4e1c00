"""Designs: standardised columns in either precision and order, block by block."""

import numpy as np
import pytest
from scipy import sparse

from sksoft.objective.design import Dense, Sparse, times, transposed_times


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_standardised_columns_have_weighted_mean_zero_and_mean_square_one(rng):
    X = rng.normal(size=(500, 4)) * [1.0, 1e-6, 1e6, 3.0] + [0.0, 5.0, -1e7, 0.0]
    X[:, 3] = 0.1  # constant, and not a sum of powers of two
    weights = rng.uniform(0.5, 2.0, size=500)
    design = Dense.standardised(X, weights, intercept=True)
    block = design.block(slice(0, 500))
    share = weights / weights.sum()
    # the rounding of a mean of 5 in units of 1e-6
    np.testing.assert_allclose(share @ block[:, :4], 0.0, atol=1e-8)
    np.testing.assert_allclose(share @ block[:, :3] ** 2, 1.0, rtol=1e-9)
    np.testing.assert_allclose(block[:, 3], 0.0, atol=1e-15)
    np.testing.assert_array_equal(block[:, 4], 1.0)
    assert design.shape == (500, 5)


def test_without_an_intercept_nothing_is_centred(rng):
    X = rng.normal(size=(50, 3)) + 4.0
    design = Dense.standardised(X, np.ones(50), intercept=False)
    np.testing.assert_allclose(design.rows(slice(10, 20)) * design.scale, X[10:20], rtol=1e-12)
    assert design.shape == (50, 3)


@pytest.mark.parametrize("centre", [3.0, 1e3], ids=["near", "far"])
@pytest.mark.parametrize("memory", [np.inf, 0.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_are_those_of_the_matrix_whatever_is_kept(rng, memory, dtype, centre):
    X = rng.normal(size=(60, 5)) + centre
    design = Dense.standardised(X, np.ones(60), intercept=True, memory=memory)
    matrix, g = rng.normal(size=(3, 6)).astype(dtype), rng.normal(size=(20, 3)).astype(dtype)
    full = np.column_stack([(X - design.centre) / design.scale, np.ones(60)])[20:40]
    block = design.block(slice(20, 40), dtype)
    out = np.empty((20, 3), dtype, order="F")
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(times(block, matrix, out), full @ matrix.T, rtol=rtol, atol=10 * rtol)
    np.testing.assert_allclose(transposed_times(block, g), g.T @ full, rtol=rtol, atol=10 * rtol)
    mask = np.arange(60) % 7 == 0
    whole = np.column_stack([(X - design.centre) / design.scale, np.ones(60)])
    np.testing.assert_allclose(design.chosen(mask, dtype).X, whole[mask], rtol=rtol, atol=10 * rtol)


@pytest.mark.parametrize("given", [np.float32, np.float64])
@pytest.mark.parametrize("memory", [np.inf, 0.0])
def test_sparse_blocks_are_the_rows(rng, given, memory):
    dense = np.where(rng.uniform(size=(40, 6)) < 0.4, rng.normal(size=(40, 6)), 0.0).astype(given)
    design = Sparse(sparse.csr_array(dense), memory=memory)
    for dtype in (np.float32, np.float64):
        block = design.block(slice(5, 30), dtype)
        assert block.dtype == dtype
        np.testing.assert_array_equal(block.rows.toarray(), dense[5:30].astype(dtype))
        np.testing.assert_array_equal(block.columns.toarray(), dense[5:30].T.astype(dtype))
    chosen = design.chosen(dense[:, 0] != 0).X.toarray()
    np.testing.assert_array_equal(chosen, dense[dense[:, 0] != 0].astype(np.float32))
