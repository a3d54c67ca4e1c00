"""AttentionRegressor against kernel sums written out, scikit-learn's kernels, repeated rows and the array function."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn import set_config
from sklearn.datasets import load_diabetes
from sklearn.metrics.pairwise import laplacian_kernel, rbf_kernel
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.neighbors import KNeighborsRegressor

from sksoft import AttentionRegressor
from sksoft.attention.intervals import covering_level
from sksoft.functional import softmax

COMPACT = {"epanechnikov": 1, "biweight": 2, "triweight": 3}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3)) * [1.0, 10.0, 0.1]
    return X, np.sin(X[:, 0]) + 0.1 * X[:, 1] + 0.1 * rng.normal(size=80), rng.normal(size=(20, 3)) * [1.0, 10.0, 0.1]


def kernel_sum(kernel, X, keys, y, h, weights=None):
    """The definition, pair by pair."""
    u = np.sqrt((((X[:, None] - keys) / h) ** 2).sum(axis=2))
    k = {
        "gaussian": lambda: np.exp(-(u**2) / 2),
        "laplace": lambda: np.exp(-u),
        "dot": lambda: np.exp((X / h) @ (keys / h).T),
    }.get(kernel, lambda: np.maximum(1 - u**2, 0.0) ** COMPACT[kernel])()
    k = k * (1.0 if weights is None else weights)
    return k @ y / k.sum(axis=1)


@pytest.mark.parametrize("kernel", ["gaussian", "laplace", "dot", *COMPACT])
def test_answers_are_kernel_sums(data, kernel):
    X, y, queries = data
    weights = np.random.default_rng(1).uniform(0.5, 2.0, 80)
    h = np.array([1.0, 9.0, 0.3]) * (8.0 if kernel in COMPACT or kernel == "dot" else 1.0)
    model = AttentionRegressor(kernel, h).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(model.predict(queries), kernel_sum(kernel, queries, X, y, h, weights), rtol=1e-11)


def test_weights_are_those_of_scikit_learns_kernels_and_a_softmax_of_scores():
    X, y = load_diabetes(return_X_y=True)
    X, queries, y = X[:300], X[300:], y[:300]
    h = 0.05
    gaussian = rbf_kernel(queries, X, gamma=1 / (2 * h**2))
    expected = gaussian / gaussian.sum(axis=1, keepdims=True)
    model = AttentionRegressor(bandwidth=h).fit(X, y)
    np.testing.assert_allclose(model.kneighbors_weights(queries).toarray(), expected, atol=1e-12)
    np.testing.assert_allclose(model.predict(queries), expected @ y, rtol=1e-12)
    scores = -(((queries[:, None] - X) / h) ** 2).sum(axis=2) / 2
    np.testing.assert_allclose(model.kneighbors_weights(queries).toarray(), softmax(scores), atol=1e-12)
    one = X[:, :1]
    distances = laplacian_kernel(queries[:, :1], one, gamma=1 / h)  # of one feature |.|₁ is |.|₂
    model = AttentionRegressor("laplace", h).fit(one, y)
    np.testing.assert_allclose(model.predict(queries[:, :1]), distances @ y / distances.sum(axis=1), rtol=1e-10)


def test_dot_attention_is_a_softmax_of_inner_products_over_a_temperature(data):
    X, y, queries = data
    model = AttentionRegressor("dot", np.sqrt(7.0)).fit(X, y)
    np.testing.assert_allclose(model.predict(queries), softmax(queries @ X.T, temperature=7.0) @ y, rtol=1e-12)


def test_sparsemax_is_the_projection_onto_the_simplex_and_has_neighbours_everywhere(data):
    from sksoft.functional import entmax, sparsemax

    X, y, queries = data
    h = np.array([1.0, 9.0, 0.3])
    scores = -(((queries[:, None] - X) / h) ** 2).sum(axis=2) / 2
    for kernel, function in (("sparsemax", sparsemax), ("entmax15", entmax)):
        weights = AttentionRegressor(kernel, h).fit(X, y).kneighbors_weights(queries).toarray()
        np.testing.assert_allclose(weights, function(scores), atol=1e-10)
        assert (weights == 0.0).any()


def test_heads_are_averaged(data):
    X, y, queries = data
    narrow, wide = np.array([0.5, 5.0, 0.1]), np.array([2.0, 20.0, 0.4])
    model = AttentionRegressor(bandwidth=np.array([narrow, wide]), n_heads=2).fit(X, y)
    expected = (kernel_sum("gaussian", queries, X, y, narrow) + kernel_sum("gaussian", queries, X, y, wide)) / 2
    np.testing.assert_allclose(model.predict(queries), expected, rtol=1e-11)
    np.testing.assert_allclose(model.kneighbors_weights(queries) @ y, expected, rtol=1e-11)


def test_local_lines_are_exact_on_a_plane_and_the_least_squares_of_each_query(data):
    X, y, queries = data
    plane = 3.0 + X @ [1.0, 2.0, 3.0]
    model = AttentionRegressor(bandwidth=[2.0, 20.0, 0.2], degree=1).fit(X, np.column_stack([plane, y]))
    answers = model.predict(queries)
    np.testing.assert_allclose(answers[:, 0], 3.0 + queries @ [1.0, 2.0, 3.0], atol=1e-3)
    for i, x in enumerate(queries):
        weights = np.exp(-((((x - X) / [2.0, 20.0, 0.2]) ** 2).sum(axis=1)) / 4)  # the root of the kernel
        columns = np.column_stack([np.ones(80), X - x]) * weights[:, None]
        expected = np.linalg.lstsq(columns, y * weights, rcond=None)[0][0]
        assert answers[i, 1] == pytest.approx(expected, abs=1e-3)


def test_leave_one_out_is_what_it_says_and_no_bandwidth_nearby_is_better(data):
    X, y, _ = data
    model = AttentionRegressor().fit(X, y)

    def loss(h):
        left = [kernel_sum("gaussian", X[i : i + 1], np.delete(X, i, 0), np.delete(y, i), h)[0] for i in range(80)]
        return np.mean((y - left) ** 2)

    assert -model.loo_score_ == pytest.approx(loss(model.bandwidth_), rel=1e-9)
    assert model.converged_
    for d in range(2):
        for factor in (0.9, 1.1):
            moved = model.bandwidth_.copy()
            moved[d] *= factor
            assert loss(moved) > -model.loo_score_
    others = rbf_kernel(X / model.bandwidth_, gamma=0.5)
    assert model.effective_dof_ == pytest.approx((np.diag(others) / others.sum(axis=1)).sum(), rel=1e-9)


def test_a_feature_that_does_not_matter_gets_no_importance():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    model = AttentionRegressor().fit(np.column_stack([X, np.ones(300)]), np.sin(2 * X[:, 0]))
    assert model.feature_importances_[0] > 0.95
    assert model.feature_importances_.sum() == pytest.approx(1.0)
    assert model.feature_importances_[3] == 0.0


@pytest.mark.parametrize("metric", ["scale", "ard"])
def test_units_of_features_do_not_matter_to_leave_one_out(data, metric):
    X, y, queries = data
    factors = np.array([1e-3, 1.0, 1e4])
    first, second = AttentionRegressor(metric=metric).fit(X, y), AttentionRegressor(metric=metric).fit(X * factors, y)
    np.testing.assert_allclose(second.predict(queries * factors), first.predict(queries), rtol=1e-3)
    np.testing.assert_allclose(second.bandwidth_, first.bandwidth_ * factors, rtol=1e-3)


@pytest.mark.parametrize("options", [{}, {"bandwidth": 1.0}, {"top_k": 5}, {"tol": 0.01}, {"kernel": "laplace"}])
@pytest.mark.parametrize("grouped", [False, True])
def test_a_weight_is_a_repetition_and_zero_is_no_row(data, options, grouped):
    X, y, queries = data
    weights = np.random.default_rng(2).integers(0, 4, 80)
    repeated = np.random.default_rng(3).permutation(np.repeat(np.arange(80), weights))
    groups = np.arange(80) // 3 if grouped else None
    first = AttentionRegressor(**options).fit(X, y, sample_weight=weights, groups=groups)
    second = AttentionRegressor(**options).fit(
        X[repeated], y[repeated], groups=None if groups is None else groups[repeated]
    )
    np.testing.assert_allclose(first.predict(queries), second.predict(queries), rtol=1e-12)
    np.testing.assert_allclose(
        first.predict_quantiles(queries, [0.1, 0.5]), second.predict_quantiles(queries, [0.1, 0.5]), rtol=1e-12
    )
    if "bandwidth" not in options:
        assert first.loo_score_ == pytest.approx(second.loo_score_, rel=1e-12)


def test_copies_with_other_targets_are_left_out_together(data):
    X, y, _ = data
    model = AttentionRegressor(bandwidth="loo").fit(np.vstack([X, X]), np.concatenate([y + 1.0, y - 1.0]))
    alone = AttentionRegressor(bandwidth="loo").fit(X, y)
    np.testing.assert_allclose(model.bandwidth_, alone.bandwidth_, rtol=1e-6)
    assert model.loo_score_ == pytest.approx(alone.loo_score_ - 1.0, rel=1e-9)


def test_groups_are_left_out_together(data):
    X, y, _ = data
    groups = np.array(["a", "b", "c", "d"])[np.arange(80) // 20]
    model = AttentionRegressor(metric="scale").fit(X, y, groups=groups)
    losses = []
    for i in range(80):
        others = groups != groups[i]
        losses.append((kernel_sum("gaussian", X[i : i + 1], X[others], y[others], model.bandwidth_)[0] - y[i]) ** 2)
    assert -model.loo_score_ == pytest.approx(np.mean(losses), rel=1e-9)
    assert model.loo_score_ < AttentionRegressor(metric="scale").fit(X, y).loo_score_


def test_several_targets_are_answered_by_one_bandwidth(data):
    X, y, queries = data
    both = np.column_stack([y, -2.0 * y])
    model = AttentionRegressor().fit(X, both)
    np.testing.assert_allclose(model.predict(queries)[:, 1], -2.0 * model.predict(queries)[:, 0], rtol=1e-9)
    assert model.predict_quantiles(queries).shape == (20, 2, 3)
    assert model.predict_interval(queries).shape == (20, 2, 2)
    assert model.predict(queries, return_std=True)[1].shape == (20, 2)


def test_the_deviation_is_that_of_the_weighted_targets(data):
    X, y, queries = data
    model = AttentionRegressor(bandwidth=[1.0, 9.0, 0.3]).fit(X, y + 1e6)
    weights = model.kneighbors_weights(queries).toarray()
    mean, std = model.predict(queries, return_std=True)
    expected = np.sqrt((weights * (y[None] + 1e6 - mean[:, None]) ** 2).sum(axis=1))
    np.testing.assert_allclose(std, expected, rtol=1e-6)


def test_intervals_hold_what_they_promise_where_noise_depends_on_x():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(4000, 1))
    y = np.sin(X[:, 0]) + (0.2 + 0.3 * np.abs(X[:, 0])) * rng.normal(size=4000)
    queries = np.linspace(-1.8, 1.8, 7)[:, None]
    interval = AttentionRegressor(bandwidth=0.15).fit(X, y).predict_interval(queries, coverage=0.8)
    scale = 0.2 + 0.3 * np.abs(queries[:, 0])
    for k, level in enumerate((0.1, 0.9)):
        expected = np.sin(queries[:, 0]) + norm.ppf(level) * scale
        assert np.abs(interval[:, k] - expected).max() < 0.2
    new = rng.uniform(-2, 2, size=(3000, 1))
    noisy = np.sin(new[:, 0]) + (0.2 + 0.3 * np.abs(new[:, 0])) * rng.normal(size=3000)
    low, high = AttentionRegressor(bandwidth=0.1).fit(X, y).predict_interval(new, coverage=0.8).T
    assert abs(np.mean((low <= noisy) & (noisy <= high)) - 0.8) < 0.03
    # a wide kernel's targets differ by the slope too, so the interval is wider than the noise alone
    low, high = AttentionRegressor(bandwidth=0.5).fit(X, y).predict_interval(new, coverage=0.8).T
    assert 0.8 < np.mean((low <= noisy) & (noisy <= high)) < 0.9
    # leave-one-out sees that, and intervals are as wide as they must be, with a wide kernel and with few neighbours
    low, high = AttentionRegressor(metric="scale").fit(X[:600], y[:600]).predict_interval(new, coverage=0.8).T
    assert abs(np.mean((low <= noisy) & (noisy <= high)) - 0.8) < 0.03
    wide = np.column_stack([X[:1000], rng.normal(size=(1000, 5))])
    others = np.column_stack([new, rng.normal(size=(3000, 5))])
    low, high = AttentionRegressor(metric="scale").fit(wide, y[:1000]).predict_interval(others, coverage=0.8).T
    assert abs(np.mean((low <= noisy) & (noisy <= high)) - 0.8) < 0.03


def test_intervals_hold_their_share_of_the_training_rows_left_out(data):
    X, y, _ = data
    weights = np.random.default_rng(5).integers(0, 3, 80).astype(float)
    groups = np.arange(80) // 5
    model = AttentionRegressor(metric="scale").fit(X, y, sample_weight=weights, groups=groups)
    tail = covering_level(model.interval_levels_, model.interval_weights_, 0.7)[0] * (1 - 1e-9)  # rounding
    held = np.zeros(80)
    for i in range(80):
        others = groups != groups[i]
        few = AttentionRegressor(bandwidth=model.bandwidth_).fit(X[others], y[others], sample_weight=weights[others])
        low, high = few.predict_quantiles(X[[i]], [tail, 1.0 - tail])[0]
        held[i] = low <= y[i] <= high
    assert 0.7 <= weights @ held / weights.sum() < 0.75


def test_weights_stand_in_the_columns_of_the_rows_given(data):
    X, y, queries = data
    weights = np.array([0.0, 1.0, 3.0, 1.0] * 20)
    X = X.copy()
    X[2] = X[1]
    model = AttentionRegressor(bandwidth=[1.0, 9.0, 0.3]).fit(X, y, sample_weight=weights)
    found = model.kneighbors_weights(queries)
    assert found.shape == (20, 80)
    assert (found[:, ::4].toarray() == 0.0).all()
    np.testing.assert_allclose(found[:, [2]].toarray(), 3.0 * found[:, [1]].toarray(), rtol=1e-12)
    np.testing.assert_allclose(found @ y, model.predict(queries), rtol=1e-12)


def test_one_nearest_row_is_scikit_learns(data):
    X, y, queries = data
    expected = KNeighborsRegressor(1).fit(X, y).predict(queries)
    np.testing.assert_allclose(AttentionRegressor(bandwidth=0.5, top_k=1).fit(X, y).predict(queries), expected)


def test_float32_and_data_frames(data):
    X, y, queries = data
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = AttentionRegressor(bandwidth=1.0).fit(frame, y)
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    single = AttentionRegressor(bandwidth=1.0).fit(X.astype(np.float32), y)
    np.testing.assert_allclose(
        single.predict(queries.astype(np.float32)), model.predict(pd.DataFrame(queries, columns=["a", "b", "c"])), 1e-3
    )


def test_groups_and_weights_are_routed(data):
    X, y, _ = data
    groups = np.arange(80) // 4
    set_config(enable_metadata_routing=True)
    try:
        model = AttentionRegressor(metric="scale").set_fit_request(sample_weight=True, groups=True)
        model.set_score_request(sample_weight=True)
        scores = cross_validate(
            model,
            X,
            y,
            cv=GroupKFold(3),
            params={"groups": groups, "sample_weight": np.ones(80)},
            return_estimator=True,
        )
        assert all(np.isfinite(fitted.loo_score_) for fitted in scores["estimator"])
    finally:
        set_config(enable_metadata_routing=False)


def test_a_grid_search_goes_over_bandwidths(data):
    X, y, _ = data
    search = GridSearchCV(
        AttentionRegressor(), {"bandwidth": [0.3, 3.0, "loo"], "kernel": ["gaussian", "laplace"]}
    ).fit(X, y)
    assert search.best_params_["bandwidth"] == "loo"


# --- out of reach


def test_rows_out_of_reach(data):
    X, y, _ = data
    far = np.full((2, 3), 1e3)
    near = X[:1]
    model = AttentionRegressor("epanechnikov", 50.0).fit(X, y)
    np.testing.assert_allclose(model.predict(far), y.mean(), rtol=1e-12)
    model.set_params(empty="nan")
    assert np.isnan(model.predict(np.vstack([near, far]))).tolist() == [False, True, True]
    assert np.isnan(model.predict_quantiles(far)).all()
    model.set_params(empty="raise")
    assert np.isfinite(model.predict(near)).all()
    for method in (model.predict, model.predict_quantiles):
        with pytest.raises(ValueError, match=r"2 rows of X have no training row within reach.*row 1"):
            method(np.vstack([near, far]))
    model.set_params(top_k=3)
    with pytest.raises(ValueError, match="2 rows of X have no training row within reach"):
        model.predict(np.vstack([near, far]))


def test_far_away_a_gaussian_answers_by_the_nearest_row(data):
    X, y, _ = data
    far = np.array([[1e8, 0.0, 0.0]])
    assert AttentionRegressor(bandwidth=1.0).fit(X, y).predict(far)[0] == pytest.approx(y[X[:, 0].argmax()])


# --- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bandwidth": 0.0}, "'bandwidth' parameter"),
        ({"bandwidth": -1.0}, "'bandwidth' parameter"),
        ({"bandwidth": np.nan}, "'bandwidth' parameter"),
        ({"bandwidth": [1.0, -1.0, 1.0]}, r"positive everywhere. Got -1"),
        ({"bandwidth": [1.0, np.nan, 1.0]}, r"positive everywhere. Got nan"),
        ({"bandwidth": [1.0, 1.0]}, r"shape \(3,\).*Got shape \(2,\)"),
        ({"bandwidth": [[1.0, 1.0, 1.0]], "n_heads": 2}, r"\(2, 3\).*Got shape \(1, 3\)"),
        ({"bandwidth": ["a", "b", "c"]}, "'bandwidth' parameter must hold numbers"),
        ({"bandwidth": "cv"}, "'bandwidth' parameter"),
        ({"bandwidth": 1.0, "metric": "linear"}, "metric='linear' is learned"),
        ({"kernel": "cosine"}, "'kernel' parameter"),
        ({"top_k": 0}, "'top_k' parameter"),
        ({"top_k": 81, "bandwidth": 1.0}, r"'top_k' parameter must be at most.*80. Got 81"),
        ({"tol": 1.0}, "'tol' parameter"),
        ({"tol": -0.1}, "'tol' parameter"),
        ({"degree": 2}, "'degree' parameter"),
        ({"degree": 1, "top_k": 5}, "degree=1 needs all"),
        ({"empty": "zero"}, "'empty' parameter"),
        ({"n_heads": 0}, "'n_heads' parameter"),
    ],
)
def test_bad_parameters(data, options, message):
    X, y, _ = data
    with pytest.raises(ValueError, match=message):
        AttentionRegressor(**options).fit(X, y)


def test_bad_data(data):
    from scipy.sparse import csr_array

    X, y, queries = data
    with pytest.raises(ValueError, match=r"needs at least 2 rows that differ.*Got 1 among n_samples = 1"):
        AttentionRegressor().fit(X[:1], y[:1])
    with pytest.raises(ValueError, match=r"Got 1 among n_samples = 5"):
        AttentionRegressor().fit(np.tile(X[:1], (5, 1)), y[:5])
    with pytest.raises(ValueError, match=r"at least two groups"):
        AttentionRegressor().fit(X, y, groups=np.zeros(80))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        AttentionRegressor().fit(X, y, groups=np.zeros(8))
    with pytest.raises(TypeError, match="Sparse data was passed"):
        AttentionRegressor().fit(csr_array(X), y)
    with pytest.raises(ValueError, match="1e\\+100"):
        AttentionRegressor(bandwidth=1.0).fit(X * 1e101, y)
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        AttentionRegressor().fit(X, y, sample_weight=-np.ones(80))
    model = AttentionRegressor(bandwidth=1.0).fit(X[:1], y[:1])
    np.testing.assert_array_equal(model.predict(queries), np.full(20, y[0]))
    for quantiles in ([0.5, 1.5], [np.nan], [[0.1]]):
        with pytest.raises(ValueError, match="'quantiles' parameter"):
            model.predict_quantiles(queries, quantiles)
    for coverage in (0.0, 1.0, "0.9", np.nan):
        with pytest.raises(ValueError, match="'coverage' parameter"):
            model.predict_interval(queries, coverage)
    lines = AttentionRegressor(bandwidth=5.0, degree=1).fit(X, y)
    for method in (lines.predict_quantiles, lines.kneighbors_weights):
        with pytest.raises(ValueError, match="needs degree=0"):
            method(queries)
