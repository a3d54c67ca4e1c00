r"""The proved duality gap of a ridge-penalised linear fit with a Fenchel–Young loss.

Primal, with λ = strength of the ridge, aᵢ = sᵢ / Σ s and scores zᵢ = W xᵢ + b::

    F(W, b) = Σ aᵢ [Ω*(zᵢ) + Ω(tᵢ) − ⟨tᵢ, zᵢ⟩] + λ/2 ‖W‖²

Dual, over one distribution pᵢ per row subject to Σ aᵢ (pᵢ − tᵢ) = 0, the price of an unpenalised intercept::

    D(p) = Σ aᵢ [Ω(tᵢ) − Ω(pᵢ)] − ‖G(p)‖² / (2 λ),        G(p) = Σ aᵢ (pᵢ − tᵢ) xᵢᵀ

At the model's own pᵢ = p(zᵢ), where Ω*(z) + Ω(p) = ⟨p, z⟩, the difference is ``‖∇_W F‖² / (2 λ) + ⟨g, b⟩`` with
g = Σ aᵢ (pᵢ − tᵢ). These pᵢ are feasible only where g = 0, which rounding never grants. So the bound is taken at a
feasible neighbour::

    p'ᵢ = (1 − ε) pᵢ + ε q,      q = t̄ − (1 − ε)/ε · g,      ε = the least that keeps q in the simplex

with t̄ = Σ aᵢ tᵢ. By convexity Ω(p') ≤ (1 − ε) Ω(p) + ε Ω(q), and with M = q x̄ᵀ − Σ aᵢ tᵢ xᵢᵀ::

    gap ≤ ‖∇_W F‖²/(2λ) + ⟨g, b⟩ + ε (Ω(q) − Σ aᵢ Ω(pᵢ)) + (‖G'‖² − ‖G‖²)/(2λ),     G' = G + ε (M − G)

Near the optimum every term is small, so the bound resolves gaps far below the rounding of F itself. Ω(q) ≤ 0 and
−Ω(p) ≤ max entropy bound the third term without another sweep. The terms themselves are rounded: what rounding may
have taken is added, and a bound that is not finite is infinite, which proves nothing.

References
----------
.. [1] Blondel, Martins, Niculae, "Learning with Fenchel–Young losses", JMLR 21(35), 2020, proposition 6.
"""

import numpy as np
from scipy import sparse

from sksoft.objective.scores import Linear

# Relative error of a term, generously: it is a sum over many products.
ROUNDING = 1e-12


def ridge_gap(point) -> float:
    """Bound F(w) − min F at `point`; nan without a penalty, for scores that are not linear, or off the simplex."""
    objective = point.objective
    strength = objective.penalty.strength
    if strength == 0.0 or not isinstance(objective.scores, Linear) or not objective.loss.link.on_simplex:
        return float("nan")
    terms = [float(np.sum(point.gradient[objective.penalty.penalised] ** 2)) / (2.0 * strength)]
    if objective.scores.fit_intercept:
        terms += _price_of_feasibility(point, strength)
    bound = sum(terms) + ROUNDING * sum(map(abs, terms))
    return bound if 0.0 <= bound < np.inf else np.inf


def _price_of_feasibility(point, strength: float) -> list[float]:
    """What moving the dual point onto the intercept's constraint costs: the last three terms of the bound."""
    objective, scores = point.objective, point.objective.scores
    g = point.class_gradient - point.class_gradient.mean()
    mean_x, mean_target, target_by_x = objective.moments
    positive = g > 0
    epsilon = float(np.max(g[positive] / (mean_target[positive] + g[positive]), initial=0.0))
    if epsilon == 0.0:
        return []
    q = np.maximum(mean_target - (1.0 - epsilon) / epsilon * g, 0.0)
    coef, intercept = scores.unpack(point.w)
    own_rows = scores.own_classes
    G = scores.unpack(point.gradient)[0] - strength * coef
    move = epsilon * (np.outer(q, mean_x) - target_by_x)[own_rows] - epsilon * G
    return [
        *(g[own_rows] * intercept).tolist(),
        epsilon * objective.loss.link.max_entropy(scores.n_classes),
        float(np.vdot(move, G)) / strength,
        float(np.sum(move**2)) / (2.0 * strength),
    ]


def class_moments(batches) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x̄ (p,), t̄ (K,) and Σ aᵢ tᵢ xᵢᵀ (K, p): one sweep."""

    def partial(block):
        weighted = block.target.weighted(block.weights)
        target_by_x = weighted.T @ block.X
        if sparse.issparse(target_by_x):
            target_by_x = target_by_x.toarray()
        return np.asarray(block.X.T @ block.weights), np.asarray(weighted.sum(axis=0)), np.asarray(target_by_x)

    return batches.map_reduce(partial)
