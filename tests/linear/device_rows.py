"""Softmax regression on data of a device, in the simulator: what ``test_device_rows.py`` runs there."""

import numpy as np
import pandas as pd
import pytest
from device_arrays import TRANSFERRED, installed
from sklearn.exceptions import ConvergenceWarning

from sksoft import SoftmaxRegression, config_context
from sksoft.kernels.blocks import serial_blas
from sksoft.kernels.placement import on_device
from sksoft.objective.batches import InMemory
from sksoft.objective.links import LINKS, Entmax
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.objective import Objective
from sksoft.objective.penalties import Ridge
from sksoft.objective.scores import Linear
from sksoft.objective.targets import Labels, SoftLabels
from sksoft.solvers import newton_cg


@pytest.fixture(autouse=True)
def device():
    with installed() as cupy, config_context(n_threads=1):
        yield cupy


def rows(n=40, p=3, n_classes=3, dtype="float64"):
    """Features of different units, labels that follow them, a weight for each row."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)) * [1.0, 50.0, 0.1][:p] + [0.0, 300.0, 0.0][:p]
    y = np.array(list("abc"))[(rng.normal(size=(n, n_classes)) + X[:, :1] * np.arange(n_classes)).argmax(axis=1)]
    return X.astype(dtype), y, rng.integers(0, 3, size=n).astype(float)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"link": "sparsemax", "C": 10.0},
        {"label_smoothing": 0.1, "class_weight": "balanced"},
        {"fit_intercept": False, "temperature": 2.0, "prior_logits": [0.0, 1.0, 0.0]},
    ],
    ids=lambda parameters: "-".join(parameters) or "default",
)
def test_a_fit_on_a_device_is_that_of_the_host(device, parameters, dtype):
    X, y, weights = rows(n=16 if "link" in parameters else 40, dtype=dtype)  # projections take the simulator long
    there = device.asarray(X)
    on_host = SoftmaxRegression(**parameters).fit(X, y, sample_weight=weights)
    model = SoftmaxRegression(**parameters).fit(there, y, sample_weight=weights)
    np.testing.assert_allclose(model.coef_, on_host.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(model.intercept_, on_host.intercept_, rtol=1e-6, atol=1e-9)
    assert 0.0 <= model.gap_ <= 1e-6 * model.objective_
    assert type(model.coef_) is np.ndarray
    proba = model.predict_proba(there)
    assert on_device(proba)
    np.testing.assert_allclose(proba.get(), on_host.predict_proba(X), atol=1e-9)
    assert on_device(model.decision_function(there))
    np.testing.assert_array_equal(model.predict(there), on_host.predict(X))


def test_two_classes_and_labels_that_are_numbers(device):
    X, y, _ = rows()
    y = (y == "a").astype(int)
    model, there = SoftmaxRegression().fit(device.asarray(X), device.asarray(y)), device.asarray(X)
    expected = SoftmaxRegression().fit(X, y)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-6)
    labels = model.predict(there)
    assert on_device(labels)
    np.testing.assert_array_equal(labels.get(), expected.predict(X))
    assert model.score(there, y) == model.score(there, device.asarray(y)) == expected.score(X, y)
    weights = np.arange(len(X))
    assert model.score(there, y, device.asarray(weights)) == expected.score(X, y, weights)
    assert model.predict_proba(there).shape == (len(X), 2)


@pytest.mark.parametrize("alpha", [1.3, 1.5, 1.9, 2.0])
def test_losses_of_sparse_links_are_those_of_the_host(device, alpha):
    link, codes = Entmax(alpha), np.arange(8) % 3
    scores = (
        np.random.default_rng(3).normal(size=(8, 3)) * np.array([1e-6, 1e-3, 0.1, 0.3, 0.5, 1.0, 2.0, 3.0])[:, None]
    )
    proba = link.predict(scores)
    there = [device.asarray(array) for array in (scores, proba, codes)]
    for found, expected in [
        (link.label_losses(*there), link.label_losses(scores, proba, codes)),
        (link.conjugate(*there[:2]), link.conjugate(scores, proba)),
        (link.negentropy(there[1]), link.negentropy(proba)),
        (link.tilted(there[1])[0], link.tilted(proba)[0]),
    ]:
        np.testing.assert_allclose(found.get(), expected, rtol=1e-13, atol=1e-15)


def test_names_of_features_are_those_of_the_last_fit(device):
    X, y, _ = rows()
    model = SoftmaxRegression().fit(pd.DataFrame(X, columns=list("abc")), y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.predict(device.asarray(X))
    model.fit(device.asarray(X), y)
    assert not hasattr(model, "feature_names_in_")


def test_rows_stay_on_the_device(device):
    """Many rows, of which a fit needs no copy: what comes to the host has the size of coefficients, and of a sample."""
    n = 400
    rng = np.random.default_rng(1)
    design, codes = device.asarray(rng.normal(size=(n, 2))), rng.integers(0, 2, size=n)
    objective = Objective(
        FenchelYoung(LINKS["softmax"]),
        Linear(2, 2, False),
        InMemory(design, Labels(codes, 2), np.ones(n)),
        Ridge(np.ones(2)),
    )
    TRANSFERRED.update(to_device=0, to_host=0)
    point = objective.at(np.zeros(2))
    assert np.isfinite(point.gap())
    point.hessian_product(np.ones(2))
    assert TRANSFERRED["to_host"] < 500
    assert TRANSFERRED["to_device"] < 500


def test_rough_sweeps_in_several_blocks_reach_the_proved_optimum(device, monkeypatch):
    from sksoft.objective import device_design

    n, n_classes = 60, 3
    X, y, _ = rows(n)
    codes = np.unique(y, return_inverse=True)[1]
    target = SoftLabels(np.eye(n_classes)[codes] * 0.7 + 0.1)

    def solved(design):
        scores = Linear(3, n_classes, True)
        objective = Objective(
            FenchelYoung(LINKS["softmax"]),
            scores,
            InMemory(design, target, np.ones(n)),
            Ridge(scores.spread(0.01)),
            rough=True,
        )
        with serial_blas():
            return newton_cg(objective, np.zeros(scores.n_parameters), tol=1e-9, max_iter=50)

    expected = solved(device_design.standardised(X, np.ones(n), intercept=True))
    monkeypatch.setattr(device_design, "DEVICE_BYTES", 1500)
    there = device_design.standardised(device.asarray(X), np.ones(n), intercept=True)
    assert len(there.grid(n_classes)) > 2
    found = solved(there)
    assert found.certificate.bound <= 1e-9 * found.value
    np.testing.assert_allclose(found.w, expected.w, atol=1e-5)


def test_the_host_s_rows_are_moved_where_the_user_says_so(device):
    X, y, _ = rows()
    expected = SoftmaxRegression().fit(X, y)
    with config_context(backend="cuda"):
        model = SoftmaxRegression().fit(X, y)
        proba = model.predict_proba(X)
    assert type(proba) is np.ndarray
    np.testing.assert_allclose(proba, expected.predict_proba(X), atol=1e-9)


def test_warm_starts_and_offsets(device):
    X, y, _ = rows()
    offset = np.random.default_rng(2).normal(size=(len(X), 3))
    there = device.asarray(X)
    expected = SoftmaxRegression().fit(X, y, offset=offset)
    model = SoftmaxRegression(warm_start=True).fit(there, y, offset=device.asarray(offset)).fit(there, y, offset=offset)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(
        model.predict_proba(there, offset=offset).get(), expected.predict_proba(X, offset=offset), atol=1e-9
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X * np.inf, "Input X contains NaN|infinity"),
        (lambda X: X[:, :2], "X has 2 features, but SoftmaxRegression is expecting 3"),
        (lambda X: X[0], "Expected 2D array, got 1D array"),
        (lambda X: X[:0], "a minimum of 1 row"),
        (lambda X: X.astype(complex), "must hold numbers. Got dtype complex128"),
    ],
)
def test_bad_rows_are_named(device, change, message):
    X, y, _ = rows()
    model = SoftmaxRegression().fit(X, y)
    with pytest.raises(ValueError, match=message):
        model.predict(change(device.asarray(X)))


def test_penalties_with_kinks_say_that_they_are_fitted_on_the_host(device):
    X, y, _ = rows()
    with pytest.raises(TypeError, match=r"SoftmaxRegression computes on the host, and X is on a CUDA device"):
        SoftmaxRegression(l1_ratio=0.5).fit(device.asarray(X), y)


def test_separated_classes_are_found_as_on_the_host(device):
    X, _, _ = rows()
    y = (X[:, 0] > 0.0).astype(int)
    with pytest.warns(ConvergenceWarning, match="complete separation"):
        SoftmaxRegression(C=np.inf, max_iter=20).fit(device.asarray(X), y)


def test_sparsified_coefficients_predict_there_too(device):
    X, y, _ = rows()
    model = SoftmaxRegression().fit(X, y)
    expected = model.predict_proba(X)
    np.testing.assert_allclose(model.sparsify().predict_proba(device.asarray(X)).get(), expected, atol=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_backend_of_the_host_cannot_read_them(device, backend):
    X, y, _ = rows()
    with config_context(backend=backend), pytest.raises(ValueError, match=f"which backend='{backend}' cannot read"):
        SoftmaxRegression().fit(device.asarray(X), y)
