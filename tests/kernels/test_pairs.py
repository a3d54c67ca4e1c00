"""The references of the sums over pairs against matrices of all pairs."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from sksoft.kernels import pairs


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(4), 70), rng.standard_normal((70, 3)), rng.random(70)


@pytest.mark.parametrize("tile_bytes", [1 << 22, 1 << 12])
@pytest.mark.parametrize("kind", pairs.KINDS)
def test_kernel_form_is_the_upper_triangle_of_the_matrix(rows, kind, tile_bytes, monkeypatch):
    monkeypatch.setattr(pairs, "TILE_BYTES", tile_bytes)
    points, residuals, _ = rows
    scaled = cdist(points, points, "cityblock" if kind == "total_variation" else "euclidean") / 0.3
    similarity = np.exp({"total_variation": -scaled / 2, "laplacian": -scaled, "gaussian": -(scaled**2) / 2}[kind])
    expected = np.triu(similarity * (residuals @ residuals.T), 1).sum()
    found = pairs.kernel_form.reference(points, residuals, kind=kind, bandwidth=0.3)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("tile_bytes", [1 << 22, 1 << 12])
@pytest.mark.parametrize("kind", pairs.KINDS)
def test_histogram_is_that_of_numpy(rows, kind, tile_bytes, monkeypatch):
    monkeypatch.setattr(pairs, "TILE_BYTES", tile_bytes)
    points, _, weights = rows
    above = np.triu_indices(70, 1)
    distance = (
        cdist(points, points, "cityblock")[above] / 2 if kind == "total_variation" else cdist(points, points)[above]
    )
    mass = np.outer(weights, weights)[above]
    edges = np.concatenate([[-1.0], np.linspace(0.2, 0.6, 9), [9.0]])
    found = pairs.distance_histogram.reference(points, weights, kind=kind, low=0.2, high=0.6, n_cells=8)
    np.testing.assert_allclose(found[0], np.histogram(distance, edges, weights=mass)[0], rtol=1e-12)
    np.testing.assert_allclose(found[1], np.histogram(distance, edges, weights=mass * distance)[0], rtol=1e-12)


@pytest.mark.parametrize("tile_bytes", [1 << 22, 1 << 12])
@pytest.mark.parametrize("kind", pairs.KINDS)
def test_smoothing_and_same_labels_are_those_of_the_matrix(rows, kind, tile_bytes, monkeypatch):
    monkeypatch.setattr(pairs, "TILE_BYTES", tile_bytes)
    points, values, weights = rows
    scaled = cdist(points, points, "cityblock" if kind == "total_variation" else "euclidean") / 0.3
    similarity = np.exp({"total_variation": -scaled / 2, "laplacian": -scaled, "gaussian": -(scaled**2) / 2}[kind])
    np.fill_diagonal(similarity, 0.0)
    found = pairs.smoothed_rows.reference(points, values, kind=kind, bandwidth=0.3)
    np.testing.assert_allclose(found, similarity @ values, rtol=1e-12, atol=1e-13)
    codes = np.random.default_rng(2).integers(0, 4, (70, 5)).astype(np.int32)
    same = codes[:, None] == codes[None]
    expected = 0.5 * np.einsum("ij,i,j,ijb->b", similarity, weights, weights, same)
    totals = pairs.same_label_forms.reference(points, weights, codes, kind=kind, bandwidth=0.3)
    np.testing.assert_allclose(totals, expected, rtol=1e-12)
