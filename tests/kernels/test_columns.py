"""The column-batched reference kernels, one problem at a time."""

import numpy as np
from scipy import sparse

from sksoft.kernels.columns import advance_columns, csr_times_dense, gram_columns


def test_gram_is_that_of_each_column_alone():
    rng = np.random.default_rng(0)
    stack, (residual, curvature) = rng.normal(size=(3, 20, 4)), rng.normal(size=(2, 20, 4))
    slopes, grams = gram_columns.reference(stack, residual, curvature)
    for k in range(4):
        U = stack[:, :, k]
        np.testing.assert_allclose(slopes[k], U @ residual[:, k], rtol=1e-12)
        np.testing.assert_allclose(grams[k], U @ np.diag(curvature[:, k]) @ U.T, rtol=1e-12)


def test_advance_writes_the_step_over_one_of_its_own_directions():
    rng = np.random.default_rng(0)
    stack, lengths, state = rng.normal(size=(3, 5, 2)), rng.normal(size=(2, 3)), rng.normal(size=(5, 2))
    step = np.einsum("kil,lk->il", stack, lengths)
    moved = state + step
    advance_columns.reference(stack, lengths, step=stack[1], state=state)
    np.testing.assert_allclose(stack[1], step, rtol=1e-13)
    np.testing.assert_allclose(state, moved, rtol=1e-13)


def test_product_is_that_of_the_dense_matrix():
    rng = np.random.default_rng(0)
    matrix = sparse.random_array((6, 5), density=0.5, format="csr", rng=rng)
    dense, out = rng.normal(size=(5, 3)), np.empty((6, 3))
    assert csr_times_dense.reference(matrix.data, matrix.indices, matrix.indptr, dense, out=out) is out
    np.testing.assert_allclose(out, matrix.toarray() @ dense, rtol=1e-13)
