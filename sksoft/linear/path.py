"""Solutions for many penalties at the price of few: each fit starts from the one before, on one copy of the data.

A path may have a guide: the fits for the same C to data much like these, as the folds of a cross-validation are. With W
the coefficients and intercepts here and G those of the guide, the fit for Cⱼ starts from

    Gⱼ + D(Cⱼ)        D the line through Wᵢ − Gᵢ at the two C before, over log C

which is mostly nearer than the line through the Wᵢ alone, as the paths bend alike: measured on a cross-validation over
ten C, 6 % fewer sweeps on digits, 16 % on satimage, and 2 % more on splice. The guide's preconditioners are not taken
over: the one of its first C took seven times the products there on MNIST, and a new one is cheap beside them.
"""

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
    fits = fits_along(model, X, y, Cs, sample_weight=sample_weight, offset=offset)
    return RegularizationPath(
        classes=fits[0].classes_,
        Cs=Cs,
        coefs=np.stack([fit.coef_ for fit in fits]),
        intercepts=np.stack([fit.intercept_ for fit in fits]),
        objectives=np.array([fit.objective_ for fit in fits]),
        gaps=np.array([fit.gap_ for fit in fits]),
        n_iter=np.array([fit.n_iter_ for fit in fits]),
        n_passes=np.array([fit.n_passes_ for fit in fits]),
        converged=np.array([fit.converged_ for fit in fits]),
    )


def fits_along(model, X, y, Cs: np.ndarray, *, sample_weight=None, offset=None, guide=None) -> list:
    """Fitted copies of a model, one for each C in the order given; `guide` is such a list for data much like these."""
    fits: list = [None] * len(Cs)
    model = clone(model).set_params(C=float(Cs.min()))
    problem = model._problem(X, y, sample_weight, offset)
    weight, ladder = float(problem.weights.sum()), None
    departures: list = []
    for at in np.argsort(Cs, kind="stable"):
        here = problem.with_strength(0.0 if np.isinf(Cs[at]) else 1.0 / (Cs[at] * weight))
        if not here.kinked:
            ladder = Ladder(here.objective.rungs) if ladder is None else ladder
        base = None if guide is None else _joined(guide[at])
        fits[at] = copy(model).set_params(C=Cs[at])
        with serial_blas():
            fits[at]._solve(here, _start(here, Cs[at], base, departures[-2:]), ladder=ladder)
        departures.append((Cs[at], _joined(fits[at]) - (0.0 if base is None else base)))
    return fits


def _start(problem, C: float, base: np.ndarray | None, departures: list) -> np.ndarray | None:
    """From a guide's solution at C, or 0, as far as the line through the last two departures from it over log C.

    Without a guide the last solution alone where zeros matter, and None for the first C.
    """
    if not departures:
        return None if base is None else _packed(problem, base)
    (before_C, before), (last_C, last) = departures[0], departures[-1]
    step = 0.0
    if np.isfinite(C) and before_C < last_C and not (problem.kinked and base is None):
        step = np.log(C / last_C) / np.log(last_C / before_C)
    return _packed(problem, (0.0 if base is None else base) + last + step * (last - before))


def _joined(fit) -> np.ndarray:
    """Coefficients and intercepts of a fit side by side, (K, p + 1), or (1, p + 1) for two classes."""
    return np.column_stack([fit.coef_, fit.intercept_])


def _packed(problem, rows: np.ndarray) -> np.ndarray:
    """The coordinates of a problem for such rows."""
    return problem.pack(rows[:, :-1], rows[:, -1])


def check_Cs(Cs) -> np.ndarray:
    values = np.atleast_1d(np.asarray(Cs, dtype=np.float64))
    if values.ndim != 1 or len(values) == 0 or not (values > 0.0).all():
        raise ValueError(f"The 'Cs' parameter must hold numbers in (0, inf]. Got {Cs!r} instead.")
    return values
