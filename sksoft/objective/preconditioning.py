"""Which preconditioners an objective offers, at what modelled cost, and from which rows they are built.

Costs are seconds of a reference core, from counts of operations: only their ratios matter. Rows are drawn by a hash of
their position, so that a fit is deterministic and an order of the rows that repeats itself does no harm.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import sparse

from sksoft.kernels import placement, splitmix
from sksoft.objective import preconditioners
from sksoft.objective.preconditioners import Sample
from sksoft.objective.scores import Diagonal

# Above this many columns the Gram matrix (and its cube in time) costs more than the products it saves.
GRAM_COLUMNS = 2000
# Above this many parameters a full Hessian is not worth its cube.
FULL_PARAMETERS = 2500
# Rows that estimate a Gram matrix, and a full Hessian: at least, and per parameter.
GRAM_ROWS = 4000
FULL_ROWS, FULL_ROWS_PER_PARAMETER = 2500, 10
# Full Hessians draw rows by curvature, but for this share of the draw.
UNIFORM_SHARE = 0.1
# Of a Jacobi metric on sparse data.
JACOBI_SHARE = 0.003
# When to climb, as a multiple of the cost of the next rung, and how often to build it again (solvers/ladder.py).
KRONECKER_ENTRY, FULL_ENTRY, ALL_ENTRY = 1.0, 0.5, 2.0
PATIENCE, FULL_PATIENCE = 4.0, 1.0

# Rows per column that a sample may shrink to where memory is scarce, and what is never too much.
LEAST_ROWS, LEAST_BYTES = 2, 1 << 18
# Copies of its matrix that stand in memory while a preconditioner is built.
GRAM_COPIES, KRONECKER_COPIES, FULL_COPIES = 2, 6, 3

# Operations a second of the reference core: products, symmetric products, factorisations, eigenvalues.
PRODUCT_RATE, SYRK_RATE, CHOLESKY_RATE, INVERSE_RATE, EIGEN_RATE = 60e9, 90e9, 120e9, 30e9, 12e9
PER_SCORE, PER_ENTRY, PER_DIAGONAL, CALL = 0.3e-9, 0.6e-9, 0.8e-9, 2e-5


@dataclass(frozen=True)
class Rung:
    """A kind of preconditioner: how to build it from a curvature, and its cost as ``solvers/ladder.py`` weighs it."""

    build: Callable
    cost: float
    entry: float
    patience: float


def product_cost(objective, share: float = 1.0) -> float:
    """Modelled seconds of a Hessian product over a share of the rows."""
    n, K = objective.batches.n_samples, objective.batches.n_classes
    if isinstance(objective.scores, Diagonal):
        return share * n * K * PER_DIAGONAL + CALL
    X = objective.batches.design.X
    entries = X.nnz / max(n, 1) * 4 if sparse.issparse(X) else objective.batches.design.shape[1]
    return share * n * (4.0 * entries * objective.scores.n_rows / PRODUCT_RATE + PER_SCORE * K) + CALL


def rungs(objective) -> list[Rung]:
    """The ladder: Gram, Kronecker, full for dense linear scores; diagonal for sparse ones, or little memory."""
    scores, design = objective.scores, objective.batches.design
    if isinstance(scores, Diagonal):
        return _diagonal_rungs(objective)
    by_column = Rung(_diagonal, cost=product_cost(objective), entry=0.0, patience=np.inf)
    if sparse.issparse(design.X) or scores.n_columns > GRAM_COLUMNS:
        return [by_column]
    n, K, c = objective.batches.n_samples, scores.n_rows, scores.n_columns
    ladder = []

    def fits(rows: int, entries: int) -> bool:
        """Whether there is memory for a sample of so many rows and matrices of so many entries."""
        return _sample_bytes(objective, rows) + 8 * entries <= max(design.memory, LEAST_BYTES)

    m, d = min(n, _gram_rows(objective)), c * K
    if fits(min(m, LEAST_ROWS * c), GRAM_COPIES * c**2):
        cost = m * c**2 / SYRK_RATE + c**3 / INVERSE_RATE
        ladder.append(Rung(partial(_from_sample, preconditioners.gram), cost, entry=0.0, patience=PATIENCE))
    if K > 1 and fits(min(m, LEAST_ROWS * c), KRONECKER_COPIES * c**2):
        cost = m * (c**2 + K**2) / SYRK_RATE + 4.0 * (c**3 + K**3) / EIGEN_RATE
        ladder.append(Rung(partial(_from_sample, preconditioners.kronecker), cost, KRONECKER_ENTRY, PATIENCE))
    few = _full_rows(objective)
    for rows, entry in ((few, FULL_ENTRY), (n, ALL_ENTRY)) if few < n else ((n, FULL_ENTRY),):
        if d <= FULL_PARAMETERS and fits(rows, FULL_COPIES * d**2):
            cost = rows * (d**2 + K * c**2) / SYRK_RATE + PER_ENTRY * rows * d + d**3 / CHOLESKY_RATE + 3e-9 * d**2
            ladder.append(Rung(partial(_full, rows), cost, entry, FULL_PATIENCE))
    return ladder or [by_column]


def _diagonal_rungs(objective) -> list[Rung]:
    """For diagonal scores: blocks of two; and all of the Hessian, where there are few classes."""
    n, d = objective.batches.n_samples, objective.scores.n_parameters
    whole = n * d**2 / SYRK_RATE + PER_ENTRY * n * d + d**3 / CHOLESKY_RATE
    return [
        Rung(_pairs, product_cost(objective), entry=0.0, patience=PATIENCE),
        *([Rung(_all_pairs, whole, FULL_ENTRY, FULL_PATIENCE)] if d <= FULL_PARAMETERS else []),
    ]


def column_squares(objective):
    """Weighted mean squares of the columns, a row of W; 1 for intercepts."""
    scores = objective.scores
    if isinstance(scores, Diagonal):
        return scores.pack(_squares(objective.batches, objective.batches.weights), 1.0)
    return scores.one_row.pack(_squares(objective.batches, objective.batches.weights)[: scores.n_features], 1.0)


def _sample_bytes(objective, rows: int) -> int:
    """Bytes of a sample of so many rows, its distributions and its weighted copy."""
    return rows * (2 * objective.scores.n_columns + objective.batches.n_classes) * objective.product_dtype.itemsize


def _gram_rows(objective) -> int:
    """Fewer where memory is scarce."""
    columns = objective.scores.n_columns
    affordable = max(objective.batches.design.memory, LEAST_BYTES) / _sample_bytes(objective, 1)
    return int(min(max(GRAM_ROWS, 4 * columns), max(affordable, LEAST_ROWS * columns)))


def _full_rows(objective) -> int:
    """More rows where a product is dear, for then a better metric saves more."""
    d = objective.scores.n_parameters
    affordable = 8.0 * product_cost(objective) * SYRK_RATE / d**2
    return int(max(FULL_ROWS, FULL_ROWS_PER_PARAMETER * d, affordable))


def _diagonal(curvature):
    objective = curvature.objective
    scores = objective.scores
    spread = curvature.spread
    if spread is None:  # too many distributions to keep: the largest spread there is
        spread = curvature.batches.weights * (1.0 - 1.0 / objective.batches.n_classes)
    spread = spread * (0.5 if scores.n_rows == 1 else 1.0 / (scores.n_rows - 1))
    squares = np.empty(scores.n_columns)
    squares[: scores.n_features] = _squares(curvature.batches, spread)[: scores.n_features]
    if scores.fit_intercept:
        squares[-1] = float(spread.sum())
    return preconditioners.diagonal(squares, objective.penalty.strength.reshape(-1, len(squares)), JACOBI_SHARE)


def _pairs(curvature):
    """Of v and b of each class by themselves, from all rows."""
    (sums,) = _diagonal_sums(curvature, preconditioners.pair_sums)
    return preconditioners.pairs(sums, curvature.objective.penalty.strength)


def _all_pairs(curvature):
    """The Hessian of diagonal scores."""
    sums, products = _diagonal_sums(curvature, preconditioners.pair_sums, preconditioners.pair_products)
    return preconditioners.all_pairs(sums, products, curvature.objective.penalty.strength, curvature.dtype)


def _diagonal_sums(curvature, *of_rows) -> tuple:
    """Σ over blocks of each ``of_rows(X, proba, weights)``."""

    def partial(block):
        proba, weights = curvature.rows(block)
        X = block.X(curvature.dtype)
        return tuple(sums(X, proba, weights) for sums in of_rows)

    return curvature.batches.map_reduce(partial)


def _squares(batches, weights) -> np.ndarray:
    """Σ weightᵢ x̃ᵢ² by column."""

    design = batches.design
    dtype = np.float32 if design.X.dtype == np.float32 else np.float64
    return batches.map_reduce(lambda block: (design.square_sums(block.rows, weights[block.rows], dtype),))[0]


def _from_sample(build, curvature):
    """Build from rows drawn alike from those that are active."""
    n, wanted = curvature.batches.n_samples, _gram_rows(curvature.objective)
    chances = np.full(n, wanted / n)
    return build(_drawn(curvature, chances), _penalty(curvature.objective))


def _full(wanted: int, curvature):
    n = curvature.batches.n_samples
    if curvature.spread is None or wanted >= n:
        chances = np.full(n, wanted / n)
    else:
        spread = placement.to_host(curvature.spread)
        mixed = (1.0 - UNIFORM_SHARE) * spread / spread.sum() + UNIFORM_SHARE / n
        chances = wanted * mixed
    return preconditioners.full(_drawn(curvature, chances), _penalty(curvature.objective))


def _penalty(objective) -> np.ndarray:
    return objective.scores.matrix(objective.penalty.strength)


def _drawn(curvature, chances: np.ndarray) -> Sample:
    """Rows drawn with these chances (1 and above: surely), each weighing for those it stands for; on the host."""
    batches, dtype = curvature.batches, curvature.dtype
    chosen: slice | np.ndarray = slice(None)
    diagonal = None
    weights = placement.to_host(batches.weights)
    if chances.min() >= 1.0:
        X = _all_rows(batches, dtype)
    else:
        uniform = splitmix.mix(np.arange(1, len(chances) + 1, dtype=np.uint64)).astype(np.float64) * 2.0**-64
        chosen = uniform < chances
        weights = weights[chosen] / np.minimum(chances[chosen], 1.0)
        X = batches.design.chosen(chosen, dtype).X
        diagonal = curvature.diagonal()
    X = placement.to_host(X)

    def fetched(rows) -> np.ndarray:
        return placement.to_host(rows if isinstance(chosen, slice) else rows[placement.where(rows, chosen)])

    if curvature.proba is not None:
        return Sample(X, fetched(curvature.proba), weights, diagonal)
    objective = curvature.objective
    prepared = objective.scores.prepare(curvature.point.w, X, dtype)
    z = objective.scores.scores(prepared, X, np.empty((len(X), batches.n_classes), dtype))
    if batches.offset is not None:
        z += fetched(batches.offset)
    proba, scale = objective.loss.link.tilted(objective.loss.link.predict(z, out=z))
    return Sample(X, proba, weights if scale is None else weights * scale, diagonal)


def _all_rows(batches, dtype):
    n = batches.n_samples
    return batches.design.rows(slice(0, n), dtype)
