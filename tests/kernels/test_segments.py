"""The reference kernels over segments, one segment at a time."""

import numpy as np
from scipy import sparse
from scipy.special import logsumexp, softmax

from sksoft.kernels.segments import owners, segment_products, segment_softmax, segment_softmax_vjp, segment_sums

STARTS = np.array([0, 3, 3, 4, 9])
SLICES = [slice(0, 3), slice(3, 3), slice(3, 4), slice(4, 9)]
SCORES = np.random.default_rng(0).normal(size=9) * 100


def test_softmax_is_that_of_each_segment_alone():
    proba, lse = segment_softmax.reference(SCORES, STARTS)
    for i, own in enumerate(SLICES):
        if own.stop > own.start:
            np.testing.assert_allclose(proba[own], softmax(SCORES[own]), rtol=1e-13)
            np.testing.assert_allclose(lse[i], logsumexp(SCORES[own]), rtol=1e-13)
    assert lse[1] == -np.inf


def test_a_segment_without_anything_available_is_zero_and_a_nan_stays_in_its_segment():
    scores = SCORES.copy()
    scores[:3], scores[3] = -np.inf, np.nan
    proba, lse = segment_softmax.reference(scores, STARTS)
    np.testing.assert_array_equal(proba[:3], 0.0)
    assert lse[0] == -np.inf
    assert np.isnan(proba[3])
    assert np.isnan(lse[2])
    np.testing.assert_allclose(proba[4:], softmax(scores[4:]), rtol=1e-13)


def test_nothing_overflows():
    proba, lse = segment_softmax.reference(np.array([1e308, 1e308, -1e308, 5.0]), np.array([0, 3, 4]))
    np.testing.assert_allclose(proba, [0.5, 0.5, 0.0, 1.0])
    np.testing.assert_allclose(lse, [1e308, 5.0])


def test_vjp_is_the_jacobian_by_finite_differences():
    scores, vectors = SCORES / 100, np.random.default_rng(1).normal(size=9)
    proba, _ = segment_softmax.reference(scores, STARTS)
    expected = np.empty(9)
    for e in range(9):
        up, down = scores.copy(), scores.copy()
        up[e] += 1e-6
        down[e] -= 1e-6
        change = segment_softmax.reference(up, STARTS)[0] - segment_softmax.reference(down, STARTS)[0]
        expected[e] = change @ vectors / 2e-6
    np.testing.assert_allclose(segment_softmax_vjp.reference(proba, vectors, STARTS), expected, atol=1e-9)


def test_products_are_entries_of_the_matrix_product():
    rng = np.random.default_rng(2)
    left, right = rng.normal(size=(4, 3)), rng.normal(size=(6, 3))
    columns = rng.integers(0, 6, 9)
    products = segment_products.reference(columns, STARTS, left, right)
    np.testing.assert_allclose(products, (left @ right.T)[owners(STARTS), columns], rtol=1e-13)


def test_sums_are_those_of_a_sparse_matrix():
    matrix = sparse.csr_array((SCORES, np.arange(9), STARTS), shape=(4, 9))
    np.testing.assert_allclose(segment_sums(SCORES, STARTS), matrix.sum(axis=1), rtol=1e-13)
