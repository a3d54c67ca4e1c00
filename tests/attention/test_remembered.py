"""What a fitted model keeps is arrays, and recalls to the same answers as the array function gives."""

import pickle
import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

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


@pytest.mark.parametrize("change", [{"kernel": "dot"}, {"degree": 1}, {"bandwidth": 3.0}, {"n_heads": 2}])
def test_parameters_of_the_fit_that_are_set_later_wait_for_the_next_fit(change):
    model = AttentionRegressor(max_iter=20).fit(X, Y)
    expected = model.predict(QUERIES)
    np.testing.assert_array_equal(model.set_params(**change).predict(QUERIES), expected)
    assert model.predict_interval(QUERIES).shape == (15, 2)


def test_parameters_of_a_prediction_are_checked_when_it_is_made():
    model = AttentionRegressor(bandwidth=1.0).fit(X, Y)
    for wrong in ({"top_k": 0}, {"tol": 2.0}, {"empty": "other"}):
        with pytest.raises(ValueError, match=f"The '{next(iter(wrong))}' parameter of AttentionRegressor must be"):
            clone(model).fit(X, Y).set_params(**wrong).predict(QUERIES)
    lines = AttentionRegressor(bandwidth=1.0, degree=1).fit(X, Y).set_params(top_k=3)
    with pytest.raises(ValueError, match=r"with degree=1 needs all keys: top_k=None and tol=0. Got 3, 0"):
        lines.predict(QUERIES)


@pytest.mark.parametrize("kernel", ["gaussian", "laplace", "biweight", "dot"])
def test_what_has_no_finite_squares_is_refused(kernel):
    model = AttentionRegressor(kernel, 1.0).fit(X, Y)
    with pytest.raises(ValueError, match=r"X must hold values up to 1e\+100, whose squares are finite. Got 1e\+160"):
        model.predict(np.full((1, 3), 1e160))
    with pytest.raises(ValueError, match=r"X must hold values up to 1e\+100 bandwidths, whose squares are finite"):
        AttentionRegressor(kernel, 1e-200).fit(X, Y)
    narrow = AttentionRegressor(kernel, 1e-60).fit(X, Y)
    with pytest.raises(ValueError, match=r"X must hold values up to 1e\+100 bandwidths, whose squares are finite"):
        narrow.predict(np.full((1, 3), 1e60))
    wide = AttentionRegressor(kernel, 1e300).fit(X, Y)
    np.testing.assert_allclose(wide.predict(QUERIES), Y.mean())


@pytest.mark.parametrize("factor", [1e-200, 1e-9, 1e9, 1e99])
def test_units_of_the_features_do_not_matter(factor):
    expected, model = AttentionRegressor().fit(X, Y), AttentionRegressor().fit(X * factor, Y)
    np.testing.assert_allclose(model.bandwidth_ / factor, expected.bandwidth_, rtol=1e-6)
    np.testing.assert_allclose(model.predict(QUERIES * factor), expected.predict(QUERIES), rtol=1e-6)
    np.testing.assert_allclose(model.feature_importances_, expected.feature_importances_, rtol=1e-6)


def test_leave_one_out_refuses_targets_whose_squares_are_not_numbers():
    with pytest.raises(ValueError, match=r"y must hold values up to 1e\+100, whose squares are finite. Got .*e\+200"):
        AttentionRegressor().fit(X, Y * 1e200)
    with pytest.raises(
        ValueError, match=r"y must differ by at least 1e-100, whose square is not zero, or .* Got .*e-200"
    ):
        AttentionRegressor().fit(X, Y * 1e-200)
    np.testing.assert_allclose(AttentionRegressor().fit(X, np.full(70, 3.0)).predict(QUERIES), 3.0, rtol=1e-15)


def test_groups_are_as_long_as_the_rows_even_where_nothing_is_left_out():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        AttentionRegressor(bandwidth=1.0).fit(X, Y, groups=np.arange(3))
    with pytest.raises(ValueError, match="groups should be a 1d array"):
        AttentionRegressor().fit(X, Y, groups=np.ones((70, 2)))


def test_a_search_that_stops_says_what_the_estimator_can_change():
    with pytest.warns(ConvergenceWarning, match="Increase max_iter") as caught:
        AttentionRegressor(max_iter=1).fit(X, Y)
    assert "tol" not in str(caught[0].message)


@pytest.mark.parametrize("n", [6, 12, 30])
def test_features_of_two_values_with_rounding_noise(n):
    noisy = np.arange(n) % 2 + 1e-10 * np.random.default_rng(0).normal(size=n)
    model = AttentionRegressor().fit(noisy[:, None], np.arange(n) % 2 + 0.1 * np.random.default_rng(1).normal(size=n))
    np.testing.assert_allclose(model.predict([[0.0], [1.0]]), [0.0, 1.0], atol=0.3)


@pytest.mark.parametrize("options", [{"kernel": "dot"}, {"standardize": False}, {"metric": "linear"}])
def test_features_that_are_searched_as_they_are_need_squares_that_are_not_zero(options):
    with pytest.raises(ValueError, match=r"X must differ by at least 1e-100, whose square is not zero, or .* Got"):
        AttentionRegressor(**options).fit(X * [1.0, 1e-200, 1.0], Y)
