"""Starts: the convex problem first, and what becomes of several."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from sksoft.attention.graph import read_graph
from sksoft.attention.graph_fit import solve
from sksoft.attention.graph_objective import GraphObjective, Spreading
from sksoft.objective.links import Softmax
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.targets import Labels


def problem(D, heads=2):
    rng = np.random.default_rng(0)
    graph = read_graph(sparse.random_array((40, 40), density=0.1, format="csr", rng=rng), 40)
    X, codes = rng.normal(size=(40, 3)), rng.integers(0, 3, 40)
    loss = FenchelYoung(Softmax())
    return GraphObjective(
        X, graph, Spreading(2, 0.2, 0.2), np.arange(40), Labels(codes, 3), np.ones(40), loss, 3, heads, 5.0, D
    )


def solved(objective, seed=0, **options):
    options = {"tol": 1e-4, "max_iter": 500} | options
    return solve(objective, seeds=seed + np.arange(3), **options)


def test_the_first_start_improves_on_uniform_attention():
    found = solved(problem(0.1))
    assert found.losses.shape == (3,)
    assert found.losses[0] < found.uniform_loss
    assert found.stationarity <= 1e-4


def test_what_is_reported_is_what_was_found():
    objective = problem(0.1)
    found = solved(objective)
    value, gradient = objective.value_and_gradient(found.coefficients.flat())
    assert value == found.losses.min()
    np.testing.assert_allclose(np.abs(gradient / objective.scales()).max(), found.stationarity, rtol=1e-6)


def test_uniform_attention_is_one_start_and_one_head_and_needs_no_seed():
    objective = problem(0.0)
    found, again = solved(objective), solved(objective, seed=1)
    assert found.coefficients.features.shape == (1, 3, 3)
    np.testing.assert_array_equal(found.coefficients.features, again.coefficients.features)
    assert found.losses[0] == found.uniform_loss
    alone = solved(replace(objective, graph=None))
    assert alone.losses.shape == (1,)
    assert alone.stationarity <= 1e-8
