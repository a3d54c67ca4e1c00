"""The gradient by hand against finite differences."""

import numpy as np
import pytest
from scipy import sparse

from sksoft import config_context
from sksoft.attention.graph import read_graph
from sksoft.attention.graph_objective import GraphObjective, Spreading
from sksoft.objective.links import Sigmoid, Softmax
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.targets import Labels, SoftLabels

N, P, K = 15, 4, 3


def problem(*, link="softmax", hops=3, restart=0.2, heads=2, thin=False, D=2.0, graph=True, loops=False):
    rng = np.random.default_rng(0)
    adjacency = sparse.random_array((N, N), density=0.25, format="csr", rng=rng)
    adjacency.data[::5] = 0.0
    X = rng.normal(size=(N, P))
    rows = np.arange(0, N, 2)
    target = Labels(rng.integers(0, K, len(rows)), K) if link == "softmax" else SoftLabels(rng.random((len(rows), K)))
    return GraphObjective(
        sparse.csr_array(X) if thin else X,
        read_graph(adjacency, N, loops) if graph else None,
        Spreading(hops, restart, 0.2),
        rows,
        target,
        rng.random(len(rows)) + 0.5,
        FenchelYoung(Softmax() if link == "softmax" else Sigmoid()),
        K,
        heads,
        3.0,
        D,
    )


def numbers(objective, size=1.0):
    n_parameters = objective.n_heads * K * (P + 2) + K
    return size * np.random.default_rng(1).normal(size=n_parameters)


CASES = {
    "softmax": {},
    "one hop": {"hops": 1, "restart": 0.0, "heads": 1},
    "sigmoids": {"link": "sigmoids"},
    "self-loops": {"loops": True, "restart": 0.0},
    "sparse features": {"thin": True},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_gradient(case, backend):
    objective = problem(**CASES[case])
    w = numbers(objective)
    with config_context(backend=backend):
        gradient = objective.value_and_gradient(w)[1]
        differences = np.empty(len(w))
        for i in range(len(w)):
            step = np.zeros(len(w))
            step[i] = 1e-6
            up, down = objective.value_and_gradient(w + step)[0], objective.value_and_gradient(w - step)[0]
            differences[i] = (up - down) / 2e-6
    np.testing.assert_allclose(gradient, differences, atol=2e-9)
    assert np.abs(objective.unflat(gradient).attention).max() > 1e-4


def test_equal_heads_are_one():
    one, two = problem(heads=1), problem(heads=2)
    alone = one.unflat(numbers(one))
    twice = type(alone)(*(np.repeat(part, 2, axis=0) for part in (alone.features, alone.attention)), alone.intercept)
    value, gradient = one.value_and_gradient(alone.flat())
    value_of_two, gradient_of_two = two.value_and_gradient(twice.flat())
    assert value_of_two == pytest.approx(value, rel=1e-13)
    halves = two.unflat(gradient_of_two)
    np.testing.assert_allclose(halves.features.sum(axis=0), one.unflat(gradient).features[0], atol=1e-13)


def test_without_a_graph_the_gradient_is_that_of_a_regression():
    objective = problem(graph=False, heads=1)
    w = numbers(objective)
    gradient = objective.value_and_gradient(w)[1]
    step = np.random.default_rng(2).normal(size=len(w))
    step[K * P : -K] = 0.0  # attention is not a parameter
    up, down = (objective.value_and_gradient(w + sign * 1e-6 * step)[0] for sign in (1, -1))
    assert gradient @ step == pytest.approx((up - down) / 2e-6, abs=1e-8)


def test_uniform_attention_is_not_moved():
    objective = problem(D=0.0, heads=1)
    w = numbers(objective)
    objective.unflat(w).attention[...] = 0.0
    assert np.abs(objective.unflat(objective.value_and_gradient(w)[1]).attention).max() == 0.0
