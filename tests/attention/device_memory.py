"""Attention over training rows that are on a device: what ``test_device_memory.py`` runs in the simulator.

Kernels are their references: they have tests of their own.
"""

import numpy as np
import pytest
from device_arrays import TRANSFERRED, assert_moved, installed, quick_kernels
from scipy import sparse

from sksoft import (
    AttentionClassifier,
    AttentionRegressor,
    GraphAttentionClassifier,
    LogitNormalizer,
    SoftmaxFixationModel,
    config_context,
)
from sksoft.attention import bandwidth_search, graph_attention
from sksoft.attention.bandwidth import choose_bandwidth
from sksoft.kernels.placement import on_device

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)) * [1.0, 5.0, 0.1] + [0.0, 3.0, 0.0]
X[1] = X[0]
Y = np.sin(X[:, 0]) + 0.1 * RNG.normal(size=40)
LABELS = np.array(list("abc"))[np.digitize(Y, [-0.3, 0.3])]
WEIGHTS = RNG.integers(0, 3, size=40).astype(float)
NEW = X[::2] + 0.05
SEARCH = {"max_iter": 6}


@pytest.fixture(autouse=True)
def device():
    with installed() as cupy, quick_kernels(), config_context(n_threads=1):
        yield cupy


@pytest.fixture
def there(device):
    return device.asarray(X)


def assert_alike(model, on_host):
    for name in ("bandwidth_", "transformation_", "targets_", "X_fit_", "prior_", "sinks_", "head_weights_"):
        found, expected = getattr(model, name), getattr(on_host, name)
        if expected is not None:
            assert type(found) is np.ndarray
            np.testing.assert_allclose(found, expected, rtol=1e-5)
    for name, value in vars(model).items():
        assert not on_device(value), name
    for name in ("loo_score_", "gradient_norm_", "effective_dof_"):
        if hasattr(on_host, name):
            assert getattr(model, name) == pytest.approx(getattr(on_host, name), rel=1e-4)


def test_targets_on_a_device_come_to_rows_of_the_host(device):
    expected = AttentionRegressor(bandwidth=1.0).fit(X, Y)
    model = AttentionRegressor(bandwidth=1.0).fit(X, device.asarray(Y), device.asarray(np.ones(len(X))))
    np.testing.assert_array_equal(model.predict(NEW), expected.predict(NEW))
    assert type(model.y_fit_) is np.ndarray


@pytest.mark.parametrize(
    "parameters",
    [
        {"bandwidth": [0.5, 1.0, np.inf]},
        {"metric": "scale"},
        {"kernel": "laplace", "n_heads": 2},
        {"kernel": "dot"},
        {"metric": "linear", "standardize": False},
        {"degree": 1, "n_heads": 2},
    ],
    ids=lambda parameters: "-".join(parameters),
)
def test_regression_is_that_of_the_host(device, there, parameters):
    expected = AttentionRegressor(**SEARCH, **parameters).fit(X, Y, sample_weight=WEIGHTS)
    model = AttentionRegressor(**SEARCH, **parameters).fit(there, device.asarray(Y), device.asarray(WEIGHTS))
    assert_alike(model, expected)
    found, bound = model.predict(device.asarray(NEW), return_bound=True)
    assert on_device(found)
    np.testing.assert_allclose(found.get(), expected.predict(NEW), rtol=1e-5)
    np.testing.assert_array_equal(bound.get(), 0.0)
    assert model.score(there, device.asarray(Y)) == pytest.approx(expected.score(X, Y))
    if parameters.get("degree") != 1:
        np.testing.assert_allclose(model.predict_interval(NEW), expected.predict_interval(NEW), rtol=1e-5)


