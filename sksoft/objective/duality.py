r"""The proved duality gap of a ridge-penalised linear fit with a Fenchel–Young loss.

Primal, with λ > 0 the ridge's strength at each coefficient, aᵢ = sᵢ / Σ s and scores zᵢ = W xᵢ + b + oᵢ (oᵢ known)::

    F(W, b) = Σ aᵢ [Ω*(zᵢ) + Ω(tᵢ) − ⟨tᵢ, zᵢ⟩] + ½ Σ λ W²

Dual, over one distribution pᵢ per row subject to Σ aᵢ (pᵢ − tᵢ) = 0, the price of an unpenalised intercept::

    D(p) = Σ aᵢ [Ω(tᵢ) − Ω(pᵢ) + ⟨pᵢ − tᵢ, oᵢ⟩] − Σ G(p)² / (2 λ),        G(p) = Σ aᵢ (pᵢ − tᵢ) xᵢᵀ

At the model's own pᵢ = p(zᵢ), where Ω*(z) + Ω(p) = ⟨p, z⟩, the difference is ``Σ (∇_W F)² / (2 λ) + ⟨g, b⟩`` with
g = Σ aᵢ (pᵢ − tᵢ). These pᵢ are feasible only where g = 0, which rounding never grants. So the bound is taken at a
feasible neighbour::

    p'ᵢ = (1 − ε) pᵢ + ε q,      q = t̄ − (1 − ε)/ε · g,      ε = the least that keeps q in the simplex

with t̄ = Σ aᵢ tᵢ. By convexity Ω(p') ≤ (1 − ε) Ω(p) + ε Ω(q), and with M = q x̄ᵀ − Σ aᵢ tᵢ xᵢᵀ::

    gap ≤ Σ (∇_W F)²/(2λ) + ⟨g, b⟩ + ε (Ω(q) − Σ aᵢ Ω(pᵢ) + ω) + Σ (G'² − G²)/(2λ),     G' = G + ε (M − G)

with ω = Σ aᵢ (max oᵢ − min oᵢ), the most that moving pᵢ by ε can lose of ⟨pᵢ, oᵢ⟩.

The price is the same where in the place of the intercept one column c of the features has no penalty, as in a fit at
two temperatures: the constraint is then Σ aᵢ cᵢ (pᵢ − tᵢ) = 0. ε and q are those of g / c̄ and of t̄ = Σ aᵢ cᵢ tᵢ / c̄,
c̄ = Σ aᵢ cᵢ, with g = Σ aᵢ cᵢ (pᵢ − tᵢ); all else is as above, if t̄ is in the simplex, as where c has one sign.

Near the optimum every term is small, so the bound resolves gaps far below the rounding of F itself. Ω(q) ≤ 0 and
−Ω(p) ≤ max entropy bound the third term without another sweep. The terms themselves are rounded: what rounding may
have taken is added, and a bound that is not finite is infinite, which proves nothing.

References
----------
.. [1] Blondel, Martins, Niculae, "Learning with Fenchel–Young losses", JMLR 21(35), 2020, proposition 6.
"""

import numpy as np
from scipy import sparse

from sksoft.objective.design import is_sparse, transposed_times
from sksoft.objective.scores import Linear

# Relative error of a term, generously: it is a sum over many products.
ROUNDING = 1e-12
# Entries of a sparse product that is then stored densely.
SPARSE_PRODUCT = 1 << 17
# Coefficients whose part of the price is computed at once.
PRICED = 1 << 16


def ridge_gap(point) -> float:
    """Bound F(w) − min F at `point`; nan where a coefficient has no penalty, or p no simplex."""
    objective = point.objective
    if not provable(objective):
        return float("nan")
    terms = [_main_term(objective, point.gradient)]
    if free_column(objective) is not None:
        g = class_gradient(objective, point.gradient)
        price = _price_of_feasibility(point, g)
        objective.price = sum(map(abs, price)) / max(float(np.abs(g).max()), np.finfo(float).tiny)
        terms += price
    bound = sum(terms) + ROUNDING * sum(map(abs, terms))
    return bound if 0.0 <= bound < np.inf else np.inf


def bound_from(objective, gradient) -> float:
    """About the bound at a point near the last one that has this gradient; 0 where no gap can be proved.

    Feasibility has a price proportional to the gradient in the intercepts, at the rate it had at the last point.
    """
    if not provable(objective):
        return 0.0
    bound = _main_term(objective, gradient)
    if free_column(objective) is not None:
        bound += objective.price * float(np.abs(class_gradient(objective, gradient)).max())
    return bound


def _main_term(objective, gradient) -> float:
    """Σ (∇_W F)² / (2 λ)."""
    return objective.penalty.conjugate(gradient)


def provable(objective) -> bool:
    """Whether all coefficients but those of one column have a penalty, and the link a dual on the simplex."""
    scores = objective.scores
    if not objective.loss.link.on_simplex:
        return False
    column = free_column(objective)
    if objective.penalty.unpenalised(scores.n_parameters) != (0 if column is None else scores.n_rows):
        return False
    return column is None or scores.fit_intercept or bool((_priced(objective)[1] >= 0.0).all())


def free_column(objective) -> int | None:
    """The column of the intercept; without one, the only column without any penalty; None where there is neither."""
    scores = objective.scores
    if scores.fit_intercept:
        return scores.n_features
    if not isinstance(scores, Linear):
        return None
    free = objective.penalty.strength.reshape(-1, scores.n_columns) == 0.0
    columns = np.flatnonzero(free.any(axis=0))
    return int(columns[0]) if len(columns) == 1 and free[:, columns[0]].all() else None


