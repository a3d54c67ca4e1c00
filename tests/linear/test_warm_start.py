"""Coefficients carried over to other classes and features keep the probabilities that both models know."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import softmax
from sklearn.datasets import load_digits

from sksoft import SoftmaxRegression
from sksoft.linear.warm_start import carry_over, fewest_rows, one_row_each


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def proba(coef, intercept, X):
    scores = X @ coef.T + intercept
    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    return softmax(scores, axis=1)


def model(rng, n_classes, n_features=4):
    rows = 1 if n_classes == 2 else n_classes
    return rng.normal(size=(rows, n_features)), rng.normal(size=rows)


def labels(*names):
    return np.array(names)


def carried(rng, n_old, old, new, **params):
    coef, intercept = model(rng, n_old)
    params = {"shares": np.full(len(new), 1.0 / len(new)), "centre": np.zeros(4), **params}
    return (coef, intercept), carry_over(coef, intercept, labels(*old), labels(*new), **params)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_layouts_are_the_same_model(n_classes, rng):
    before, X = model(rng, n_classes), rng.normal(size=(20, 4))
    wide = one_row_each(*before)
    assert len(wide[0]) == n_classes
    np.testing.assert_allclose(proba(*wide, X), proba(*before, X), rtol=1e-12)
    np.testing.assert_allclose(proba(*fewest_rows(*wide), X), proba(*before, X), rtol=1e-12)
    np.testing.assert_allclose(fewest_rows(*wide)[0], before[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("old", "new"),
    [("ab", "ab"), ("abc", "abc"), ("abc", "ac"), ("ab", "abc"), ("ac", "abc"), ("abcd", "db"), ("abc", "cxay")],
)
def test_known_classes_keep_their_ratios(old, new, rng):
    before, after = carried(rng, len(old), old, new)
    X = rng.normal(size=(30, 4))
    was, now = proba(*before, X), proba(*after, X)
    kept = [label for label in old if label in new]
    was = was[:, [old.index(label) for label in kept]]
    now = now[:, [new.index(label) for label in kept]]
    np.testing.assert_allclose(now / now.sum(1, keepdims=True), was / was.sum(1, keepdims=True), rtol=1e-10)


def test_same_classes_give_the_same_arrays(rng):
    before, after = carried(rng, 3, "abc", "abc")
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1], before[1])


def test_a_new_class_has_its_share_at_the_mean_of_the_features(rng):
    centre, shares = rng.normal(size=4), np.array([0.3, 0.2, 0.1, 0.4])
    _, after = carried(rng, 2, "ac", "abcd", shares=shares, centre=centre)
    at_mean = proba(*after, centre[None])[0]
    np.testing.assert_allclose(at_mean[[1, 3]], shares[[1, 3]], rtol=1e-12)
    # a common row, here the mean of the two known ones, may be subtracted from all: new rows are zero beside it
    np.testing.assert_array_equal(after[0][[1, 3]], 0.0)


def test_nothing_known_starts_at_the_shares(rng):
    shares = np.array([0.5, 0.25, 0.25])
    _, (coef, intercept) = carried(rng, 3, "abc", "xyz", shares=shares)
    np.testing.assert_array_equal(coef, 0.0)
    np.testing.assert_allclose(softmax(intercept), shares)


def test_features_are_matched_by_name(rng):
    coef, intercept = model(rng, 3)
    names, new_names = np.array(["p", "q", "r", "s"]), np.array(["s", "new", "p"])
    moved, level = carry_over(
        coef,
        intercept,
        labels(*"abc"),
        labels(*"abc"),
        shares=np.full(3, 1 / 3),
        centre=np.zeros(3),
        features=names,
        new_features=new_names,
    )
    np.testing.assert_array_equal(moved, np.column_stack([coef[:, 3], np.zeros(3), coef[:, 0]]))
    np.testing.assert_array_equal(level, intercept)


def test_other_features_without_names_are_refused(rng):
    with pytest.raises(ValueError, match="needs the 4 features of the previous fit"):
        carried(rng, 3, "abc", "abc", centre=np.zeros(5))


def digits(*names):
    X, y = load_digits(return_X_y=True)
    frame = pd.DataFrame(X, columns=[f"pixel{i}" for i in range(64)])
    kept = np.isin(y, names)
    return frame[kept], y[kept]


def warm(first, second, **params):
    """A fit to the second data from the optimum of the first, and one from nothing."""
    model = SoftmaxRegression(warm_start=True, **params).fit(*first)
    return model.fit(*second), SoftmaxRegression(**params).fit(*second)


def columns(data, names):
    return data[0][names], data[1]


NAMES = [f"pixel{i}" for i in range(64)]
CHANGES = {
    "no change": (digits(0, 1, 2), digits(0, 1, 2)),
    "a class more": (digits(0, 1, 2), digits(0, 1, 2, 7)),
    "a class less": (digits(0, 1, 2, 7), digits(0, 2, 7)),
    "two, then three": (digits(3, 5), digits(3, 4, 5)),
    "three, then two": (digits(3, 4, 5), digits(3, 5)),
    "other classes": (digits(0, 1), digits(2, 3)),
    "features in another order": (digits(0, 1, 2), columns(digits(0, 1, 2), NAMES[::-1])),
    "features less": (digits(0, 1, 2), columns(digits(0, 1, 2), NAMES[10:50])),
    "features more": (columns(digits(0, 1, 2), NAMES[10:50]), digits(0, 1, 2)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("params", [{}, {"temperature": 2.0}, {"fit_intercept": False}], ids=str)
def test_a_warm_start_changes_no_optimum(change, params):
    started, fresh = warm(*CHANGES[change], C=0.01, tol=1e-12, **params)
    np.testing.assert_array_equal(started.classes_, fresh.classes_)
    np.testing.assert_allclose(started.coef_, fresh.coef_, atol=1e-6)
    np.testing.assert_allclose(started.intercept_, fresh.intercept_, atol=1e-5)


@pytest.mark.parametrize("change", ["no change", "a class less", "features in another order"])
def test_a_warm_start_begins_where_the_last_fit_ended(change):
    started, fresh = warm(*CHANGES[change], C=0.01)
    assert started.n_passes_ < fresh.n_passes_


def test_a_sparse_warm_start_knows_its_features():
    X, y = digits(0, 1, 2)
    X = sparse.csr_array(X.to_numpy())
    model = SoftmaxRegression(warm_start=True, C=0.01).fit(X, y)
    steps = model.n_iter_
    assert model.fit(X, y).n_iter_ < steps
    with pytest.raises(ValueError, match="needs the 64 features of the previous fit"):
        model.fit(X[:, :60], y)
