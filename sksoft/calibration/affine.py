r"""Calibrated scores that are affine in the scores of a model, z' = o + V x + b, and the fit of V and b.

    F(V, b) = Σᵢ sᵢ L(yᵢ, oᵢ + V xᵢ + b) / Σᵢ sᵢ + ½ (d Σ V_kk² + e Σ_{k≠j} V_kj² + c Σ b_k²)

with L the log-loss of a softmax, x the model's scores (K columns), o known scores, and V full or diagonal. It is
convex; where d, e and c are positive the duality gap of the fit is proved, else its Newton decrement speaks. Where
o = x, V is the way from the identity.

Scores on a device are multiplied there; V and b, and the solver, are on the host.

Two classes are one row, the difference of both, under the ridge that the best split between the two leaves: of
strengths e and d for the entries of one column, e d / (e + d).
"""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sksoft._warnings import warn
from sksoft.calibration.score_input import ScoredRows
from sksoft.kernels import placement, rowwise
from sksoft.kernels.blocks import serial_blas
from sksoft.objective.batches import InMemory
from sksoft.objective.design import Dense
from sksoft.objective.device_design import DeviceDense
from sksoft.objective.links import LINKS
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.objective import Objective
from sksoft.objective.penalties import Ridge
from sksoft.objective.scores import Diagonal, Linear
from sksoft.objective.targets import Labels
from sksoft.solvers import newton_cg, sketched
from sksoft.solvers.certificate import Solution

# The ridge on what has no other: it keeps a map finite where scores separate a class, and proves a gap.
LEAST_STRENGTH = 2e-6
# Scores count as this large at most, so that their multiples are numbers; of float32 they are turned into float64 from
# some size on. Those that a map is fitted to, in units of their temperature, count as less: e^−LARGEST is zero, and
# squares must be numbers in float32 too.
FARTHEST, LARGEST = 1e50, 1e8
LARGE = {np.dtype(np.float64): FARTHEST, np.dtype(np.float32): LARGEST}


@dataclass(frozen=True)
class Strengths:
    """d, e and c of F, non-negative."""

    diagonal: float
    off_diagonal: float
    shift: float


@dataclass(frozen=True)
class AffineMap:
    """V, of shape (K, K) or its diagonal (K,), and b (K,)."""

    factors: np.ndarray
    shifts: np.ndarray

    def moved(self, amount: float) -> "AffineMap":
        """With `amount` times the identity added to V."""
        identity = np.eye(len(self.shifts)) if self.factors.ndim == 2 else 1.0
        return replace(self, factors=self.factors + amount * identity)


