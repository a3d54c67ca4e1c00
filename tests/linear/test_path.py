"""A path of fits is the fits, at less cost, in the order asked for."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning

from sksoft import SoftmaxRegression
from sksoft.linear.path import fits_along

CS = [10.0, 0.01, 1.0, 0.1]


@pytest.fixture
def data():
    X, y = load_digits(return_X_y=True)
    return X / 16.0, y


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("params", [{}, {"fit_intercept": False, "link": "sparsemax"}, {"temperature": 2.0}], ids=str)
def test_every_fit_is_the_one_to_its_c(data, container, params):
    X, y = container(data[0][:400]), data[1][:400]
    s = np.random.default_rng(0).uniform(0.5, 2.0, size=400)
    found = SoftmaxRegression(tol=1e-9, **params).fit_path(X, y, CS, sample_weight=s)
    np.testing.assert_array_equal(found.Cs, CS)
    assert len(found) == 4
    for i, C in enumerate(CS):
        alone = SoftmaxRegression(C=C, tol=1e-9, **params).fit(X, y, sample_weight=s)
        np.testing.assert_allclose(found.objectives[i], alone.objective_, rtol=1e-8)
        np.testing.assert_allclose(found.coefs[i], alone.coef_, atol=1e-4)
        np.testing.assert_allclose(found.intercepts[i], alone.intercept_, atol=1e-3)
    assert (found.gaps <= 1e-9 * found.objectives).all()
    assert found.converged.all()


def test_two_classes_have_one_row(data):
    X, y = data[0][data[1] < 2], data[1][data[1] < 2]
    found = SoftmaxRegression().fit_path(X, y, [0.1, 1.0])
    assert found.coefs.shape == (2, 1, 64)
    assert found.intercepts.shape == (2, 1)
    np.testing.assert_array_equal(found.classes, [0, 1])


def test_a_path_takes_fewer_sweeps_than_its_fits(data):
    Cs = np.logspace(-3, 3, 13)
    found = SoftmaxRegression().fit_path(*data, Cs)
    alone = sum(SoftmaxRegression(C=C).fit(*data).n_passes_ for C in Cs)
    assert found.n_passes.sum() < 0.5 * alone


@pytest.mark.filterwarnings("ignore:.*quasi-complete separation")  # setosa is apart
def test_without_penalty():
    X, y = load_iris(return_X_y=True)
    found = SoftmaxRegression(max_iter=300).fit_path(X, y, [np.inf, 1.0])
    assert np.isnan(found.gaps[0])
    np.testing.assert_allclose(2 * 150 * found.objectives[0], 11.899, atol=1e-3)  # R's glm, see the tests of the fit


def test_the_model_stays_as_it_was(data):
    model = SoftmaxRegression(C=3.0).fit(*data)
    before = model.coef_.copy()
    model.fit_path(*data, [0.01])
    np.testing.assert_array_equal(model.coef_, before)
    assert model.C == 3.0
    assert not hasattr(SoftmaxRegression(), "coef_")


def test_a_fit_that_stops_early_warns(data):
    with pytest.warns(ConvergenceWarning, match="stopped by max_iter"):
        found = SoftmaxRegression(max_iter=1).fit_path(*data, [100.0])
    assert not found.converged.any()


@pytest.mark.parametrize("Cs", [[], [0.0], [1.0, -1.0], [np.nan], [[1.0]]])
def test_bad_cs_are_refused(data, Cs):
    with pytest.raises(ValueError, match="'Cs' parameter must hold numbers"):
        SoftmaxRegression().fit_path(*data, Cs)


@pytest.mark.parametrize("params", [{}, {"l1_ratio": 0.5}], ids=str)
def test_a_guide_changes_the_sweeps_and_not_the_solutions(data, params):
    Cs, (X, y), half = np.logspace(-3, 3, 7), (data[0][:400], data[1][:400]), np.arange(400) % 5 > 0
    model = SoftmaxRegression(tol=1e-9, **params)
    guide = fits_along(model, X, y, Cs)
    guided, alone = fits_along(model, X[half], y[half], Cs, guide=guide), fits_along(model, X[half], y[half], Cs)
    for one, other in zip(guided, alone):
        assert one.converged_
        np.testing.assert_allclose(one.objective_, other.objective_, rtol=1e-8)
        np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-4)
    assert sum(fit.n_passes_ for fit in guided) < sum(fit.n_passes_ for fit in alone)
