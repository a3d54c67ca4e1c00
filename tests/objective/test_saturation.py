"""Saturated rows counted by hand, the bound on the Jacobian, and a temperature that is nothing but another C."""

import numpy as np
import pytest
from scipy import optimize

from sksoft.functional import softmax, softmax_jacobian
from sksoft.objective.batches import InMemory
from sksoft.objective.design import Dense
from sksoft.objective.links import LINKS
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.objective import Objective
from sksoft.objective.penalties import Ridge
from sksoft.objective.saturation import saturation
from sksoft.objective.scores import Linear
from sksoft.objective.targets import Labels, SmoothedLabels
from sksoft.solvers import newton_cg

N, P, K = 50, 3, 4


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def make(rng, link="softmax", smoothing=0.0, strength=0.1, scale=1.0):
    X, codes, weights = scale * rng.normal(size=(N, P)), rng.integers(K, size=N), rng.uniform(0.5, 2.0, size=N)
    target = SmoothedLabels(codes, K, smoothing) if smoothing else Labels(codes, K)
    scores = Linear(P, K)
    batches = InMemory(Dense(X, ones=True), target, weights)
    return Objective(FenchelYoung(LINKS[link]), scores, batches, Ridge(scores.spread(strength))), X, codes, weights


@pytest.mark.parametrize("link", ["softmax", "sparsemax", "entmax15"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_is_the_weight_of_rows_with_a_short_gradient(rng, link, smoothing):
    objective, X, codes, weights = make(rng, link, smoothing)
    w = rng.normal(size=objective.scores.n_parameters)
    coef, intercept = objective.scores.unpack(w)
    proba = LINKS[link].predict(X @ coef.T + intercept)
    lengths = np.linalg.norm(proba - (1 - smoothing) * np.eye(K)[codes] - smoothing / K, axis=1)
    shares = []
    for threshold in np.quantile(lengths, [0.1, 0.4, 0.9]) + 1e-9:
        shares.append(saturation(objective, w, threshold))
        assert shares[-1] == pytest.approx(weights[lengths < threshold].sum() / weights.sum(), rel=1e-12)
    assert shares == sorted(shares)
    assert saturation(objective, w, 1.5) == pytest.approx(1.0)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 7.0])
def test_jacobian_of_softmax_is_at_most_half_the_inverse_temperature(rng, temperature):
    scores = rng.normal(size=(500, 6)) * rng.choice([0.1, 1.0, 10.0], size=(500, 1))
    norms = np.linalg.norm(softmax_jacobian(softmax(scores, temperature=temperature)) / temperature, 2, axis=(1, 2))
    assert norms.max() <= (1 + 1e-12) / (2 * temperature)
    tie = softmax(np.array([[50.0 * temperature, 50.0 * temperature, 0.0, 0.0]]), temperature=temperature)
    norm = np.linalg.norm(softmax_jacobian(tie)[0] / temperature, 2)
    np.testing.assert_allclose(norm, 1 / (2 * temperature), rtol=1e-12)
    # and it is the derivative by the scores, not by the scores over the temperature
    step = 1e-6 * temperature * rng.normal(size=scores.shape)
    ahead, behind = softmax(scores + step, temperature=temperature), softmax(scores - step, temperature=temperature)
    product = np.einsum("ijk,ik->ij", softmax_jacobian(softmax(scores, temperature=temperature)) / temperature, step)
    np.testing.assert_allclose(product, (ahead - behind) / 2, atol=1e-15)


@pytest.mark.parametrize("temperature", [0.2, 3.0])
@pytest.mark.parametrize("link", ["softmax", "sparsemax", "entmax15"])
def test_a_temperature_is_another_ridge(rng, temperature, link):
    """The fit with z / τ inside the loss, by SciPy from its definition, has the distributions of C / τ² and W = τ V."""
    objective, X, codes, weights = make(rng, link, strength=0.1 * temperature**2)
    loss, a, scores = objective.loss, weights / weights.sum(), objective.scores
    design = np.column_stack([X, np.ones(N)])
    strength = scores.spread(0.1)

    def value_and_gradient(w):
        z = design @ w.reshape(K, P + 1).T / temperature
        residual = np.empty_like(z)
        value = loss.evaluate(z, Labels(codes, K), a, residual=residual)
        gradient = (residual.T @ design).ravel() / temperature + strength * w
        return value + 0.5 * strength @ w**2, gradient

    start = np.zeros(scores.n_parameters)
    options = {"maxiter": 5000, "gtol": 1e-12, "ftol": 1e-16}
    by_scipy = optimize.minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=options)
    ours = newton_cg(objective, start, tol=1e-12, max_iter=100)
    np.testing.assert_allclose(by_scipy.fun, ours.value, rtol=1e-9)
    coef, intercept = scores.unpack(by_scipy.x)
    V, c = scores.unpack(ours.w)
    np.testing.assert_allclose(coef, temperature * V, atol=1e-4 * temperature)
    ours_proba, theirs = (
        LINKS[link].predict(X @ W.T + b) for W, b in [(V, c), (coef / temperature, intercept / temperature)]
    )
    np.testing.assert_allclose(ours_proba, theirs, atol=1e-4)
