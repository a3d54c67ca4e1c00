"""Coefficients stored sparse predict the same, dense or sparse X, one row or many, and can be learnt on."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from sksoft import SoftmaxRegression


@pytest.fixture(params=[2, 4])
def fitted(request):
    X, y = load_digits(n_class=request.param, return_X_y=True)
    return SoftmaxRegression(C=0.01).fit(X, y), X, y


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, sparse.csr_matrix])
def test_predictions_are_the_same(fitted, container):
    model, X, _ = fitted
    before = model.decision_function(X), model.predict_proba(X), model.predict(X)
    model = pickle.loads(pickle.dumps(model.sparsify()))
    X = container(X)
    for was, now in zip(before, (model.decision_function(X), model.predict_proba(X), model.predict(X))):
        assert isinstance(now, np.ndarray)
        np.testing.assert_allclose(now, was, rtol=1e-10, atol=1e-12)


def test_the_format_is_scikit_learns_and_can_be_taken_back(fitted):
    model, X, y = fitted
    dense = model.coef_.copy()
    assert model.sparsify() is model
    assert type(model.coef_) is type(LogisticRegression(max_iter=10_000, tol=1e-2).fit(X, y).sparsify().coef_)
    assert model.coef_.nnz < dense.size  # pixels of the border are never lit
    assert model.sparsify().densify() is model
    np.testing.assert_array_equal(model.densify().coef_, dense)


def test_fits_go_on_from_sparse_coefficients(fitted):
    model, X, y = fitted
    dense = pickle.loads(pickle.dumps(model))
    model.sparsify()
    np.testing.assert_array_equal(model.partial_fit(X, y).coef_, dense.partial_fit(X, y).coef_)
    warm = SoftmaxRegression(C=0.01, warm_start=True).fit(X, y).sparsify().fit(X, y)
    np.testing.assert_allclose(warm.coef_, SoftmaxRegression(C=0.01).fit(X, y).coef_, atol=1e-4)


@pytest.mark.parametrize("method", ["sparsify", "densify"])
def test_nothing_to_store_before_a_fit(method):
    with pytest.raises(NotFittedError):
        getattr(SoftmaxRegression(), method)()
