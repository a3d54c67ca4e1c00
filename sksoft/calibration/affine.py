r"""Calibrated scores that are affine in the scores of a model, z' = o + V x + b, and the fit of V and b.

    F(V, b) = Σᵢ sᵢ L(yᵢ, oᵢ + V xᵢ + b) / Σᵢ sᵢ + ½ (d Σ V_kk² + e Σ_{k≠j} V_kj² + c Σ b_k²)

with L the log-loss of a softmax, x the model's scores (K columns), o known scores, and V full or diagonal. It is
convex; where d, e and c are positive the duality gap of the fit is proved, else its Newton decrement speaks.

Two classes are one row, the difference of both, under the ridge that the best split between the two leaves: of
strengths e and d for the entries of one column, e d / (e + d).
"""

from dataclasses import dataclass

import numpy as np

from sksoft.calibration.score_input import ScoredRows
from sksoft.kernels import rowwise
from sksoft.kernels.blocks import serial_blas
from sksoft.objective.batches import InMemory
from sksoft.objective.design import Dense
from sksoft.objective.links import LINKS
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.objective import Objective
from sksoft.objective.penalties import Ridge
from sksoft.objective.scores import Diagonal, Linear
from sksoft.objective.targets import Labels
from sksoft.solvers import newton_cg, sketched
from sksoft.solvers.certificate import Solution


@dataclass(frozen=True)
class Strengths:
    """d, e and c of F, non-negative."""

    diagonal: float
    off_diagonal: float
    shift: float


@dataclass(frozen=True)
class AffineMap:
    """V, of shape (K, K) or its diagonal (K,), and b (K,), with the solution they are from."""

    factors: np.ndarray
    shifts: np.ndarray
    solution: Solution

    def scores(self, x: np.ndarray, offset: np.ndarray | None = None) -> np.ndarray:
        """o + V x + b, (n, K), in a fresh array."""
        z = x @ self.factors.T if self.factors.ndim == 2 else x * self.factors
        z += self.shifts
        if offset is not None:
            z += offset
        return z


def log_proba_of(logits: np.ndarray) -> np.ndarray:
    """log softmax of rows: scores that a shift of a row does not change."""
    return rowwise.log_softmax_rows(logits)


def centred(logits: np.ndarray) -> np.ndarray:
    """Rows less their mean: a shift of a row says nothing, so it must not change what follows."""
    return logits - logits.mean(axis=1, keepdims=True)


def fit_diagonal(
    x: np.ndarray, rows: ScoredRows, strengths: Strengths, *, offset=None, start: float = 0.0, tol: float, max_iter: int
) -> AffineMap:
    """Minimise F over diagonal V and b.

    Parameters
    ----------
    x : ndarray (n, K)
        For the rows of `rows`.
    rows : ScoredRows
    strengths : Strengths
        Of which ``off_diagonal`` does not matter.
    offset : ndarray (n, K), optional
    start : float, default=0
        Where every factor begins; shifts begin at 0.
    tol : float
        The bound on what is left of F, as a share of F, at which to stop.
    max_iter : int
    """
    scores = Diagonal(len(rows.classes))
    penalty = Ridge(scores.pack(strengths.diagonal, strengths.shift))
    solution = _solve(Dense(x), scores, penalty, rows, offset, scores.pack(start, 0.0), tol, max_iter)
    return AffineMap(*scores.unpack(solution.w), solution)


def fit_matrix(
    x: np.ndarray,
    rows: ScoredRows,
    strengths: Strengths,
    *,
    offset=None,
    start: float | AffineMap = 0.0,
    tol: float,
    max_iter: int,
) -> AffineMap:
    """Minimise F over full V and b; parameters as of :func:`fit_diagonal`, and `start` may be a whole map."""
    K = len(rows.classes)
    # a shift with a penalty is a coefficient like any other; one without is an intercept
    penalised = strengths.shift > 0.0
    scores = Linear(K + penalised, K, fit_intercept=not penalised)
    V0, b0 = (start.factors, start.shifts) if isinstance(start, AffineMap) else (start * np.eye(K), np.zeros(K))
    V_strength = np.full((K, K), strengths.off_diagonal)
    np.fill_diagonal(V_strength, strengths.diagonal)
    b_strength = np.full(K, strengths.shift)
    if scores.n_rows == 1:
        V0, b0 = V0[1] - V0[0], b0[1] - b0[0]
        V_strength, b_strength = _parallel(*V_strength), _parallel(*b_strength)
    penalty = Ridge(np.column_stack([*np.atleast_2d(V_strength.T), b_strength]).ravel())
    w = np.column_stack([*np.atleast_2d(V0.T), b0]).ravel()
    solution = _solve(Dense(x, ones=True), scores, penalty, rows, offset, w, tol, max_iter)
    matrix = solution.w.reshape(scores.n_rows, K + 1)
    factors, shifts = matrix[:, :K], matrix[:, K]
    if scores.n_rows == 1:
        factors, shifts = _split(factors[0], strengths), 0.5 * np.array([-shifts[0], shifts[0]])
    return AffineMap(factors.copy(), shifts.copy(), solution)


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
    return np.divide(a * b, total, out=np.zeros_like(total), where=total > 0.0)


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
