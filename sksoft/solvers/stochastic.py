r"""Follow the regularised leader, a chunk of rows at a time, with no step size to choose.

What has been seen up to chunk t is to be fitted as one objective, in sums and not in means::

    F_t(w) = Σ over chunks up to t of L_c(w) + ½ ⟨w, Λ w⟩

Rows are seen once, so the past enters as a quadratic model around the parameters w_{t−1} that were fitted to it, and
the chunk at hand as it is, an implicit update ([1]_, section 6.2; [2]_)::

    w_t = argmin_w  L_t(w) + ⟨r, w − w_{t−1}⟩ + ½ ⟨w − w_{t−1}, (M_t + Λ + D)(w − w_{t−1})⟩

r is the gradient that the last step left, near zero. The ridge needs no more than its Λ in the metric: at w_{t−1} it is
in balance with the gradients of the past. M_t is what a memory (``memories.py``) makes of the curvature or of the
gradients of the past, and D = ½ mean x̃², the most that one row can curve, keeps the metric positive before there is a
past.

A full memory of the curvature H̄ with the weight S of the past would be the online Newton step. Past losses are no
quadratics, though: nearly all were curved more where they were seen than at the optimum. So the past weighs

    m = S^0.8 s^0.2                                                                  (s the weight of the chunk)

which forgets where the path began and, as m / S → 0 while m → ∞, still averages the noise of the chunks away ([3]_
proves it for exponents in (½, 1)).

The subproblem is smooth and strongly convex, and is solved by a few Newton steps.

References
----------
.. [1] McMahan, "A survey of algorithms and analysis for adaptive online learning", JMLR 18(90), 2017.
.. [2] Kulis, Bartlett, "Implicit online learning", ICML 2010.
.. [3] Boyer, Godichon-Baggioni, "On the asymptotic rate of convergence of stochastic Newton algorithms and their
   weighted averaged versions", Computational Optimization and Applications 84, 2023.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sksoft.solvers.conjugate_gradients import newton_step
from sksoft.solvers.memories import Memory, Seen

FORGETTING = 0.8
NEWTON_STEPS = 10
HALVINGS = 30
# The residual of the subproblem falls to this share, each Newton system to that.
ACCURACY, FORCING = 0.03, 0.1
# The preconditioner is made anew when the weight of the past has grown by this factor.
GROWTH = 1.5


class Evaluated(Seen, Protocol):
    """A chunk's summed loss at w, and what a memory may ask."""

    value: float
    gradient: np.ndarray

    def hessian_product(self, v: np.ndarray) -> np.ndarray:
        """∇²L(w) v, shape (R, q)."""
        ...


class Chunk(Protocol):
    """The loss of a few rows, summed with their weights."""

    @property
    def weight(self) -> float:
        """Their sum, positive."""
        ...

    def at(self, w: np.ndarray) -> Evaluated:
        """Evaluate at w, shape (R, q)."""
        ...


@dataclass(frozen=True)
class State:
    """Where a run stands: everything that the next chunk needs.

    Attributes
    ----------
    w : ndarray (R, q)
    residual : ndarray (R, q)
        r.
    memory : Memory
    weight : float
        S, of all rows seen.
    """

    w: np.ndarray
    residual: np.ndarray
    memory: Memory
    weight: float


class Preconditioner:
    """The inverse of a past metric, kept until the past has grown."""

    def __init__(self):
        self.inverse: Callable[[np.ndarray], np.ndarray] | None = None
        self.made_at = 0.0

    def for_state(self, state: State, effective: float, diagonal: np.ndarray):
        """r → near (M + diagonal)⁻¹ r."""
        if self.inverse is None or state.weight > GROWTH * self.made_at:
            self.inverse = state.memory.inverse(effective, diagonal)
            self.made_at = state.weight
        return self.inverse


def learn(state: State, chunk: Chunk, diagonal: np.ndarray, preconditioner: Preconditioner) -> State:
    """Fit one chunk and remember it.

    Parameters
    ----------
    state : State
    chunk : Chunk
    diagonal : ndarray (R, q), positive
        Λ + D.
    preconditioner : Preconditioner
        One for a run of chunks; it speeds the steps up and is no part of the state.

    Returns
    -------
    state : State
    """
    effective = state.weight**FORGETTING * chunk.weight ** (1.0 - FORGETTING)
    past = state.memory.product(effective)
    first = chunk.at(state.w)
    seen, residual = _proximal_point(
        chunk,
        first,
        state,
        lambda v: past(v) + diagonal * v,
        preconditioner.for_state(state, effective, diagonal),
    )
    weight = state.weight + chunk.weight
    memory = state.memory.absorb(seen, first.gradient, chunk.weight, weight)
    return State(seen.w, residual, memory, weight)


def _proximal_point(chunk: Chunk, point, state: State, metric, precondition):
    """The chunk at the minimum of loss + ⟨r, move⟩ + ½ ⟨move, metric(move)⟩, and the gradient left there."""
    w, shape = state.w, state.w.shape
    drag = np.zeros_like(w)
    gradient = point.gradient + state.residual
    value, move = point.value, np.zeros_like(w)
    target = None
    for _ in range(NEWTON_STEPS):
        hessian_product = point.hessian_product
        step = newton_step(
            lambda v: (hessian_product(v.reshape(shape)) + metric(v.reshape(shape))).ravel(),  # noqa: B023
            lambda r: precondition(r.reshape(shape)).ravel(),
            gradient.ravel(),
            forcing=FORCING,
            fine=0.0 if target is None else target,
            settled=lambda residual, decrease: True,
        )
        target = ACCURACY**2 * step.start if target is None else target
        if step.products == 0:
            break
        direction = step.d.reshape(shape)
        along = metric(direction)
        length, trial, trial_value = 1.0, None, np.inf
        for _ in range(HALVINGS):
            trial = chunk.at(w + move + length * direction)
            tried = move + length * direction
            drag_tried = drag + length * along
            trial_value = trial.value + float(np.vdot(state.residual, tried) + 0.5 * np.vdot(tried, drag_tried))
            if trial_value <= value - 1e-4 * length * step.decrement + 1e-12 * abs(value):
                break
            length *= 0.5
        else:
            break
        point, value, move, drag = trial, trial_value, tried, drag_tried
        gradient = point.gradient + state.residual + drag
    return point, gradient
