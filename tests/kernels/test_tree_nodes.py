"""Fits at nodes against scikit-learn, closed forms, finite differences and each other."""

import numpy as np
import pytest
from cases.tree_nodes import CASES, fit_arguments
from scipy import optimize, special
from sklearn.linear_model import LogisticRegression

from sksoft.kernels.tree_nodes import fit_nodes

BACKENDS = ["numpy", "numba"]


def solved(backend, arguments):
    args, kwargs = arguments
    return fit_nodes.on(backend)(*args, **kwargs), kwargs


def node_parts(kwargs, args, number):
    """W (q, a), b, rows (n, a) dense, weights, child of each row and leaves of the children, of one node."""
    values, indices, indptr, weights = args
    first_child, first_leaf, last_leaf, first_score = kwargs["tree"]
    v, p = kwargs["nodes"][number], kwargs["settings"][0]
    scores = range(first_score[v], first_score[v + 1])
    W = np.zeros((len(scores), p))
    for c, score in enumerate(scores):
        entries = slice(*kwargs["coef_indptr"][score : score + 2])
        at = kwargs["coef_indices"][entries] if len(kwargs["coef_indices"]) else np.arange(entries.stop - entries.start)
        W[c, at] = kwargs["coef"][entries]
    children = np.arange(first_child[v], first_child[v + 1])
    starts, stops = kwargs["row_at"][first_leaf[children]], kwargs["row_at"][last_leaf[children]]
    rows = range(starts[0], stops[-1])
    X = np.zeros((len(rows), p))
    for i, row in enumerate(rows):
        entries = slice(indptr[row], indptr[row + 1])
        X[i, indices[entries] if len(indices) else np.arange(entries.stop - entries.start)] = values[entries]
    child = np.repeat(np.arange(len(children)), stops - starts)
    return W, kwargs["intercept"][list(scores)], X, weights[list(rows)], child, (last_leaf - first_leaf)[children]


def objective(theta, X, weights, child, leaves, settings):
    """F_v, with loops, from the formula at the head of the module."""
    _, C, smoothing, prior, _, _ = settings
    m = len(leaves)
    q = 1 if m == 2 else m
    W, b = np.split(theta.reshape(q, -1), [X.shape[1]], axis=1)
    total = 0.5 * (W**2).sum()
    rows = [(s, (1 - smoothing) * (np.arange(m) == c) + smoothing / m, x) for s, c, x in zip(weights, child, X)]
    if len(set(child.tolist())) < m:
        rows.append((prior, leaves / leaves.sum(), np.zeros(X.shape[1])))
    for s, t, x in rows:
        z = W @ x + b[:, 0]
        z = np.append(0.0, z) if m == 2 else z
        total += C * s * (special.logsumexp(z) - t @ z)
    return total


ALL = [pytest.param(case, backend, id=f"{case.name}-{backend}") for case in CASES["fit_nodes"] for backend in BACKENDS]


@pytest.mark.parametrize(("case", "backend"), ALL)
def test_what_is_reported_is_the_formula_at_the_parameters(case, backend):
    args, kwargs = case.build("float64")
    values, kwargs = solved(backend, (args, kwargs))
    for number, value in enumerate(values):
        W, b, *rest = node_parts(kwargs, args, number)
        theta = np.column_stack([W, b]).ravel()
        assert value == pytest.approx(objective(theta, *rest, kwargs["settings"]), rel=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES["fit_nodes"][:16:2], ids=str)
