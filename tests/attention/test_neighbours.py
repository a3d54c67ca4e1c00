"""What is left out is proved: bounds hold against all keys, by the tree and without, with weights, heads and sinks."""

from dataclasses import replace

import numpy as np
import pytest

from sksoft import AttentionClassifier, AttentionRegressor
from sksoft.attention import neighbours
from sksoft.attention.neighbours import kept_keys
from sksoft.attention.remembered import recalled

RNG = np.random.default_rng(0)
N_KEYS = 3000


def data(p):
    X = RNG.normal(size=(N_KEYS, p))
    queries = np.vstack([RNG.normal(size=(40, p)), 4.0 * RNG.normal(size=(10, p)), X[:3]])
    return X, np.sin(X[:, :2].sum(axis=1)) + X[:, :1].ravel() ** 2, RNG.uniform(0.1, 3.0, N_KEYS), queries


@pytest.fixture(params=[2, 20], ids=["tree", "all keys"])
def rows(request):
    return data(request.param)


@pytest.mark.parametrize("kernel", ["gaussian", "laplace"])
@pytest.mark.parametrize(
    "options", [{"top_k": 5}, {"top_k": 100}, {"tol": 0.1}, {"tol": 1e-6}, {"top_k": 50, "tol": 0.01}]
)
def test_no_answer_errs_by_more_than_its_bound(rows, kernel, options):
    X, y, weights, queries = rows
    y = np.column_stack([y, -y])
    full = AttentionRegressor(kernel, 0.4).fit(X, y, sample_weight=weights).predict(queries)
    model = AttentionRegressor(kernel, 0.4, **options).fit(X, y, sample_weight=weights)
    answers, bound = model.predict(queries, return_bound=True)
    assert (np.abs(answers - full) <= bound).all()
    np.testing.assert_array_equal(model.error_bound(queries), bound)
    kept = model.kneighbors_weights(queries)
    assert kept.nnz < len(queries) * N_KEYS
    np.testing.assert_allclose(kept.sum(axis=1), 1.0, rtol=1e-12)
    if "top_k" in options:
        assert np.abs(answers - full).max() > 1e-13
        assert np.diff(kept.indptr).max() <= options["top_k"]
        np.testing.assert_allclose(kept @ y, answers, rtol=1e-10)
    else:
        allowed = options["tol"] * np.ptp(y, axis=0) * (1 + 1e-9) + 1e-10
        assert (bound <= allowed).all()
        assert (np.abs(kept @ y - full) <= allowed).all()


def test_the_bound_without_a_tree_is_the_share_left_out():
    X, y, weights, queries = data(20)
    full = AttentionRegressor(bandwidth=2.0).fit(X, y, sample_weight=weights).kneighbors_weights(queries).toarray()
    model = AttentionRegressor(bandwidth=2.0, top_k=30).fit(X, y, sample_weight=weights)
    answers, bound = model.predict(queries, return_bound=True)
    kept = model.kneighbors_weights(queries).toarray() > 0
    lost = np.where(kept, 0.0, full).sum(axis=1)
    np.testing.assert_allclose(bound, lost * np.maximum(y.max() - answers, answers - y.min()), rtol=1e-6)
    nearest = np.argsort(((queries[:, None] - X) ** 2).sum(axis=2), axis=1)[:, :30]
    np.testing.assert_array_equal(np.nonzero(kept)[1].reshape(-1, 30), np.sort(nearest, axis=1))


def test_the_tree_finds_what_looking_at_all_finds(monkeypatch):
    X, y, weights, queries = data(2)
    model = AttentionRegressor(bandwidth=0.3, top_k=20).fit(X, y, sample_weight=weights)
    by_tree = model.kneighbors_weights(queries)
    monkeypatch.setattr(neighbours, "TREE_KEYS", N_KEYS + 1)
    without = model.kneighbors_weights(queries)
    np.testing.assert_array_equal(by_tree.indices, without.indices)
    np.testing.assert_allclose(by_tree.data, without.data, rtol=1e-9)


