r"""Newton's method in small subspaces, for many problems at once: sequential subspace optimisation [1]_.

Each problem minimises a smooth convex F(w) = Σᵢ fᵢ(sᵢ) over the rows of its *state* s = S w, which is linear in its
parameters w; all share S. One iteration takes one product with S and one with its transpose, for all problems::

    u₀ = −S M⁻¹ ∇F,   u₁ = S e (a direction always worth having),   u₂ … = the last steps
    y = −H⁻¹ g,   H_jk = Σᵢ f''ᵢ u_ji u_ki,   g_k = Σᵢ f'ᵢ u_ki                 then   s ← s + Σ_k y_k u_k

Because states are kept, this Newton step in the span of the u is exact, as is a line search: neither costs a product.
On a quadratic it is the method of conjugate gradients, which makes the same choice in the span of the gradient and the
last step; unlike the conjugate gradients inside a truncated Newton method it never starts anew, so what the curvature
taught at one point serves at the next. More than one past step makes up for curvature that changes on the way.

Each problem has its own step, length and end. The places of those that are done go to others that wait, so that
the products with S are wide as long as there are problems.

References
----------
.. [1] Narkiss, Zibulevsky, "Sequential subspace optimization method for large-scale unconstrained problems", Technion
   CCIT report 559, 2005. With one past step it is the memory gradient method of Miele and Cantrell, 1969.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sksoft.solvers.certificate import PRECISION_LIMIT, VALUE_RESOLUTION

# Past steps in the subspace.
MEMORY = 6
SUFFICIENT_DECREASE = 1e-4
MAX_BACKTRACKS = 40
# Iterations without visible progress of F in which the bound must halve.
STALLED = 8
# Nearly dependent directions: this much of each direction's own curvature keeps them apart.
INDEPENDENCE = 1e-12
# Problems that look done leave once they are this share of the batch, for leaving means copying; until then they go on.
DONE_SHARE = 0.2
NOT_FINITE = "The objective is not finite. Scale the features and the weights."
# The gap is computed where a rough one is within this factor of the tolerance.
NEAR = 2.0


class Problems(Protocol):
    """Problems that stand in columns of a batch, or wait for one to be free. Arrays have one column for each."""

    @property
    def n_problems(self) -> int:
        """All problems."""
        ...

    @property
    def width(self) -> int:
        """Columns of the batch."""
        ...

    @property
    def n_rows(self) -> int:
        """Rows of a state."""
        ...

    def load(self, columns: np.ndarray) -> np.ndarray:
        """Put problems that wait into `columns`, the first of them where fewer wait; the numbers of the problems."""
        ...

    def start(self, columns: np.ndarray) -> np.ndarray:
        """Parameters to start from."""
        ...

    def always(self) -> np.ndarray | None:
        """Parameters of a direction to include in every step, or None."""
        ...

    def expand(self, parameters: np.ndarray, out: np.ndarray) -> np.ndarray:
        """The states of `parameters`, written to `out`: the product with S."""
        ...

    def parameters(self, state: np.ndarray) -> np.ndarray:
        """The parameters of a state."""
        ...

    def evaluate(self, state, residual, curvature, columns=...) -> np.ndarray:
        """F of each problem; f' and f'' of each row of its state, written to `residual` and `curvature`."""
        ...

    def gradient(self, residual: np.ndarray) -> np.ndarray:
        """∇F of each problem: the product with Sᵀ."""
        ...

    def precondition(self, gradient: np.ndarray, curvature: np.ndarray) -> np.ndarray:
        """M⁻¹ ∇F of each problem, M symmetric and positive."""
        ...

    def start_gradient(self, residual: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """∇F of `columns` at their start, from their residuals there."""
        ...

    def gap(self, state: np.ndarray, gradient: np.ndarray, columns) -> np.ndarray:
        """A proved bound on F − min F of each problem in `columns`."""
        ...

    def rough_gap(self, gradient: np.ndarray) -> np.ndarray:
        """A number near the gap where that is small, and cheaper: it says when to look."""
        ...

    def magnitude(self, values: np.ndarray) -> np.ndarray:
        """The size of the sums that the values F were computed from: what their rounding is relative to."""
        ...

    def project(self, stack, residual, curvature) -> tuple[np.ndarray, np.ndarray]:
        """Slopes (L, K) and curvatures (L, K, K) of each problem along the K states of its stack (K, n_rows, L)."""
        ...

    def advance(self, stack, lengths, step, state) -> None:
        """Write ``Σ_k lengths[:, k] · stack[k]`` to `step`, which may be one of the stack, and add it to `state`."""
        ...

    def keep(self, columns: np.ndarray) -> None:
        """Drop all columns but these."""
        ...


@dataclass(frozen=True)
class BatchSolution:
    """Where the solver stopped, one column or entry for each problem.

    Attributes
    ----------
    parameters : ndarray (n_parameters, L)
    values : ndarray (L,)
    gaps : ndarray (L,)
        Proved bounds on F − min F.
    n_iter : ndarray (L,), intp
    stopped_by : ndarray (L,) of str: 'tolerance', 'precision' or 'max_iter'
        ``'precision'``: float64 resolves no further progress.
    converged : ndarray (L,), bool
        Whether the gap reached the tolerance or the limit of float64.
    """

    parameters: np.ndarray
    values: np.ndarray
    gaps: np.ndarray
    n_iter: np.ndarray
    stopped_by: np.ndarray
    converged: np.ndarray


def subspace_newton(problems: Problems, *, tol: float, max_iter: int) -> BatchSolution:
    """Minimise every problem of a batch.

    Parameters
    ----------
    problems : Problems
        Used up.
    tol : float >= 0
        A problem stops when its gap is at most ``tol · F``.
    max_iter : int >= 0
        Iterations for each problem, of one product with S and one with its transpose.

    Returns
    -------
    solution : BatchSolution
    """
    batch = _Batch(problems)
    n_problems, n_parameters = problems.n_problems, len(problems.parameters(batch.state))
    solution = BatchSolution(
        parameters=np.empty((n_parameters, n_problems)),
        values=np.empty(n_problems),
        gaps=np.empty(n_problems),
        n_iter=np.zeros(n_problems, dtype=np.intp),
        stopped_by=np.full(n_problems, "max_iter", dtype="<U9"),
        converged=np.zeros(n_problems, dtype=bool),
    )
    while True:
        over = (batch.stalled >= STALLED) | (batch.n_iter >= max_iter)
        ends = np.flatnonzero(over | (batch.gaps(tol, over) <= tol * np.abs(batch.values)))
        if over.any() or ends.size > DONE_SHARE * (len(over) - 1):
            gaps = batch.verified_gaps(ends)
            reached = gaps <= tol * np.abs(batch.values[ends])
            final = reached | over[ends]
            _record(solution, batch, ends[final], reached[final], gaps[final])
            if batch.renew(ends[final]):
                continue
        if not len(batch.ids):
            return solution
        batch.iterate()


def _record(solution: BatchSolution, batch: "_Batch", columns: np.ndarray, reached: np.ndarray, gaps: np.ndarray):
    """Write down the problems that end."""
    ids, exhausted = batch.ids[columns], batch.stalled[columns] >= STALLED
    solution.parameters[:, ids] = batch.problems.parameters(batch.state)[:, columns]
    solution.values[ids], solution.gaps[ids], solution.n_iter[ids] = batch.values[columns], gaps, batch.n_iter[columns]
    solution.stopped_by[ids[exhausted]] = "precision"
    solution.stopped_by[ids[reached]] = "tolerance"
    limit = np.where(exhausted, PRECISION_LIMIT * batch.problems.magnitude(batch.values)[columns], 0.0)
    solution.converged[ids] = reached | (gaps <= limit)


class _Batch:
    """States of the problems in the columns, with F and its derivatives there, and the subspace.

    Attributes
    ----------
    ids : ndarray (L,), which problem stands in each column
    n_iter : ndarray (L,), its iterations so far
    """

    def __init__(self, problems: Problems):
        self.problems = problems
        shape = problems.n_rows, problems.width
        self.state, self.residual, self.curvature = np.empty((3, *shape))
        self.values, self.decrement, self.best_gap = np.empty((3, shape[1]))
        self.ids, self.n_iter, self.stalled = np.zeros((3, shape[1]), dtype=np.intp)
        self.n_steps = 0
        columns = np.arange(shape[1])
        self.ids[:] = problems.load(columns)
        always = problems.always()
        self.n_fixed = 1 if always is None else 2
        self.stack = np.zeros((self.n_fixed + MEMORY, *shape))
        if always is not None:
            problems.expand(always, self.stack[1])
        self.gradient = np.empty((len(problems.parameters(self.state)), shape[1]))
        self._begin(columns)

    def _begin(self, columns: np.ndarray) -> None:
        """Put the problems of some columns at their start, with no past."""
        residual = self._place(columns, self.problems.start(columns))
        self.gradient[:, columns] = self.problems.start_gradient(residual, columns)
        if self.n_steps:
            self.stack[self.n_fixed :, :, columns] = 0.0
        self.decrement[columns] = self.best_gap[columns] = np.inf
        self.stalled[columns] = self.n_iter[columns] = 0

    def _place(self, columns: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Evaluate some problems at `parameters`; their residuals."""
        whole = len(columns) == len(self.values)
        rows = (self.state, self.residual, self.curvature)
        state, residual, curvature = rows if whole else np.empty((3, len(self.state), len(columns)))
        self.problems.expand(parameters, state)
        self.values[columns] = self.problems.evaluate(state, residual, curvature, columns)
        if not np.isfinite(self.values[columns]).all():
            raise ValueError(NOT_FINITE)
        if not whole:
            self.state[:, columns], self.residual[:, columns], self.curvature[:, columns] = state, residual, curvature
        return residual

    def renew(self, done: np.ndarray) -> bool:
        """Give columns to problems that wait, if there are any, and drop the others."""
        ids = self.problems.load(done)
        if len(ids):
            self.ids[done[: len(ids)]] = ids
            self._begin(done[: len(ids)])
        if len(ids) < len(done):
            self._keep(np.setdiff1d(np.arange(len(self.ids)), done[len(ids) :]))
        return len(ids) > 0

    def gaps(self, tol: float, over: np.ndarray) -> np.ndarray:
        """Of each problem, (L,); infinite where nobody looks because it is far from the tolerance."""
        rough, gaps = self.problems.rough_gap(self.gradient), np.full(len(over), np.inf)
        columns = np.flatnonzero(over | (rough <= NEAR * tol * np.abs(self.values)))
        if columns.size:
            gaps[columns] = self.problems.gap(self.state, self.gradient, columns)
        return gaps

    def verified_gaps(self, columns: np.ndarray) -> np.ndarray:
        """The gaps of some problems, evaluated afresh at their parameters: states drift from them by rounding."""
        moved = columns[self.n_iter[columns] > 0]
        if moved.size:
            residual = self._place(moved, self.problems.parameters(self.state)[:, moved])  # a copy: indices
            self.gradient[:, moved] = self.problems.gradient(residual)
        return self.problems.gap(self.state, self.gradient, columns)

    def iterate(self) -> None:
        """One Newton step in the subspace of each problem."""
        problems = self.problems
        problems.expand(-problems.precondition(self.gradient, self.curvature), self.stack[0])
        used = self.stack[: self.n_fixed + min(self.n_steps, MEMORY)]
        lengths, self.decrement = _newton_lengths(*problems.project(used, self.residual, self.curvature))
        step = self.stack[self.n_fixed + self.n_steps % MEMORY]
        problems.advance(used, lengths, step, self.state)
        self.n_steps += 1
        self.n_iter += 1
        before = self.values
        self.values = problems.evaluate(self.state, self.residual, self.curvature)
        tolerated = VALUE_RESOLUTION * problems.magnitude(before)
        enough = before - SUFFICIENT_DECREASE * self.decrement + tolerated
        short = np.flatnonzero(~(self.values <= enough) & (self.decrement > tolerated))
        if short.size:
            self._backtrack(short, step, before, tolerated)
        self.gradient = problems.gradient(self.residual)
        if not np.isfinite(self.values).all():
            raise ValueError(NOT_FINITE)
        self._watch()

    def _watch(self) -> None:
        """Count the iterations that neither F nor the gap could be seen to profit from."""
        rough = self.problems.rough_gap(self.gradient)
        visible = self.decrement > VALUE_RESOLUTION * self.problems.magnitude(self.values)
        improved = rough < 0.5 * self.best_gap
        self.stalled = np.where(visible | improved, 0, self.stalled + 1)
        self.best_gap = np.where(improved, rough, self.best_gap)

    def _backtrack(self, columns: np.ndarray, step: np.ndarray, before: np.ndarray, tolerated: np.ndarray) -> None:
        """Shorten the steps of some problems until F decreases enough, by interpolation."""
        full = step[:, columns]
        origin, t = self.state[:, columns] - full, np.ones(len(columns))
        values, old, decrement = self.values[columns], before[columns], self.decrement[columns]
        for _ in range(MAX_BACKTRACKS):
            enough = old - SUFFICIENT_DECREASE * t * decrement + tolerated[columns]
            open_ = np.flatnonzero(~(values <= enough))
            if not open_.size:
                break
            excess = values[open_] - old[open_] + t[open_] * decrement[open_]
            vertex = 0.5 * t[open_] * decrement[open_] / np.where(excess > 0.0, excess, np.inf)
            t[open_] *= np.clip(np.where(np.isfinite(vertex), vertex, 0.5), 0.1, 0.5)
            trial = origin[:, open_] + t[open_] * full[:, open_]
            residual, curvature = np.empty_like(trial), np.empty_like(trial)
            chosen = columns[open_]
            values[open_] = self.problems.evaluate(trial, residual, curvature, chosen)
            self.state[:, chosen], self.residual[:, chosen], self.curvature[:, chosen] = trial, residual, curvature
        step[:, columns] = t * full
        self.values[columns] = values

    def _keep(self, columns: np.ndarray) -> None:
        """Drop all columns but these."""
        self.problems.keep(columns)
        for name in ("state", "residual", "curvature", "stack", "gradient"):
            setattr(self, name, np.ascontiguousarray(getattr(self, name)[..., columns]))
        for name in ("values", "decrement", "best_gap", "stalled", "ids", "n_iter"):
            setattr(self, name, getattr(self, name)[columns])


def _newton_lengths(slopes: np.ndarray, grams: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = −H⁻¹ g of each problem, (L, K), and its squared Newton decrement −⟨g, y⟩ in the subspace, (L,)."""
    diagonal = np.einsum("lkk->lk", grams)
    scale = np.divide(1.0, np.sqrt(diagonal), out=np.zeros_like(diagonal), where=diagonal > 0.0)
    scaled = grams * scale[:, :, None] * scale[:, None, :]
    np.einsum("lkk->lk", scaled)[...] = 1.0 + INDEPENDENCE
    lengths = -scale * np.linalg.solve(scaled, (slopes * scale)[..., None])[..., 0]
    return lengths, np.maximum(-np.einsum("lk,lk->l", slopes, lengths), 0.0)
