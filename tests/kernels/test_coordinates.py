"""Coordinate descent against the model that it descends, written out with a matrix for its Hessian."""

import numpy as np
import pytest
from scipy import optimize, sparse

from sksoft.kernels import coordinates

N, C, R = 30, 5, 3
UNBOUNDED = {"lower": np.full(R * C, -np.inf), "upper": np.full(R * C, np.inf)}


def make(seed=0, *, as_sparse=False):
    """Data, and slopes and Hessian (R c, R c) of the model over all coordinates, class by class."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(N, C)) * (generator.uniform(size=(N, C)) < 0.6)
    scores = generator.normal(size=(N, R + 1))
    proba = (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))[:, :R]
    weights = generator.uniform(size=N) / N
    hessian = np.zeros((R * C, R * C))
    for x, p, a in zip(X, proba, weights):
        hessian += a * np.kron(np.diag(p) - np.outer(p, p), np.outer(x, x))
    csc = sparse.csc_array(X)
    columns = (
        (csc.indptr.astype(np.int64), csc.indices.astype(np.int32), csc.data)
        if as_sparse
        else (np.ascontiguousarray(X.T),)
    )
    return X, np.ascontiguousarray(proba.T), weights, generator.normal(size=R * C) * 0.05, hessian, columns


@pytest.mark.parametrize("as_sparse", [False, True])
def test_sweeps_find_the_minimum_of_the_model(as_sparse):
    X, proba, weights, slopes, hessian, columns = make(as_sparse=as_sparse)
    l1, l2 = np.full(R * C, 0.01), np.full(R * C, 0.002)
    position, scores, mean = np.zeros(R * C), np.zeros((R, N)), np.zeros(N)

    def model(d):
        return slopes @ d + 0.5 * d @ hessian @ d + l1 @ np.abs(d) + 0.5 * l2 @ d**2

    values = [0.0]
    for _ in range(300):
        decrement = coordinates.coordinate_sweep(
            proba, weights, slopes, np.diag(hessian).copy(), columns=columns, members=np.tile(np.arange(C), R),
            starts=C * np.arange(R + 1), l1=l1, l2=l2, **UNBOUNDED, position=position, scores=scores, mean=mean,
        )  # fmt: skip
        values.append(model(position))
    assert (np.diff(values) <= 1e-15).all()
    assert decrement < 1e-20
    full = slopes + hessian @ position + l2 * position
    on = position != 0.0
    np.testing.assert_allclose(full[on], -l1[on] * np.sign(position[on]), atol=1e-10)
    assert (np.abs(full[~on]) <= l1[~on]).all()
    assert 0 < on.sum() < R * C
    np.testing.assert_allclose(scores, position.reshape(R, C) @ X.T, atol=1e-12)
    np.testing.assert_allclose(mean, (proba * scores).sum(axis=0), atol=1e-12)


@pytest.mark.parametrize("as_sparse", [False, True])
def test_group_sweeps_find_the_minimum_of_the_model(as_sparse):
    X, proba, weights, slopes, hessian, columns = make(1, as_sparse=as_sparse)
    l1, l2 = np.full(C, 0.08), np.full(C, 0.002)
    position, scores, mean = np.zeros((R, C)), np.zeros((R, N)), np.zeros(N)
    bounds = [np.linalg.eigvalsh(hessian[j::C, j::C]).max() for j in range(C)]

    def model(d):
        return (
            slopes @ d
            + 0.5 * d @ hessian @ d
            + sum(l1[j] * np.linalg.norm(d[j::C]) + 0.5 * l2[j] * (d[j::C] ** 2).sum() for j in range(C))
        )

    values = [0.0]
    for _ in range(1000):
        coordinates.group_sweep(
            proba, weights, slopes.reshape(R, C), np.array(bounds), columns=columns, members=np.arange(C), l1=l1, l2=l2,
            lower=np.full((R, C), -np.inf), upper=np.full((R, C), np.inf), position=position, scores=scores, mean=mean,
        )  # fmt: skip
        values.append(model(position.ravel()))
    assert (np.diff(values) <= 1e-15).all()
    found = optimize.minimize(model, position.ravel() + 0.01, method="Powell", options={"xtol": 1e-10, "ftol": 1e-14})
    assert values[-1] <= found.fun + 1e-12
    zero = ~position.any(axis=0)
    assert zero.any()
    assert not zero.all()
    full = (slopes + hessian @ position.ravel()).reshape(R, C)
    assert (np.linalg.norm(full[:, zero], axis=0) <= l1[zero]).all()
    np.testing.assert_allclose(scores, position @ X.T, atol=1e-12)


def test_products_with_chosen_columns():
    X, proba, _, _, _, columns = make(as_sparse=True)
    members, starts = np.array([0, 3, 1, 2, 4]), np.array([0, 2, 2, 5])
    coefficients = np.arange(1.0, 6.0)
    matrix = np.zeros((R, C))
    matrix[[0, 0, 2, 2, 2], members] = coefficients
    out = coordinates.combine_columns(
        coefficients, columns=columns, members=members, starts=starts, out=np.empty((R, N))
    )
    np.testing.assert_allclose(out, matrix @ X.T, atol=1e-14)
    for squared in (False, True):
        projected = coordinates.project_on_columns(
            proba, columns=columns, members=members, starts=starts, squared=squared
        )
        expected = proba @ (X**2 if squared else X)
        np.testing.assert_allclose(projected, expected[[0, 0, 2, 2, 2], members], atol=1e-14)
