"""Trees of softmaxes on data of a device, in the simulator: what ``test_device_nodes.py`` runs there."""

import numpy as np
import pytest
from device_arrays import TRANSFERRED, installed

from sksoft import HierarchicalSoftmaxClassifier, config_context
from sksoft.hierarchical import core_nodes
from sksoft.kernels.placement import on_device


@pytest.fixture(autouse=True)
def device():
    with installed() as cupy, config_context(n_threads=1):
        yield cupy


def rows(n=36, p=2):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p))
    y = np.array(list("abcde"))[(X @ rng.normal(size=(p, 5)) + rng.normal(size=(n, 5))).argmax(axis=1)]
    y[:5] = list("abcde")
    return X, y


@pytest.mark.parametrize(
    "parameters",
    [{"tree": "huffman"}, {"tree": "kmeans", "arity": 3, "label_smoothing": 0.05}],
    ids=["huffman", "kmeans"],
)
def test_nodes_are_fitted_on_the_device_as_on_the_host(device, parameters):
    X, y = rows()
    there = device.asarray(X)
    on_host = HierarchicalSoftmaxClassifier(**parameters).fit(X, y)
    TRANSFERRED.update(to_device=0, to_host=0)
    model = HierarchicalSoftmaxClassifier(**parameters).fit(there, y)
    np.testing.assert_array_equal(model.tree_["parent"], on_host.tree_["parent"])
    np.testing.assert_allclose(model.coef_, on_host.coef_, atol=1e-4)
    assert model.converged_
    assert model.gap_ <= model.tol * model.objective_
    assert type(model.coef_) is np.ndarray
    proba = model.predict_proba(there)
    assert on_device(proba)
    np.testing.assert_allclose(proba.get(), model.predict_proba(X), atol=1e-12)
    np.testing.assert_array_equal(model.predict(there), model.predict(X))


def test_what_costs_a_path_or_a_search(device):
    X, y = rows()
    there = device.asarray(X)
    model = HierarchicalSoftmaxClassifier(tree="huffman").fit(X, y)
    few, few_there = X[:6], there[:6]
    np.testing.assert_allclose(
        model.predict_log_proba_of(few_there, y[:6]).get(), model.predict_log_proba_of(few, y[:6]), atol=1e-12
    )
    labels, proba, bound = model.predict_topk(few_there, k=2, return_bound=True)
    expected = model.predict_topk(few, k=2, return_bound=True)
    np.testing.assert_array_equal(labels, expected[0])
    np.testing.assert_allclose(proba.get(), expected[1], atol=1e-12)
    np.testing.assert_allclose(bound.get(), expected[2], atol=1e-12)
    np.testing.assert_array_equal(model.sample(few_there, 2, random_state=0), model.sample(few, 2, random_state=0))
    np.testing.assert_allclose(model.node_proba(few_there).get(), model.node_proba(few), atol=1e-12)
    assert (model.decision_path(few_there) != model.decision_path(few)).nnz == 0


def test_accuracy_on_labels_that_are_numbers(device):
    X, y = rows()
    codes = np.unique(y, return_inverse=True)[1]
    model = HierarchicalSoftmaxClassifier(tree="huffman").fit(X, codes)
    assert model.score(device.asarray(X[:6]), device.asarray(codes[:6])) == model.score(X[:6], codes[:6])


def test_large_nodes_are_the_core_s_on_the_device_too(device, monkeypatch):
    monkeypatch.setattr(core_nodes, "LARGE", 0)
    X, y = rows()
    fits = [HierarchicalSoftmaxClassifier(tree="balanced", arity=5).fit(data, y) for data in (X, device.asarray(X))]
    np.testing.assert_allclose(fits[1].coef_, fits[0].coef_, atol=1e-5)


def test_a_stream_says_that_it_is_the_host_s(device):
    X, y = rows()
    with pytest.raises(TypeError, match="HierarchicalSoftmaxClassifier computes on the host"):
        HierarchicalSoftmaxClassifier().partial_fit(device.asarray(X), y, classes=np.unique(y))