def test_gradient_vanishes_by_finite_differences(case, backend):
    args, kwargs = case.build("float64")
    _, kwargs = solved(backend, (args, kwargs))
    W, b, *rest = node_parts(kwargs, args, 0)
    theta = np.column_stack([W, b]).ravel()
    slopes = optimize.approx_fprime(theta, lambda t: objective(t, *rest, kwargs["settings"]), 1e-6)
    # one-sided differences: h / 2 times the curvature
    assert np.abs(slopes).max() < 1e-4
    least = objective(theta, *rest, kwargs["settings"])
    for direction in np.random.default_rng(0).normal(size=(9, len(theta))):
        assert objective(theta + 1e-3 * direction, *rest, kwargs["settings"]) > least


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("how", [{}, {"full": True}, {"C": 30.0}, {"C": 0.01, "n": 200}], ids=str)
@pytest.mark.parametrize("name", ["pair", "star", "broad", "mixed"])
def test_equals_scikit_learn(name, how, backend):
    args, kwargs = fit_arguments(name, **how)
    _, kwargs = solved(backend, (args, kwargs))
    for number in range(len(kwargs["nodes"])):
        W, b, X, weights, child, _ = node_parts(kwargs, args, number)
        theirs = LogisticRegression(C=kwargs["settings"][1], solver="newton-cholesky", tol=1e-12, max_iter=1000)
        theirs.fit(X, child, sample_weight=weights)
        np.testing.assert_allclose(W, theirs.coef_, atol=1e-8)
        b_theirs = theirs.intercept_ - (theirs.intercept_.mean() if len(b) > 1 else 0.0)
        np.testing.assert_allclose(b, b_theirs, atol=1e-8)


@pytest.mark.parametrize("case", [c for c in CASES["fit_nodes"] if "max_iter=0" in c.name], ids=str)
def test_proofs_agree_where_no_step_is_taken(case):
    proofs = []
    for backend in BACKENDS:
        _, kwargs = solved(backend, case.build("float64"))
        proofs.append(kwargs["proof"])
    np.testing.assert_allclose(*proofs, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(("case", "backend"), ALL)
def test_fits_end_at_the_limit_of_float64(case, backend):
    values, kwargs = solved(backend, case.build("float64"))
    bound, _, steps, finished = kwargs["proof"].T
    if kwargs["settings"][-1]:
        assert (bound <= 1e-20 * values).all()
        assert finished.all()
        assert steps.max() <= 20


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("max_iter", range(4))
@pytest.mark.parametrize("name", ["pair", "star", "broad"])
def test_bound_covers_the_excess_of_an_unfinished_fit(name, max_iter, backend):
    how = {"C": 5.0, "n": 80}
    values, kwargs = solved(backend, fit_arguments(name, max_iter=max_iter, **how))
    best, _ = solved(backend, fit_arguments(name, **how))
    excess, bound = values - best, kwargs["proof"][:, 0]
    assert (excess <= bound * (1 + 1e-9) + 1e-12 * best).all()
    assert (kwargs["proof"][:, 3] == (bound == 0)).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("name", ["pair", "star"])
def test_offsets_and_scales_of_features_cost_few_steps(name, offset, backend):
    args, kwargs = fit_arguments(name, full=True, p=4)
    X = args[0].reshape(-1, 4) * [1e-4, 1.0, 1e3, 1e6] + offset
    kwargs["settings"] = (*kwargs["settings"][:4], 1e-6, 100)
    values, kwargs = solved(backend, ((X.ravel(), *args[1:]), kwargs))
    assert (kwargs["proof"][:, 0] <= 1e-6 * values).all()
    assert kwargs["proof"][:, 2].max() <= 12


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("prior", [1e-6, 1.0, 50.0])
def test_closed_form_of_a_node_with_rows_of_one_child(prior, smoothing, backend):
    args, kwargs = fit_arguments("mixed", empty=(1, 2, 3, 4, 5), n=7, smoothing=smoothing, prior=prior)
    _, kwargs = solved(backend, (args, kwargs))
    n = args[3].sum()
    for number in range(len(kwargs["nodes"])):
        W, b, X, _, child, leaves = node_parts(kwargs, args, number)
        assert not W.any()
        m, weight = len(leaves), n if len(X) else 0.0
        own = np.bincount(child[:1], minlength=m) * weight
        p = (1 - smoothing) * own + smoothing * weight / m + prior * leaves / leaves.sum()
        got = special.softmax(np.append(0.0, b) if m == 2 else b)
        np.testing.assert_allclose(got, p / p.sum(), rtol=1e-12)
