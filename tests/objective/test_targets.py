"""Every kind of target offers what the matrix it stands for, written out, would give."""

import mpmath
import numpy as np
import pytest
from scipy import sparse

from sksoft.objective.links import LINKS, Entmax
from sksoft.objective.targets import Labels, SmoothedLabels, SoftLabels, SparseSoftLabels

N, K = 23, 5
KINDS = ["labels", "smoothed", "soft", "sparse", "sparse-smoothed"]


def make(kind):
    """A target and its matrix (N, K)."""
    rng = np.random.default_rng(0)
    codes = rng.integers(K - 1, size=N)  # the last class is never a label
    vertices = np.eye(K)[codes]
    if kind == "labels":
        return Labels(codes, K), vertices
    if kind == "smoothed":
        return SmoothedLabels(codes, K, 0.2), 0.8 * vertices + 0.04
    proba = rng.dirichlet(np.ones(K), N) * (rng.uniform(size=(N, K)) < 0.6) + 0.5 * vertices
    proba /= proba.sum(axis=1, keepdims=True)
    if kind == "soft":
        return SoftLabels(proba), proba
    if kind == "sparse":
        return SparseSoftLabels(sparse.csr_array(proba)), proba
    return SparseSoftLabels(sparse.csr_array(proba), 0.2), 0.8 * proba + 0.04


@pytest.fixture(params=KINDS)
def target_and_matrix(request):
    return make(request.param)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def test_stands_for_its_matrix(target_and_matrix, rng):
    target, matrix = target_and_matrix
    weights, scores = rng.uniform(size=N), rng.normal(size=(N, K))
    assert target.n_classes == K
    np.testing.assert_allclose(target.inner(scores), (matrix * scores).sum(axis=1), rtol=1e-14)
    weighted = target.weighted(weights)
    weighted = weighted.toarray() if sparse.issparse(weighted) else weighted
    np.testing.assert_allclose(weighted, weights[:, None] * matrix, rtol=1e-14)
    np.testing.assert_allclose(target.shares(weights), weights @ matrix, rtol=1e-14)
    assert target.shares(weights).shape == (K,)


@pytest.mark.parametrize("on_simplex", [True, False])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_is_subtracted_in_the_precision_of_the_distribution(target_and_matrix, rng, on_simplex, dtype):
    target, matrix = target_and_matrix
    proba = rng.dirichlet(np.ones(K), N) if on_simplex else rng.uniform(size=(N, K))
    difference = proba.astype(dtype)
    target.subtract_from(difference, on_simplex=on_simplex)
    assert difference.dtype == dtype
    np.testing.assert_allclose(difference, proba - matrix, atol=1e-15 if dtype == "float64" else 2e-7)


@pytest.mark.parametrize("rows", [slice(3, 11), slice(0, 0), np.arange(N) % 3 == 0])
def test_rows_are_those_of_the_matrix(target_and_matrix, rng, rows):
    target, matrix = target_and_matrix
    part, expected = target.rows(rows), matrix[rows]
    weights = np.ones(len(expected))
    np.testing.assert_allclose(part.shares(weights), expected.sum(axis=0), rtol=1e-14)
    np.testing.assert_allclose(part.inner(expected), (expected**2).sum(axis=1), rtol=1e-14)


@pytest.mark.parametrize("link", [*LINKS.values(), Entmax(1.2)], ids=str)
def test_negentropy_of_the_target(target_and_matrix, link):
    target, matrix = target_and_matrix
    expected = link.negentropy(matrix)
    np.testing.assert_allclose(np.broadcast_to(target.negentropy(link), (N,)), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(target.negentropy(link), target.negentropy(link))


def test_a_score_of_minus_infinity_counts_only_where_it_is_wanted():
    scores = np.array([[-np.inf, 1.0, 2.0]])
    assert Labels(np.array([1]), 3).inner(scores)[0] == 1.0
    assert SoftLabels(np.array([[0.0, 0.5, 0.5]])).inner(scores)[0] == 1.5
    assert SoftLabels(np.array([[0.5, 0.5, 0.0]])).inner(scores)[0] == -np.inf
    assert SmoothedLabels(np.array([1]), 3, 0.1).inner(scores)[0] == -np.inf


@pytest.mark.parametrize("true_share", [1e-30, 1e-18])
def test_labels_lose_nothing_where_the_row_is_nearly_certain(true_share):
    proba = np.array([[1.0, true_share, 2 * true_share]])
    Labels(np.array([0]), 3).subtract_from(proba, on_simplex=True)
    np.testing.assert_allclose(proba, [[-3 * true_share, true_share, 2 * true_share]], rtol=1e-15)


@pytest.mark.parametrize("link", [LINKS["softmax"], Entmax(1.001), Entmax(1.5), Entmax(2.0)], ids=str)
@pytest.mark.parametrize("smoothing", [0.3, 1e-3, 1e-6])
def test_negentropy_of_a_smoothed_label_at_fifty_digits(link, smoothing):
    with mpmath.workdps(50):
        share = mpmath.mpf(smoothing) / K
        shares = [1 - (K - 1) * share] + [share] * (K - 1)
        if link == LINKS["softmax"]:
            expected = mpmath.fsum(p * mpmath.log(p) for p in shares)
        else:
            alpha = mpmath.mpf(link.alpha)
            expected = (mpmath.fsum(p**alpha for p in shares) - 1) / (alpha * (alpha - 1))
    ours = SmoothedLabels(np.zeros(3, np.intp), K, smoothing).negentropy(link)
    # 1 − ε + ε/K itself is rounded by 1e-16
    np.testing.assert_allclose(ours, float(expected), rtol=1e-14 + 3e-16 / smoothing)
