"""Solutions for many penalties at the price of few: each fit starts from the one before, on one copy of the data."""

from copy import copy
from dataclasses import dataclass

import numpy as np
from sklearn.base import clone

from sksoft.kernels.blocks import serial_blas
from sksoft.solvers.ladder import Ladder


@dataclass(frozen=True)
class RegularizationPath:
    """Fits to the same data for several C, in the order in which the C were given.

    Attributes
    ----------
    classes : ndarray (K,)
    Cs : ndarray (m,)
    coefs : ndarray (m, K, p), or (m, 1, p) for two classes
    intercepts : ndarray (m, K), or (m, 1) for two classes
    objectives : ndarray (m,)
        F at each solution, in nats.
    gaps : ndarray (m,)
        Proved bounds on F − min F, nan where nothing can be proved.
    n_iter : ndarray (m,), int
    n_passes : ndarray (m,)
        Sweeps over the data.
    converged : ndarray (m,), bool
    """

    classes: np.ndarray
    Cs: np.ndarray
    coefs: np.ndarray
    intercepts: np.ndarray
    objectives: np.ndarray
    gaps: np.ndarray
    n_iter: np.ndarray
    n_passes: np.ndarray
    converged: np.ndarray

    def __len__(self) -> int:
        return len(self.Cs)


def path(model, X, y, Cs, *, sample_weight=None, offset=None) -> RegularizationPath:
    """Fit for every C, from the strongest penalty to the weakest; `model` is not changed.

    Columns are standardised, copied in float32 and checked once for all fits. Each fit starts from the two before,
    extrapolated in log C, and with the preconditioner of the one before.

    Parameters
    ----------
    model : SoftmaxRegression
        All but its C holds for every fit.
    X, y, sample_weight, offset
        As in ``fit``.
    Cs : array-like (m,), in (0, inf]

    Returns
    -------
    path : RegularizationPath

    Raises
    ------
    ValueError
        For bad input as in ``fit``, and for C that are not positive numbers.
    """
    Cs = check_Cs(Cs)
    fits: list = [None] * len(Cs)
    model = clone(model).set_params(C=float(Cs.min()))
    problem = model._problem(X, y, sample_weight, offset)
    weight, ladder = float(problem.weights.sum()), None
    solved: list = []
    for at in np.argsort(Cs, kind="stable"):
        here = problem.with_strength(0.0 if np.isinf(Cs[at]) else 1.0 / (Cs[at] * weight))
        if not here.kinked:
            ladder = Ladder(here.objective.rungs) if ladder is None else ladder
        fits[at] = copy(model).set_params(C=Cs[at])
        with serial_blas():
            fits[at]._solve(here, _start(here, Cs[at], solved[-2:]), ladder=ladder)
        solved.append(fits[at])
    return RegularizationPath(
        classes=model.classes_,
        Cs=Cs,
        coefs=np.stack([fit.coef_ for fit in fits]),
        intercepts=np.stack([fit.intercept_ for fit in fits]),
        objectives=np.array([fit.objective_ for fit in fits]),
        gaps=np.array([fit.gap_ for fit in fits]),
        n_iter=np.array([fit.n_iter_ for fit in fits]),
        n_passes=np.array([fit.n_passes_ for fit in fits]),
        converged=np.array([fit.converged_ for fit in fits]),
    )


def _start(problem, C: float, solved: list) -> np.ndarray | None:
    """Where the line through the last two solutions over log C is at C; the last one where zeros matter, or alone."""
    if not solved:
        return None
    before, last = solved[0], solved[-1]
    step = 0.0
    if np.isfinite(C) and before.C < last.C and not problem.kinked:
        step = np.log(C / last.C) / np.log(last.C / before.C)
    return problem.pack(
        last.coef_ + step * (last.coef_ - before.coef_),
        last.intercept_ + step * (last.intercept_ - before.intercept_),
    )


def check_Cs(Cs) -> np.ndarray:
    values = np.atleast_1d(np.asarray(Cs, dtype=np.float64))
    if values.ndim != 1 or len(values) == 0 or not (values > 0.0).all():
        raise ValueError(f"The 'Cs' parameter must hold numbers in (0, inf]. Got {Cs!r} instead.")
    return values
