"""What stands in the way of estimates is named, in messages and in fits."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning

from sksoft import SoftmaxRegression
from sksoft.linear import inference_diagnoses
from sksoft.linear.inference_diagnoses import diagnose


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def overlapping(rng, n=200, p=3, n_classes=3):
    X = rng.normal(size=(n, p))
    codes = (X @ rng.normal(size=(p, n_classes)) + rng.gumbel(size=(n, n_classes))).argmax(axis=1)
    return pd.DataFrame(X, columns=list("abcdefgh")[:p]), np.array(["x", "y", "z"])[codes]


def test_nothing_is_found_where_the_maximum_exists(rng):
    X, y = overlapping(rng)
    assert diagnose(X, y) == []


@pytest.mark.parametrize("container", [pd.DataFrame, lambda X: sparse.csr_array(X.to_numpy())])
def test_collinear_and_constant_columns_are_written_out(rng, container):
    X, y = overlapping(rng)
    X = X.assign(d=2 * X["a"] - X["b"] + 3, e=7.0, f=0.0)
    given = container(X)
    names = {name: name if isinstance(given, pd.DataFrame) else f"x{j}" for j, name in enumerate(X)}
    a, b, d, e, f = (repr(names[name]) for name in "abdef")
    assert [(one.code, one.message) for one in diagnose(given, y)] == [
        ("collinear-columns", f"{d} is 2·{a} − {b} + 3"),
        ("constant-column", f"{e} is constant, 7 beside an intercept"),
        ("constant-column", f"{f} is constant, 0 beside an intercept"),
    ]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_nearly_collinear_column_is_not_collinear(rng, scale):
    X, y = overlapping(rng)
    noise = rng.normal(size=len(X))
    assert diagnose(X.assign(d=scale * (X["a"] + 1e-5 * noise)), y) == []
    (found,) = diagnose(X.assign(d=scale * (X["a"] + 1e-14 * noise)), y)
    assert found.features == ("d", "a")


def test_dummies_of_all_levels_are_collinear_beside_an_intercept_only(rng):
    X, y = overlapping(rng)
    level = rng.integers(3, size=len(X))
    X = X.assign(**{f"level{k}": (level == k).astype(float) for k in range(3)})
    (found,) = diagnose(X, y)
    assert found.message == "'level2' is −'level0' − 'level1' + 1"
    assert diagnose(X, y, fit_intercept=False) == []


def test_rows_of_weight_zero_are_no_rows(rng):
    X, y = overlapping(rng)
    weights = np.where((X["a"] > 0) == (y == "x"), 1.0, 0.0)
    (found,) = diagnose(X, y, weights)
    assert found.code == "quasi-complete-separation"
    assert found.features == ("a",)
    assert found.classes == ("x", "y", "z")


def warning_of(X, y, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = SoftmaxRegression(C=np.inf, **options).fit(X, y)
    assert all(issubclass(one.category, ConvergenceWarning) for one in caught)
    return model, " ".join(str(one.message) for one in caught)


def test_a_fit_names_quasi_complete_separation_of_iris():
    """Setosa is apart, the other two overlap: their coefficients exist, those of setosa do not."""
    X, y = load_iris(return_X_y=True, as_frame=True)
    model, message = warning_of(X[["petal length (cm)", "petal width (cm)"]], y.map({0: "S", 1: "C", 2: "V"}))
    assert re.search(r"quasi-complete separation: 'petal (length|width) .cm.' separates 'S' from 'C' and 'V'", message)
    assert "Use a finite C" in message
    assert not model.converged_
    assert np.isfinite(model.coef_).all()


@pytest.mark.parametrize("tol", [1e-4, 1e-6, 1e-10])
def test_one_dummy_that_is_of_one_class_only(rng, tol):
    X, y = overlapping(rng, n=300)
    X = X.assign(rare=0.0)
    X.loc[np.flatnonzero(y == "y")[:3], "rare"] = 1.0
    model, message = warning_of(X, y, tol=tol)
    assert "quasi-complete separation: 'rare' separates 'y' from 'x' and 'z' (3 rows)" in message
    assert not model.converged_


def test_wine_is_separated_completely_and_the_fit_is_finite():
    X, y = load_wine(return_X_y=True, as_frame=True)
    model, message = warning_of(X, y)
    assert "complete separation: " in message
    assert "quasi" not in message
    assert "(178 rows)" in message
    assert "separate 0 from 1 and 2; 1 from 2" in message
    assert np.isfinite(model.coef_).all()
    assert not model.converged_


def test_an_offset_alone_separates_nothing(rng, monkeypatch):
    X, y = overlapping(rng)
    offset = 50.0 * (y[:, None] == np.array(["x", "y", "z"]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        SoftmaxRegression(C=np.inf).fit(X, y, offset=offset)
        monkeypatch.setattr(inference_diagnoses, "MOST_DECIDED", 3)
        SoftmaxRegression(C=np.inf).fit(X, y, offset=offset)
    assert not any("separation" in str(one.message) for one in caught)


@pytest.mark.parametrize("options", [{"C": 1.0}, {"link": "sparsemax", "C": np.inf}])
def test_a_ridge_or_a_sparse_link_has_an_optimum_in_spite_of_separation(options):
    X = np.array([[-1.0], [1.0]] * 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert SoftmaxRegression(**options).fit(X, [0, 1] * 10).converged_


def test_ordinary_fits_solve_no_linear_program(rng, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a linear program for a fit that has its optimum")

    monkeypatch.setattr(inference_diagnoses, "separation", refuse)
    monkeypatch.setattr(inference_diagnoses.Likelihood, "maximise", refuse)
    for scale in (1e-3, 1.0, 1e3):
        X, y = overlapping(rng)
        assert warning_of(scale * X, y)[0].converged_
        assert warning_of(scale * X, y, temperature=20.0)[0].converged_
    X, y = load_iris(return_X_y=True, as_frame=True)
    assert warning_of(X[y > 0], y[y > 0])[0].converged_


def test_more_coefficients_than_are_looked_through(rng, monkeypatch):
    monkeypatch.setattr(inference_diagnoses, "MOST_DECIDED", 3)
    X = np.array([[-1.0], [1.0]] * 10)
    assert "complete separation: the features separate all classes (20 rows)" in warning_of(X, [0, 1] * 10)[1]
    one_shared = np.append(X, [[1.0]], axis=0)
    assert "separation" not in warning_of(one_shared, [*([0, 1] * 10), 0])[1]
