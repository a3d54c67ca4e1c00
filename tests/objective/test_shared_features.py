"""Products with features that many problems share, dense or sparse, against NumPy's."""

import numpy as np
import pytest
from scipy import sparse

from sksoft import config_context
from sksoft.objective import shared_features
from sksoft.objective.shared_features import SharedFeatures


@pytest.fixture(params=["dense", "sparse"])
def features(request):
    rng = np.random.default_rng(0)
    X = np.where(rng.uniform(size=(50, 7)) < 0.4, rng.normal(size=(50, 7)), 0.0)
    shared = SharedFeatures(sparse.csr_array(X) if request.param == "sparse" else X)
    shared.dense = X
    return shared


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_products(features, rng, backend):
    coef, rows = rng.normal(size=(7, 5)), rng.normal(size=(50, 5))
    with config_context(backend=backend):
        out = np.empty((50, 5))
        assert features.times(coef, out) is out
        np.testing.assert_allclose(out, features.dense @ coef, atol=1e-14)
        np.testing.assert_allclose(features.transposed_times(rows), features.dense.T @ rows, atol=1e-13)


@pytest.mark.parametrize("container", [np.asarray, sparse.csc_array])
def test_products_with_rows_that_may_be_sparse(features, rng, container):
    rows = np.where(rng.uniform(size=(50, 5)) < 0.2, 1.0, 0.0)
    got = features.transposed_times_any(container(rows))
    assert isinstance(got, np.ndarray)
    np.testing.assert_allclose(got, features.dense.T @ rows, atol=1e-13)


@pytest.mark.parametrize("equal", [True, False])
def test_sums_over_rows(features, rng, equal, monkeypatch):
    monkeypatch.setattr(shared_features, "GRAM_BYTES", 500)  # several blocks
    weights = np.full(50, 0.3) if equal else rng.uniform(size=50)
    X = features.dense
    np.testing.assert_allclose(features.gram(weights), (X.T * weights) @ X, atol=1e-13)
    np.testing.assert_allclose(features.mean(weights), weights @ X, atol=1e-13)
    np.testing.assert_allclose(features.mean_squares(weights), weights @ X**2, atol=1e-13)
    assert features.shape == (50, 7)