def test_answers_to_a_tolerance_are_of_a_few_keys_where_these_are_enough():
    X, y, _, queries = data(2)
    full = AttentionRegressor(bandwidth=0.003).fit(X, y)
    model = AttentionRegressor(bandwidth=0.003, tol=0.05).fit(X, y)
    answers, bound = model.predict(queries, return_bound=True)
    error = np.abs(answers - full.predict(queries))
    assert (error <= bound).all()
    assert np.median(bound) > 0.0
    one = [model.predict(queries[[i]])[0] for i in range(len(queries))]
    np.testing.assert_allclose(one, answers, rtol=1e-12)
    kept = model.kneighbors_weights(queries)
    assert kept.nnz < 20 * len(queries)
    assert (np.abs(kept @ y - full.predict(queries)) <= 0.05 * np.ptp(y)).all()


def test_tol_keeps_few_keys_where_few_matter():
    X, y, _, queries = data(2)
    model = AttentionRegressor(bandwidth=0.1, tol=1e-3).fit(X, y)
    assert model.kneighbors_weights(queries).nnz < 0.05 * N_KEYS * len(queries)


def test_without_the_smallest_is_the_largest_set_that_may_go():
    proba = np.array([[0.4, 0.05, 0.05, 0.3, 0.2], [0.5, 0.5, 0.0, 0.0, 0.0]])
    allowed = np.array([0.12, 0.2])
    kept, left_out = neighbours._without_smallest(proba, proba > 0, np.zeros(2), allowed)
    assert kept.tolist() == [[True, False, False, True, True], [True, True, False, False, False]]
    np.testing.assert_allclose(left_out, [0.1, 0.0], atol=1e-15)


@pytest.mark.parametrize("p", [2, 20])
def test_heads_and_the_prior_have_bounds_too(p):
    X, y, weights, queries = data(p)
    labels = np.digitize(y, [0.0, 1.0])
    bandwidth = np.full((2, p), 0.3)
    bandwidth[1] = 1.0
    model = AttentionClassifier(bandwidth=bandwidth, n_heads=2).fit(X, labels, sample_weight=weights)
    model.sinks_, model.prior_mix_ = np.array([-2.0, 1.0]), 0.05
    full = model.predict_proba(queries)
    for options in ({"top_k": 10}, {"tol": 0.05}):
        model.set_params(top_k=None, tol=0.0).set_params(**options)
        proba, bound = model.predict_proba(queries, return_bound=True)
        assert (np.abs(proba - full).max(axis=1) <= bound).all()
        np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_less(bound, 0.05 * (1 + 1e-9) + 1e-9)


def test_a_sink_alone_is_the_prior():
    X, y, _, queries = data(2)
    memory = recalled(AttentionRegressor(bandwidth=0.3).fit(X, y))
    heads = replace(memory.bandwidth.heads, sinks=np.array([500.0]))
    memory = replace(memory, bandwidth=replace(memory.bandwidth, heads=heads))
    np.testing.assert_allclose(kept_keys(memory, queries, 5, 0.0).answers, y.mean(), rtol=1e-9)
    np.testing.assert_allclose(memory.answers(queries), y.mean(), rtol=1e-9)


def test_threads_do_not_change_a_bit():
    import sksoft

    X, y, _, _ = data(3)
    queries = RNG.normal(size=(4000, 3))
    for options in ({"top_k": 7}, {"tol": 0.01}, {}):
        model = AttentionRegressor(bandwidth=0.3, **options).fit(X, y)
        alone = model.predict(queries)
        with sksoft.config_context(n_threads=5):
            np.testing.assert_array_equal(model.predict(queries), alone)


@pytest.mark.parametrize("kernel", ["biweight", "sparsemax", "dot"])
def test_other_kernels_keep_their_largest_weights(kernel):
    X, y, _, queries = data(2)
    model = AttentionRegressor(kernel, 1.5).fit(X, y)
    full, model = model.predict(queries), model.set_params(top_k=40)
    answers, bound = model.predict(queries, return_bound=True)
    assert (np.abs(answers - full) <= bound).all()


def test_bounds_hold_to_the_last_bit_where_some_rows_are_answered_by_all_keys():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2500, 1)), rng.standard_cauchy(size=2500)
    queries = np.concatenate([rng.normal(size=(60, 1)), 3.0 * rng.normal(size=(60, 1))])
    model = AttentionRegressor(bandwidth=0.01).fit(X, y)
    expected = model.predict(queries)
    for tol in (1e-3, 0.1, 0.7):
        found, bound = model.set_params(tol=tol).predict(queries, return_bound=True)
        assert (np.abs(found - expected) <= bound).all()