@pytest.mark.parametrize(
    "parameters",
    [{"bandwidth": 0.5}, {"metric": "ard", "n_heads": 2}, {}, {"kernel": "dot"}],
    ids=lambda parameters: "-".join(parameters) or "default",
)
def test_classification_is_that_of_the_host(device, there, parameters):
    expected = AttentionClassifier(**SEARCH, **parameters).fit(X, LABELS, sample_weight=WEIGHTS)
    model = AttentionClassifier(**SEARCH, **parameters).fit(there, LABELS, sample_weight=device.asarray(WEIGHTS))
    assert_alike(model, expected)
    new = device.asarray(NEW)
    TRANSFERRED.update(to_device=0, to_host=0)
    found = model.predict_proba(new)
    assert on_device(found)
    assert_moved(to_device=2000, to_host=8 * X.shape[1])  # keys there, the largest of each feature here
    np.testing.assert_allclose(found.get(), expected.predict_proba(NEW), rtol=1e-5)
    np.testing.assert_allclose(model.predict_log_proba(new).get(), expected.predict_log_proba(NEW), atol=1e-6)
    np.testing.assert_array_equal(model.predict(new), expected.predict(NEW))
    assert model.score(new, LABELS[::2]) == expected.score(NEW, LABELS[::2])


def test_labels_that_are_numbers_several_targets_and_groups(device, there):
    codes, groups = np.unique(LABELS, return_inverse=True)[1], np.arange(40) // 4
    model = AttentionClassifier(metric="scale", **SEARCH).fit(
        there, device.asarray(codes), groups=device.asarray(groups)
    )
    expected = AttentionClassifier(metric="scale", **SEARCH).fit(X, codes, groups=groups)
    assert_alike(model, expected)
    labels = model.predict(there)
    assert on_device(labels)
    np.testing.assert_array_equal(labels.get(), expected.predict(X))
    both = np.stack([Y, -Y], axis=1)
    found = AttentionRegressor(bandwidth=1.0).fit(there, both).predict(there)
    np.testing.assert_allclose(found.get(), AttentionRegressor(bandwidth=1.0).fit(X, both).predict(X), rtol=1e-9)


def test_a_sample_of_queries_and_two_ways_to_a_linear_metric(device, there, monkeypatch):
    """As for many rows."""
    monkeypatch.setattr(bandwidth_search, "ALL_QUERIES", 30)
    monkeypatch.setattr(bandwidth_search, "SAMPLED_QUERIES", 20)
    monkeypatch.setattr(bandwidth_search, "TWO_WAYS", 30)
    for metric in ("ard", "linear"):
        options = {"metric": metric, "max_iter": 4, "random_state": 0}
        found = choose_bandwidth(X, Y[:, None], np.ones(40), like=there, **options)
        expected = choose_bandwidth(X, Y[:, None], np.ones(40), **options)
        assert found.loss == pytest.approx(expected.loss)


def test_rows_are_moved_once(device, there):
    """X comes to the host once, and goes to the device twice; iterations move what has the size of parameters."""
    TRANSFERRED.update(to_device=0, to_host=0)
    model = AttentionRegressor(metric="scale").fit(there, Y)
    assert model.n_iter_ > 5
    vectors = 8 * 40
    # Here X, and for each evaluation a number for each parameter; there rows, targets, weights and codes, for the
    # search and for the degrees of freedom.
    assert_moved(to_host=X.nbytes + 8 * vectors, to_device=2 * (X.nbytes + 3 * vectors) + 8 * vectors)
    assert 40 * (3 + 2) * 8 * model.n_iter_ > X.nbytes + 8 * vectors  # were features and answers moved
    new = device.asarray(np.tile(X, (5, 1)))
    TRANSFERRED.update(to_device=0, to_host=0)
    model.predict(new)
    assert_moved(to_host=8 * X.shape[1], to_device=X.nbytes + 2 * vectors + 8 * (2 * X.shape[1] + 2))


