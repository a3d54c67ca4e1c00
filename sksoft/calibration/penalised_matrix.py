"""The matrix of Dirichlet and of matrix scaling: its penalties, and the choice of their strength by cross-validation.

R(V, b) = λ Σ_{k≠j} V_kj² / (K (K − 1)) + μ Σ b_k² / K + 10⁻⁶ Σ (V_kk − 1)²      'odir': off-diagonal, intercept
R(V, b) = λ Σ_kj V_kj² / K² + μ Σ b_k² / K                                         'ridge'
"""

from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np

from sksoft.calibration.affine import LEAST_STRENGTH, AffineMap, Strengths, affine_scores, bounded, fit_matrix
from sksoft.calibration.score_input import ScoredRows
from sksoft.kernels import placement, rowwise
from sksoft.metrics.folds import content_folds, splits
from sksoft.metrics.temperature import best_temperature
from sksoft.solvers.certificate import Solution

# From strong to weak, each fit starting from the one before.
GRID = 10.0 ** np.arange(3, -3, -1)
# How well the fits are solved that only choose a strength.
CHOICE_TOL = 1e-4
# Of scaled scores, by which rows are dealt to folds.
DIGITS = 2


@dataclass(frozen=True)
class PenalisedMatrix:
    """The fit of V and b to scaled scores `x` of some rows, for any λ; μ is λ where `shift_strength` is None."""

    x: np.ndarray
    rows: ScoredRows
    penalty: str
    shift_strength: float | None
    tol: float
    max_iter: int

    def fit(self, strength: float, start: AffineMap | None = None) -> tuple[AffineMap, Solution]:
        """Minimise F for λ = `strength`, from the identity or another map."""
        K = self.x.shape[1]
        shift = 2.0 * (strength if self.shift_strength is None else self.shift_strength) / K
        if self.penalty == "odir":
            strengths = Strengths(LEAST_STRENGTH, 2.0 * strength / (K * (K - 1)), shift)
        else:
            strengths = Strengths(2.0 * strength / K**2, 2.0 * strength / K**2, shift)
        start = AffineMap(np.eye(K), np.zeros(K)) if start is None else start
        # 'odir' is drawn to the identity, which known scores stand for; 'ridge' to zero
        centre, known = (1.0, self.x) if self.penalty == "odir" else (0.0, None)
        found, solution = fit_matrix(
            self.x,
            self.rows,
            strengths,
            offset=known,
            start=start.moved(-centre),
            tol=self.tol,
            max_iter=self.max_iter,
        )
        return found.moved(centre), solution

    def _folds(self, cv) -> list:
        """Rows to fit to and rows held out. A class may have one row, or none to fit to: the penalty bears that."""
        rows, codes = self.rows, placement.to_host(self.rows.codes)
        if not isinstance(cv, Integral):
            everything = np.arange(len(codes))
            return splits(cv, self.x, rows.classes[codes], everything, codes, rows.classes, {})
        # rows are dealt to folds by what they say to a few digits: the last ones depend on how the scores were computed
        folds = content_folds(np.round(self.x, DIGITS), codes, int(cv))
        if len(np.unique(folds)) < 2:
            raise ValueError(
                f"cv={cv} needs at least two distinct rows to choose the 'strength' parameter by. Got one; pass a"
                " strength."
            )
        return [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in np.unique(folds)]

    def losses(self, cv) -> dict[str, np.ndarray]:
        """Log-loss of held-out rows for every strength of the grid."""
        rows = self.rows
        losses, total = np.zeros(len(GRID)), 0.0
        for train, test in self._folds(cv):
            of_train, held_out = placement.where(self.x, train), placement.where(self.x, test)
            part = replace(self, x=self.x[of_train], rows=rows.chosen(train), tol=max(self.tol, CHOICE_TOL))
            found = None
            codes, weights = rows.codes[held_out], rows.weights[held_out]
            residual = placement.namespace(self.x).empty((len(test), self.x.shape[1]))
            for i, strength in enumerate(GRID):
                found, _ = part.fit(strength, start=found)
                z = affine_scores(self.x[held_out], found.factors, found.shifts)
                losses[i] += float(rowwise.cross_entropy_rows(z, codes, weights, residual=residual))
            total += float(weights.sum())
        return {"strength": GRID.copy(), "log_loss": losses / total}


def fit_calibrator(calibrator, x: np.ndarray, rows: ScoredRows) -> tuple[AffineMap, Solution, float]:
    """The map of Dirichlet or matrix scaling, of scores β x, its solution, and β; sets the strength it was fitted with.

    β is 1 over the best temperature, so that λ means the same for scores of any size; x is overwritten.
    """
    beta = best_temperature(x, rows.codes, rows.weights).finite_beta
    x = bounded(np.multiply(x, beta, out=x))
    problem = PenalisedMatrix(
        x, rows, calibrator.penalty, calibrator.shift_strength, tol=calibrator.tol, max_iter=calibrator.max_iter
    )
    calibrator.strength_ = calibrator.strength
    calibrator.__dict__.pop("cv_results_", None)  # of an earlier fit
    if calibrator.strength is None:
        results = calibrator.cv_results_ = problem.losses(calibrator.cv)
        # of equals, the strongest
        calibrator.strength_ = float(results["strength"][np.argmin(results["log_loss"])])
    return *problem.fit(calibrator.strength_), beta
