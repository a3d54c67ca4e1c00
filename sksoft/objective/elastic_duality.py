r"""The proved duality gap of a linear fit under a penalty with kinks: elastic net, groups, fixed signs.

Primal, with aᵢ = sᵢ / Σ s, scores zᵢ = W xᵢ + b + oᵢ (oᵢ known), and R convex and zero at zero::

    F(W, b) = Σ aᵢ [Ω*(zᵢ) + Ω(tᵢ) − ⟨tᵢ, zᵢ⟩] + R(W)

Dual, over one distribution pᵢ per row subject to Σ aᵢ (pᵢ − tᵢ) = 0 where there is an intercept ([1]_, proposition 6)::

    D(p) = Σ aᵢ [Ω(tᵢ) − Ω(pᵢ) + ⟨pᵢ − tᵢ, oᵢ⟩] − R*(−G(p)),        G(p) = Σ aᵢ (pᵢ − tᵢ) xᵢᵀ

With l1 alone R* is 0 for |G| ≤ λ and infinite beyond, one-sided where a sign is fixed (``penalties.py``). So from the
model's own pᵢ = p(zᵢ) a feasible point is reached in two moves: to the p' of ``duality.py``, which pays the intercept's
price and has G' = G + ε (M − G), and from there towards the targets, as the residuals of a lasso are scaled ([2]_,
section 2; [3]_)::

    p'' = t + θ (p' − t),        0 ≤ θ ≤ 1

which keeps the constraint and has θ G'. With Ω(p'') ≤ θ Ω(p') + (1 − θ) Ω(t) and what ``duality.py`` says of p'::

    F − D(p'') ≤ (1 − θ) · loss  +  [R(W) + R*(−θ G') + θ ⟨G', W⟩]
                 + θ [⟨g, b⟩ + ε (Ω(q) − Σ aᵢ Ω(pᵢ) + ω) − ε ⟨M − G, W⟩]

The terms of the Fenchel inequality are non-negative one by one, so gaps are resolved down to the rounding of ⟨G, W⟩.
θ is the largest share that R* is finite at, and where R* is finite everywhere the better of 1 and the share at which
it vanishes. At θ = 0 the bound is F itself: it is never worse. The terms are rounded, and so are the products that
cancel in them: what rounding may have taken is added.

References
----------
.. [1] Blondel, Martins, Niculae, "Learning with Fenchel–Young losses", JMLR 21(35), 2020.
.. [2] Massias, Gramfort, Salmon, "Celer: a fast solver for the lasso with dual extrapolation", ICML 2018.
.. [3] Ndiaye, Fercoq, Gramfort, Salmon, "Gap safe screening rules for sparsity enforcing penalties", JMLR 18(128),
   2017, section 3.
"""

from dataclasses import replace

import numpy as np

from sksoft.objective.duality import ROUNDING, class_gradient, feasible_neighbour, price_of_a_neighbour

# Relative error of products that cancel: a few units of the last place.
CANCELLED = 16.0 * np.finfo(float).eps


def elastic_gap(point) -> float:
    """Bound F(w) − min F at `point`, at most F; nan where a coefficient has no penalty. O(K p).

    Parameters
    ----------
    point : Point
        Of an objective with linear scores, a link on the simplex and an elastic net or groups.
    """
    objective, scores, penalty = point.objective, point.objective.scores, point.objective.penalty
    coefficients = scores.spread(1.0) > 0.0
    if not (penalty.penalised | ~coefficients).all():
        return float("nan")
    slopes, price = np.where(coefficients, point.slopes, 0.0), []
    if scores.fit_intercept:
        g = class_gradient(objective, point.slopes)
        epsilon, M = feasible_neighbour(point, g)
        if epsilon > 0.0:
            move = epsilon * scores.pack(M - scores.unpack(slopes)[0], 0.0)
            price = [*price_of_a_neighbour(point, g, epsilon), -float(move @ point.w)]
            slopes = slopes + move
    loss = point.value - penalty.value(point.w)
    rounding = CANCELLED * (point.value + float(np.sum(np.abs(slopes * point.w))))
    bounds = [point.value]
    for share in {penalty.share(slopes), replace(penalty, l2=np.zeros_like(penalty.l2)).share(slopes)}:
        terms = [(1.0 - share) * loss, *penalty.fenchel_gaps(point.w, share * slopes), *(share * p for p in price)]
        bounds.append(float(np.sum(terms)) + ROUNDING * float(np.sum(np.abs(terms))) + rounding)
    bound = min(bounds)
    return bound if bound >= 0.0 else np.inf
