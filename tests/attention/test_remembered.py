"""What a fitted model keeps is arrays, and recalls to the same answers as the array function gives."""

import pickle
import tracemalloc

import numpy as np
import pytest

from sksoft import AttentionClassifier, AttentionRegressor, scaled_dot_product_attention
from sksoft.attention.remembered import distributions, recalled

RNG = np.random.default_rng(0)
X, QUERIES = RNG.normal(size=(70, 3)), RNG.normal(size=(15, 3))
Y = np.sin(X[:, 0]) + X[:, 1]


def test_the_array_function_gives_the_same_answers():
    h = 0.7
    expected = scaled_dot_product_attention(QUERIES, X, Y[:, None], score="rbf", scale=h**-2)[:, 0]
    np.testing.assert_allclose(AttentionRegressor(bandwidth=h).fit(X, Y).predict(QUERIES), expected, atol=1e-12)
    expected = scaled_dot_product_attention(QUERIES, X, Y[:, None], score="dot", temperature=h**2, scale=1.0)[:, 0]
    np.testing.assert_allclose(AttentionRegressor("dot", h).fit(X, Y).predict(QUERIES), expected, atol=1e-12)


@pytest.mark.parametrize(
    "options", [{}, {"n_heads": 2}, {"metric": "linear"}, {"top_k": 4}, {"degree": 1, "bandwidth": 1.0}]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fitted_attributes_are_plain(options):
    model = AttentionRegressor(max_iter=20, **options).fit(X, Y)
    for name, value in vars(model).items():
        if name.endswith("_"):
            assert value is None or type(value) in (np.ndarray, float, int, bool), name
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(QUERIES), model.predict(QUERIES))


@pytest.mark.parametrize("options", [{}, {"top_k": 3}, {"kernel": "biweight"}])
def test_distributions_are_over_the_rows_given_and_sum_to_one(options):
    weights = RNG.integers(0, 3, 70)
    model = AttentionClassifier(metric="scale", **options).fit(X, Y > 0, sample_weight=weights)
    queries = np.vstack([QUERIES, np.full((1, 3), 1e3)])
    found = np.vstack([block for _, block in distributions(model, queries)])
    assert found.shape == (16, 70)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-12)
    assert (found[:, weights == 0] == 0.0).all()
    np.testing.assert_allclose(found @ (Y > 0), model.predict_proba(queries)[:, 1], rtol=1e-9, atol=1e-12)


def test_effective_degrees_of_freedom_are_the_trace_of_the_smoother():
    model = AttentionRegressor().fit(X, Y)
    assert model.effective_dof_ == pytest.approx(np.trace(model.kneighbors_weights(X).toarray()), rel=1e-9)
    repeated = AttentionRegressor().fit(np.repeat(X, 3, axis=0), np.repeat(Y, 3))
    assert repeated.effective_dof_ == pytest.approx(model.effective_dof_, rel=1e-12)


def test_importances_are_shares_of_squared_distances():
    model = AttentionRegressor(bandwidth=[1.0, 2.0, np.inf]).fit(X, Y)
    squared = ((X[:, None] - X) ** 2).mean(axis=(0, 1)) / [1.0, 4.0, np.inf]
    np.testing.assert_allclose(model.feature_importances_, squared / squared.sum(), rtol=1e-9)


def test_recalled_memory_does_not_depend_on_the_order_of_rows():
    order = RNG.permutation(70)
    first, second = AttentionRegressor().fit(X, Y), AttentionRegressor().fit(X[order], Y[order])
    np.testing.assert_array_equal(recalled(first).keys.X, recalled(second).keys.X)
    np.testing.assert_array_equal(first.predict(QUERIES), second.predict(QUERIES))
    np.testing.assert_allclose(
        first.kneighbors_weights(QUERIES).toarray()[:, order], second.kneighbors_weights(QUERIES).toarray(), rtol=1e-12
    )


def test_rows_that_are_few_keys_take_no_square_of_memory():
    rng = np.random.default_rng(3)
    X = rng.integers(0, 10, size=(3000, 1)).astype(float)
    y = X[:, 0] + rng.normal(size=3000)
    tracemalloc.start()
    model = AttentionRegressor().fit(X, y)
    model.predict_quantiles(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 3000**2 / 2


@pytest.mark.parametrize("is_grouped", [False, True])
def test_intervals_are_judged_by_the_others_of_rows_that_are_one_key(is_grouped):
    rng = np.random.default_rng(4)
    X, weights = rng.integers(0, 4, size=(40, 1)).astype(float), rng.integers(0, 3, size=40)
    Y = rng.normal(size=(40, 2)).round(1)
    groups = np.arange(40) % 7 if is_grouped else None
    model = AttentionRegressor().fit(X, Y, sample_weight=weights, groups=groups)
    for levels, i in zip(model.interval_levels_, np.flatnonzero(weights)):
        others = X[:, 0] != X[i, 0]
        if is_grouped:
            others &= groups != groups[i]
        a = np.where(others, weights * np.exp(-(((X[:, 0] - X[i, 0]) / model.bandwidth_[0]) ** 2) / 2), 0.0)
        expected = [min(a[y <= y[i]].sum(), a[y >= y[i]].sum()) / a.sum() for y in Y.T]
        np.testing.assert_allclose(levels, expected, rtol=1e-9, atol=1e-12)