def test_the_host_s_rows_are_moved_where_the_user_says_so(device):
    for estimator, target, method in (
        (AttentionRegressor(bandwidth=1.0), Y, "predict"),
        (AttentionClassifier(bandwidth=1.0), LABELS, "predict_proba"),
    ):
        expected = getattr(estimator.fit(X, target), method)(NEW)
        with config_context(backend="cuda"):
            found = getattr(estimator.fit(X, target), method)(NEW)
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"kernel": "epanechnikov"},
            r"'kernel' parameter of Attention\w+ must be one of \('gaussian', 'laplace', 'dot'\)",
        ),
        ({"kernel": "entmax15"}, "on a CUDA device. Got 'entmax15' instead, which is computed on the host: move X"),
        ({"top_k": 3}, r"'top_k' parameter of Attention\w+ must be None on a CUDA device. Got 3"),
        ({"tol": 0.1}, r"'tol' parameter of Attention\w+ must be 0 on a CUDA device. Got 0.1"),
    ],
)
def test_what_cannot_be_computed_there_is_named(there, parameters, message):
    for estimator, target in ((AttentionRegressor, Y), (AttentionClassifier, LABELS)):
        with pytest.raises(ValueError, match=message):
            estimator(bandwidth=1.0, **parameters).fit(there, target)
        model = estimator(bandwidth=1.0, **parameters).fit(X, target)
        with pytest.raises(ValueError, match=message):
            model.predict(there)
        with config_context(backend="cuda"), pytest.raises(ValueError, match="leave backend='cuda'"):
            model.predict(X)


def test_methods_of_the_host_say_so(there):
    regressor = AttentionRegressor(bandwidth=1.0).fit(X, Y)
    classifier = AttentionClassifier(bandwidth=1.0).fit(X, LABELS)
    for call, name in (
        (lambda: regressor.predict(there, return_std=True), r"AttentionRegressor\.predict\(return_std=True\)"),
        (lambda: regressor.predict_quantiles(there), r"AttentionRegressor\.predict_quantiles"),
        (lambda: regressor.predict_interval(there), r"AttentionRegressor\.predict_interval"),
        (lambda: regressor.kneighbors_weights(there), r"AttentionRegressor\.kneighbors_weights"),
        (lambda: classifier.kneighbors_weights(there), r"AttentionClassifier\.kneighbors_weights"),
        (lambda: classifier.scores_and_pullback(there), r"AttentionClassifier\.scores_and_pullback"),
        (lambda: GraphAttentionClassifier().fit(there, LABELS), "GraphAttentionClassifier"),
        (lambda: SoftmaxFixationModel().fit(there, LABELS), "SoftmaxFixationModel"),
    ):
        with pytest.raises(TypeError, match=f"{name} computes on the host, and X is on a CUDA device: move it"):
            call()
    with pytest.raises(TypeError, match="graph_attention computes on the host, and keys is on a CUDA device"):
        graph_attention(sparse.eye_array(40), X[:, 0], there[:, 0])
    with pytest.raises(TypeError, match="Attention on a graph computes on the host, and adjacency is on"):
        graph_attention(there, X[:, 0], X[:, 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X * np.nan, "Input X contains NaN"),
        (lambda X: X * 1e101, "X must hold values up to 1e"),
        (lambda X: X[:, :2], "X has 2 features, but Attention.* is expecting 3"),
        (lambda X: X[:, 0], "Expected 2D array"),
    ],
)
def test_bad_rows_are_named(there, change, message):
    for model in (
        AttentionRegressor(bandwidth=1.0).fit(there, Y),
        AttentionClassifier(bandwidth=1.0).fit(there, LABELS),
    ):
        with pytest.raises(ValueError, match=message):
            model.predict(change(there))


def test_bad_targets_are_named(there):
    for target, message in ((Y[:-1], "inconsistent numbers of samples"), (Y * np.nan, "Input y contains NaN")):
        with pytest.raises(ValueError, match=message):
            AttentionRegressor().fit(there, target)
    with pytest.raises(ValueError, match="sample_weight"):
        AttentionRegressor().fit(there, Y, sample_weight=-WEIGHTS)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_backend_of_the_host_cannot_read_them(there, backend):
    with config_context(backend=backend), pytest.raises(ValueError, match=f"which backend='{backend}' cannot read"):
        AttentionRegressor().fit(there, Y)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("parameters", [{}, {"norm": "l2", "temperature": 2.0, "epsilon": 0.1}])
def test_logits_are_normalised_where_they_are(device, parameters, dtype):
    logits = X.astype(dtype)
    logits[3] = 0.0
    there = device.asarray(logits)
    TRANSFERRED.update(to_device=0, to_host=0)
    found = LogitNormalizer(**parameters).fit(there).transform(there)
    assert on_device(found)
    assert found.dtype == dtype
    assert_moved()
    np.testing.assert_allclose(found.get(), LogitNormalizer(**parameters).fit_transform(logits), rtol=1e-6)