def affine_scores(x: np.ndarray, factors: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """V x + b, (n, K), where x lives; `factors` are V, or its diagonal, and then x is overwritten."""
    factors, shifts = placement.where(x, factors), placement.where(x, shifts)
    z = x @ factors.T if factors.ndim == 2 else np.multiply(x, factors, out=x, casting="same_kind")
    z += shifts
    return z


def keep_map(calibrator, found: AffineMap, solution: Solution, beta: float = 1.0) -> None:
    """Set the attributes of a fitted affine calibrator: its map of scores that were multiplied by `beta`, and what is
    proved of it; warn where that is short."""
    calibrator.coef_, calibrator.intercept_ = beta * found.factors, found.shifts
    calibrator.objective_ = solution.value
    calibrator.gap_ = solution.certificate.gap
    calibrator.certificate_, calibrator.bound_ = solution.certificate.kind, solution.certificate.bound
    calibrator.gradient_norm_ = solution.gradient_norm
    calibrator.n_iter_, calibrator.converged_ = solution.n_iter, solution.converged
    if not solution.converged:
        warn(
            f"{type(calibrator).__name__} stopped after {solution.n_iter} iterations (max_iter={calibrator.max_iter})"
            f" with {solution.certificate.bound:.3g} left of the objective {solution.value:.6g}; tol={calibrator.tol:g}"
            " of it was asked for.",
            ConvergenceWarning,
        )


def log_proba_of(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """log softmax(z / T) of rows, no less than −1e50: scores that a shift of a row does not change."""
    x = rowwise.log_softmax_rows(logits, temperature=temperature)
    if x.min() >= -LARGE[x.dtype]:
        return x
    return np.maximum(rowwise.log_softmax_rows(logits.astype(np.float64), temperature=temperature), -FARTHEST)


def centred(logits: np.ndarray) -> np.ndarray:
    """Rows less their mean: a shift of a row says nothing, so it must not change what follows.

    Scores beyond ±1e50 count as that.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        z = logits - logits.mean(axis=1, keepdims=True)
    # a row's largest is at most K − 1 times its smallest in size; a mean that is no number fails here too
    if not z.min() >= -LARGE[z.dtype] / logits.shape[1]:
        z = np.clip(logits.astype(np.float64), -FARTHEST, FARTHEST)
        z -= z.mean(axis=1, keepdims=True)
    return z


def bounded(x: np.ndarray) -> np.ndarray:
    """Scaled scores x to fit a map to, in place: no larger than 1e8."""
    # a row's largest is at most K − 1 times its smallest in size
    return x if x.min() >= -LARGEST / x.shape[1] else np.clip(x, -LARGEST, LARGEST, out=x)


def fit_diagonal(
    x: np.ndarray, rows: ScoredRows, strengths: Strengths, *, offset=None, tol: float, max_iter: int
) -> tuple[AffineMap, Solution]:
    """Minimise F over diagonal V and b.

    Parameters
    ----------
    x : ndarray (n, K)
        For the rows of `rows`.
    rows : ScoredRows
    strengths : Strengths
        Of which ``off_diagonal`` does not matter.
    offset : ndarray (n, K), optional
    tol : float
        The bound on what is left of F, as a share of F, at which to stop.
    max_iter : int
    """
    scores = Diagonal(len(rows.classes))
    penalty = Ridge(scores.pack(strengths.diagonal, strengths.shift))
    design = DeviceDense(x) if placement.on_device(x) else Dense(x, by_rows=True)
    solution = _solve(design, scores, penalty, rows, offset, scores.pack(0.0, 0.0), tol, max_iter)
    return AffineMap(*scores.unpack(solution.w)), solution


def fit_matrix(
    x: np.ndarray,
    rows: ScoredRows,
    strengths: Strengths,
    *,
    offset=None,
    start: AffineMap | None = None,
    tol: float,
    max_iter: int,
) -> tuple[AffineMap, Solution]:
    """Minimise F over full V and b; parameters as of :func:`fit_diagonal`, from `start` or zero."""
    K = len(rows.classes)
    # a shift with a penalty is a coefficient like any other; one without is an intercept
    penalised = strengths.shift > 0.0
    scores = Linear(K + penalised, K, fit_intercept=not penalised)
    start = AffineMap(np.zeros((K, K)), np.zeros(K)) if start is None else start
    V_strength = np.full((K, K), strengths.off_diagonal)
    np.fill_diagonal(V_strength, strengths.diagonal)
    b_strength = np.full(K, strengths.shift)
    ridge, w = np.column_stack([V_strength, b_strength]), np.column_stack([start.factors, start.shifts])
    if scores.n_rows == 1:
        ridge, w = _parallel(*ridge), w[1] - w[0]
    penalty, w = Ridge(ridge.ravel()), w.ravel()
    design = DeviceDense(x, ones=True) if placement.on_device(x) else Dense(x, ones=True)
    solution = _solve(design, scores, penalty, rows, offset, w, tol, max_iter)
    matrix = solution.w.reshape(scores.n_rows, K + 1)
    factors, shifts = matrix[:, :K], matrix[:, K]
    if scores.n_rows == 1:
        factors, shifts = _split(factors[0], strengths), 0.5 * np.array([-shifts[0], shifts[0]])
    return AffineMap(factors.copy(), shifts.copy()), solution


def _solve(design, scores, penalty, rows: ScoredRows, offset, w, tol, max_iter) -> Solution:
    target = Labels(rows.codes, len(rows.classes))
    batches = InMemory(design, target, rows.weights, offset)
    objective = Objective(FenchelYoung(LINKS["softmax"]), scores, batches, penalty)
    with serial_blas():
        w = sketched(objective, w) if objective.sketchable else w
        return newton_cg(objective, w, tol=tol, max_iter=max_iter)


def _parallel(a, b):
    """a b / (a + b), the ridge on a difference; 0 where one of both is free."""
    total = a + b
    return a * np.divide(b, total, out=np.zeros_like(total), where=total > 0.0)


def _split(difference: np.ndarray, strengths: Strengths) -> np.ndarray:
    """Both rows of V from their difference: each entry moves as its ridge lets it."""
    own, other = strengths.diagonal, strengths.off_diagonal
    share = other / (own + other) if own + other > 0.0 else 0.5  # of the entry on the diagonal
    return np.array(
        [
            [-share * difference[0], -(1.0 - share) * difference[1]],
            [(1.0 - share) * difference[0], share * difference[1]],
        ]
    )