def _priced(objective) -> tuple[float, np.ndarray]:
    """c̄ and t̄ (K,) of the free column; nan where c̄ is 0."""
    mean_x, mean_target, target_by_x = objective.moments
    if objective.scores.fit_intercept:
        return 1.0, mean_target
    column = free_column(objective)
    mean = float(mean_x[column])
    return mean, target_by_x[:, column] / mean if mean else np.full(len(target_by_x), np.nan)


def nearest_feasible(point, g: np.ndarray) -> tuple[float, np.ndarray]:
    """ε and q (K,) of the feasible neighbour, g the gradient in the intercepts; ε = 0 where g is."""
    mean, mean_target = _priced(point.objective)
    g = g / mean
    positive = g > 0
    epsilon = float(np.max(g[positive] / (mean_target[positive] + g[positive]), initial=0.0))
    if epsilon == 0.0:
        return 0.0, mean_target
    return epsilon, np.maximum(mean_target - (1.0 - epsilon) / epsilon * g, 0.0)


def feasible_neighbour(point, g: np.ndarray) -> tuple[float, np.ndarray]:
    """ε and M (rows, p) of the feasible neighbour: M is q x̄ᵀ − Σ aᵢ tᵢ xᵢᵀ."""
    epsilon, q = nearest_feasible(point, g)
    mean_x, _, target_by_x = point.objective.moments
    M = np.outer(q, mean_x)
    M -= target_by_x
    return epsilon, M[point.objective.scores.own_classes]


def price_of_a_neighbour(point, g: np.ndarray, epsilon: float) -> list[float]:
    """What moving to a neighbour costs under any penalty: ⟨g, b⟩ + ε (Ω(q) − Σ aᵢ Ω(pᵢ) + ω), bounded term by term."""
    objective, scores = point.objective, point.objective.scores
    intercept = scores.matrix(point.w)[:, free_column(objective)]
    return [
        *(g[scores.own_classes] * intercept).tolist(),
        epsilon * objective.loss.link.max_entropy(scores.n_classes),
        epsilon * objective.offset_range,
    ]


def _price_of_feasibility(point, g: np.ndarray) -> list[float]:
    """What moving the dual point onto the intercept's constraint costs: all terms of the bound but the first.

    Some classes at a time: a matrix of coefficients may be as large as all data.
    """
    epsilon, q = nearest_feasible(point, g)
    if epsilon == 0.0:
        return []
    scores = point.objective.scores
    mean_x, _, target_by_x = point.objective.moments
    own, p = scores.own_classes, scores.n_features
    vectors = point.w, point.gradient, point.objective.penalty.strength
    w, gradient, strength = (scores.matrix(vector)[:, :p] for vector in vectors)
    step, inner, square = max(1, PRICED // max(p, 1)), 0.0, 0.0
    for start in range(0, scores.n_rows, step):
        rows = slice(start, start + step)
        G = gradient[rows] - strength[rows] * w[rows]
        move = epsilon * (np.outer(q[own][rows], mean_x) - target_by_x[own][rows] - G)
        weighted = np.divide(move, strength[rows], out=np.zeros_like(move), where=strength[rows] > 0.0)
        inner += float(np.vdot(weighted, G))
        square += float(np.vdot(weighted, move))
    return [*price_of_a_neighbour(point, g, epsilon), inner, 0.5 * square]


def class_gradient(objective, gradient) -> np.ndarray:
    """Σ aᵢ cᵢ (pᵢ − tᵢ), (K,), centred: the gradient in the intercepts, or in the free column c."""
    own = gradient.reshape(objective.scores.n_rows, -1)[:, free_column(objective)]
    g = np.array([-own[0], own[0]]) if len(own) == 1 else own
    return g - g.mean()


def class_moments(objective) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x̄ (p,), t̄ (K,) and Σ aᵢ tᵢ xᵢᵀ (K, p): one sweep."""
    n_features = objective.scores.n_features

    def partial(block):
        weighted = block.target.weighted(block.weights)
        mean_target = weighted.sum(axis=0)
        if is_sparse(block.design):
            X = block.design.rows(block.rows)
            return X.T @ block.weights, mean_target, _targets_by_features(weighted, X)
        X = block.X()
        return transposed_times(X, block.weights[:, None])[0], mean_target, transposed_times(X, weighted)

    mean_x, mean_target, target_by_x = objective.batches.map_reduce(partial)
    return mean_x[:n_features], mean_target, target_by_x[:, :n_features]


def _targets_by_features(weighted, X) -> np.ndarray:
    """weightedᵀ · X, (K, p), for a sparse X; of two sparse ones a few classes at a time: their product fills up."""
    if not sparse.issparse(weighted):
        return np.asarray(weighted.T @ X)
    by_class = sparse.csc_array(weighted)
    product = np.zeros((by_class.shape[1], X.shape[1]))
    step = max(1, SPARSE_PRODUCT // X.shape[1])
    for start in range(0, len(product), step):
        edges = by_class.indptr[start : start + step + 1]
        stored = slice(edges[0], edges[-1])
        rows = X[by_class.indices[stored]]
        # in the integers of X, else SciPy converts all of its own
        places = (a.astype(X.indices.dtype) for a in (np.arange(rows.shape[0]), edges - edges[0]))
        shares = sparse.csr_array((by_class.data[stored], *places), (len(edges) - 1, rows.shape[0]))
        product[start : start + step] = (shares @ rows).toarray()
    return product
