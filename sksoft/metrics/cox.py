r"""Calibration slope and intercept: the logistic recalibration that the data ask for, and the test that it is none.

Two classes ([1]_, eq. 2.2):   logit P(y = 1) = α + β logit p             null hypothesis α = 0, β = 1
K classes:                     P(y = k) ∝ exp(β log p_k + b_k), Σ b = 0   null hypothesis b = 0, β = 1

The maximum-likelihood fit minimises the mean negative log-likelihood F over θ = (β, b). With q the fitted
probabilities, z = log p and E, Var those of q,

    ∂F/∂β = mean(E z − z_y)            ∂F/∂b_k = mean(q_k − 1[y = k])
    ∂²F/∂β² = mean(Var z)   ∂²F/∂β∂b_k = mean(q_k (z_k − E z))   ∂²F/∂b∂b = diag(mean q) − mean(q qᵀ)

It is found by damped Newton steps with this exact Hessian, from the null hypothesis. Twice the log-likelihood gained
is χ² under the null hypothesis, with as many degrees of freedom as free parameters: 2, or K.

.. [1] D. R. Cox, "Two further applications of a model for binary regression", Biometrika 45 (1958).
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import entr
from scipy.stats import chi2
from sklearn.exceptions import ConvergenceWarning

from sksoft._warnings import warn
from sksoft.kernels import rowwise
from sksoft.kernels.blocks import row_blocks, serial_blas
from sksoft.metrics.calibration import check_choices
from sksoft.metrics.events import columns
from sksoft.metrics.logits import log_proba
from sksoft.metrics.predictions import Predictions, check_predictions
from sksoft.solvers.certificate import VALUE_RESOLUTION

# Largest change of a log-odds in the last step of a fit that has converged.
STEP_TOLERANCE = 1e-9
MAX_ITER = 100
LEAST_DAMPING, SMALLEST_SHARE = 1e-6, 1 / 64


@dataclass(frozen=True)
class CoxCalibration:
    """Slope and intercept of logistic recalibration, and the likelihood-ratio test of "none needed".

    Attributes
    ----------
    slope : float
        β; below 1: predictions are too extreme. ``±inf`` where predictions separate two classes.
    intercept : float or ndarray (K,)
        α of two classes; b of K classes, summing to zero, ``-inf`` for a class that does not occur.
    slope_stderr, intercept_stderr : float, and of the shape of `intercept`
        From the observed information; NaN where there is no finite estimate.
    statistic : float
        Twice the log-likelihood gained over β = 1 and no intercept.
    df : int
        2, or K.
    pvalue : float
        χ² with `df` degrees of freedom.
    classes : ndarray
        Labels of the columns.
    gradient_norm : float
        Largest entry of the gradient of the mean log-likelihood at the solution.
    n_iter : int
        Newton steps.
    converged : bool
    """

    slope: float
    intercept: float | np.ndarray
    slope_stderr: float
    intercept_stderr: float | np.ndarray
    statistic: float
    df: int
    pvalue: float
    classes: np.ndarray
    gradient_norm: float
    n_iter: int
    converged: bool


def cox_calibration(
    y_true, y_proba, *, sample_weight=None, weight_type="sampling", labels=None, pos_label=None
) -> CoxCalibration:
    """Calibration slope and intercept with standard errors, and the test of slope 1 and intercept 0.

    ``logit P(y = 1) = α + β logit p`` for two classes ([1]_, eq. 2.2), ``P(y = k) ∝ exp(β log p_k + b_k)`` with
    ``Σ b = 0`` for more: one slope for all classes, as a temperature, and an intercept for each.

    Parameters
    ----------
    y_true : array-like (n,)
        True labels of any type.
    y_proba : array-like (n, K) or (n,)
        Class probabilities, or the probability of the positive class. Those below 2.2e-16 count as that.
    sample_weight : array-like (n,), optional
        Non-negative. Estimates are those of repeated rows.
    weight_type : {'sampling', 'frequency'}, default='sampling'
        What weights mean for standard errors and the test: n = (Σw)²/Σw² rows, or n = Σw.
    labels : array-like (K,), optional
        Class of each column, in the order of the columns; by default the sorted labels of `y_true`.
    pos_label : label, optional
        The positive class of a one-dimensional `y_proba`.

    Returns
    -------
    fit : CoxCalibration
        ``slope``, ``intercept``, their standard errors, ``statistic``, ``df``, ``pvalue``. Two columns are fitted as
        the probability of the second.

    Raises
    ------
    ValueError
        For invalid input; if only one class occurs, or all rows have the same probabilities: then slope and intercept
        cannot be told apart.

    Warns
    -----
    ConvergenceWarning
        If the predictions separate classes, so that there is no finite maximum, or a class does not occur. The
        statistic then is that of the supremum.

    Notes
    -----
    O(n K²) time for each of about six iterations, O(K²) memory and some rows. The χ² approximation needs every class
    to occur some times; :func:`calibration_test` with ``null='resampling'`` does not rest on it.

    References
    ----------
    .. [1] D. R. Cox, "Two further applications of a model for binary regression", Biometrika 45 (1958).

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft.metrics import cox_calibration
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=5000)
    >>> y = rng.random(5000) < 1 / (1 + np.exp(-logits))
    >>> fit = cox_calibration(y, 1 / (1 + np.exp(-2 * logits)))  # twice too extreme
    >>> print(f"{fit.slope:.2f} ± {fit.slope_stderr:.2f}")
    0.52 ± 0.02
    """
    check_choices(weight_type=weight_type)
    predictions = check_predictions(
        y_true, y_proba, sample_weight=sample_weight, weight_type=weight_type, labels=labels, pos_label=pos_label
    )
    return fit_cox(predictions, weight_type)


def fit_cox(predictions: Predictions, weight_type: str = "sampling") -> CoxCalibration:
    """:func:`cox_calibration` of validated predictions."""
    codes, classes = predictions.codes, predictions.classes
    shares, size = _weighting(predictions, weight_type)
    logits = log_proba(columns(predictions))
    n_classes = logits.shape[1]
    occur = np.flatnonzero(np.bincount(codes, minlength=n_classes))
    _check_identified(logits, occur)
    null = _mean_loss(logits, codes, shares)
    kept, renumbered = logits[:, occur] if len(occur) < n_classes else logits, np.searchsorted(occur, codes)
    if n_classes == 2:
        kept = np.column_stack([np.zeros(len(codes)), logits[:, 1] - logits[:, 0]])
    fit = _newton(kept, renumbered, shares)
    separated = n_classes == 2 and _separates(kept[:, 1], codes)
    converged = fit.converged and not separated
    _warn(fit, separated, [classes[k] for k in range(len(classes)) if k not in occur] if n_classes > 2 else [])
    variances = _variances(fit.hessian, size) if converged else np.full(len(occur) + 1, np.nan)
    slope, stderrs = float(fit.theta[0]), np.sqrt(variances)
    statistic = float(max(2.0 * size * (null - fit.value), 0.0))
    if n_classes == 2:
        # b = (−α/2, α/2) is one number: its variance is a quarter of that of α.
        intercept: float | np.ndarray = float("nan") if separated else float(fit.theta[2] - fit.theta[1])
        intercept_stderr: float | np.ndarray = float(2.0 * stderrs[2])
        slope = float(np.copysign(np.inf, slope)) if separated else slope
    else:
        intercept, intercept_stderr = np.full(n_classes, -np.inf), np.full(n_classes, np.nan)
        intercept[occur], intercept_stderr[occur] = fit.theta[1:], stderrs[1:]
    return CoxCalibration(
        slope=slope,
        intercept=intercept,
        slope_stderr=float(stderrs[0]),
        intercept_stderr=intercept_stderr,
        statistic=statistic,
        df=n_classes,
        pvalue=float(chi2.sf(statistic, n_classes)),
        classes=classes,
        gradient_norm=fit.gradient_norm,
        n_iter=fit.n_iter,
        converged=converged,
    )


def cox_statistic(predictions: Predictions, weight_type: str = "sampling") -> float:
    """Twice the log-likelihood ratio, of its supremum where there is no maximum.

    Of a single class the supremum of the likelihood is 1; where all rows have the same probabilities, intercepts alone
    fit the base rates.
    """
    logits = log_proba(columns(predictions))
    occur = np.unique(predictions.codes)
    if len(occur) < 2 or _all_the_same(logits[:, occur]):
        shares, size = _weighting(predictions, weight_type)
        best = entr(np.bincount(predictions.codes, shares)).sum()
        return float(max(2.0 * size * (_mean_loss(logits, predictions.codes, shares) - best), 0.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit_cox(predictions, weight_type).statistic


def _weighting(predictions: Predictions, weight_type: str) -> tuple[np.ndarray, float]:
    """Shares of the rows, which sum to one, and the number of rows that they stand for."""
    if predictions.weights is None:
        n_rows = len(predictions.codes)
        return np.full(n_rows, 1.0 / n_rows), float(n_rows)
    heaviest = float(predictions.weights.max())
    weights = predictions.weights / heaviest
    size = weights.sum() * heaviest if weight_type == "frequency" else weights.sum() ** 2 / (weights @ weights)
    return weights / weights.sum(), float(size)


@dataclass(frozen=True)
class _Fit:
    """θ = (β, b) and F, its Hessian and its gradient's largest entry there."""

    theta: np.ndarray
    value: float
    hessian: np.ndarray
    gradient_norm: float
    n_iter: int
    converged: bool


def _newton(logits, codes, shares) -> _Fit:
    """Minimise F from θ = (1, 0) by Newton steps, halved where too long, damped where that does not help.

    F does not change with a common shift of b; (Σ b)²/2K is added to the model, which is 0 at its minimum. Damping adds
    μ diag(range², 1, …, 1), bounds of the curvature, to the Hessian: predictions of 0 and 1 that are wrong start where
    there is none.
    """
    theta = np.zeros(logits.shape[1] + 1)
    theta[0] = 1.0
    reach = float(np.ptp(logits, axis=1).max())
    bounds = np.append(reach**2, np.ones(logits.shape[1]))
    n_iter, damping, converged = 0, 0.0, False
    with serial_blas():
        value, gradient, hessian = _evaluate(theta, logits, codes, shares)
        while n_iter < MAX_ITER and not converged:
            n_iter += 1
            try:
                step = -cho_solve(cho_factor(_pinned(hessian) + damping * np.diag(bounds)), gradient)
            except LinAlgError:
                damping = max(10.0 * damping, LEAST_DAMPING)
                continue
            share, slope = 1.0, float(gradient @ step)
            while share >= SMALLEST_SHARE:
                found = _evaluate(theta + share * step, logits, codes, shares)
                if found[0] <= value + 1e-4 * share * slope + VALUE_RESOLUTION * abs(value):
                    break
                share /= 2.0
            else:
                damping = max(10.0 * damping, LEAST_DAMPING)
                continue
            length = abs(step[0]) * reach + np.ptp(step[1:])
            converged = damping == 0.0 and share == 1.0 and length <= STEP_TOLERANCE * (1 + np.ptp(theta[1:]))
            theta = theta + share * step
            value, gradient, hessian = found
            damping = damping / 10.0 if damping > LEAST_DAMPING else 0.0
    theta[1:] -= theta[1:].mean()
    return _Fit(theta, value, hessian, float(np.abs(gradient).max()), n_iter, bool(converged))


def _evaluate(theta, logits, codes, shares) -> tuple[float, np.ndarray, np.ndarray]:
    """F, its gradient (K + 1,) and its Hessian (K + 1, K + 1), some rows at a time."""
    n_classes = logits.shape[1]
    value, gradient, hessian = 0.0, np.zeros(n_classes + 1), np.zeros((n_classes + 1, n_classes + 1))
    for rows in row_blocks(len(codes), 8 * n_classes, 8 << 20):
        z, y, w = logits[rows], codes[rows], shares[rows]
        log_q = rowwise.log_softmax_rows(theta[0] * z + theta[1:])
        q = np.exp(log_q)
        at = np.arange(len(y))
        value -= float(w @ log_q[at, y])
        mean = np.einsum("ij,ij->i", q, z)
        weighted = w[:, None] * q
        centred = z - mean[:, None]
        totals = weighted.sum(axis=0)
        gradient[0] += w @ (mean - z[at, y])
        gradient[1:] += totals - np.bincount(y, w, minlength=n_classes)
        hessian[0, 0] += np.einsum("ij,ij,ij->", weighted, centred, centred)
        hessian[0, 1:] += np.einsum("ij,ij->j", weighted, centred)
        root = np.sqrt(w)[:, None] * q
        hessian[1:, 1:] -= root.T @ root  # of one array with itself BLAS computes half
        hessian[np.arange(1, n_classes + 1), np.arange(1, n_classes + 1)] += totals
    hessian[1:, 0] = hessian[0, 1:]
    return value, gradient, hessian


def _pinned(hessian: np.ndarray) -> np.ndarray:
    """The Hessian with curvature along the common shift of b, along which F is flat."""
    pinned = hessian.copy()
    pinned[1:, 1:] += 1.0 / (len(hessian) - 1)
    return pinned


def _variances(hessian: np.ndarray, size: float) -> np.ndarray:
    """Variances of (β, b) under Σ b = 0: the diagonal of the pseudo-inverse of n H."""
    inverse = cho_solve(cho_factor(_pinned(hessian)), np.eye(len(hessian)))
    n_classes = len(hessian) - 1
    variances = np.diag(inverse).copy()
    variances[1:] -= 1.0 / n_classes  # what the pinned direction, of curvature 1, adds
    return np.maximum(variances, 0.0) / size


def _mean_loss(logits, codes, shares) -> float:
    """−Σ s ln p_y of the predictions as they are, rows made to sum to one."""
    total = 0.0
    for rows in row_blocks(len(codes), 8 * logits.shape[1], 8 << 20):
        log_p = rowwise.log_softmax_rows(logits[rows])
        total -= float(shares[rows] @ log_p[np.arange(len(log_p)), codes[rows]])
    return total


def _check_identified(logits, occur) -> None:
    if len(occur) < 2:
        raise ValueError("Calibration slope and intercept need at least two classes in y_true. Got 1 class instead.")
    if _all_the_same(logits[:, occur]):
        raise ValueError(
            "Calibration slope and intercept need predictions that differ between rows. Got the same y_proba in all"
            " rows."
        )


def _all_the_same(logits: np.ndarray) -> bool:
    """Whether the log-odds of all rows are equal."""
    centred = logits - logits[:, :1]
    return bool((centred == centred[0]).all())


def _separates(scores, codes) -> bool:
    """Whether a threshold on the scores parts two classes, ties at it aside: then the best slope is infinite."""
    positive, negative = scores[codes == 1], scores[codes == 0]
    return bool(positive.min() >= negative.max() or positive.max() <= negative.min())


def _warn(fit: _Fit, separated: bool, absent: list) -> None:
    if separated:
        message = "the predictions separate the two classes, so the best slope is infinite"
    elif absent:
        shown = ", ".join(repr(label) for label in np.asarray(absent[:5]).tolist()) + (", ..." if absent[5:] else "")
        message = f"classes that do not occur in y_true have the intercept -inf: {shown}"
    elif not fit.converged:
        message = (
            f"no maximum was found in {fit.n_iter} steps (gradient {fit.gradient_norm:.2g}): the predictions may"
            " separate some classes, whose intercepts or whose slope then are infinite"
        )
    else:
        return
    warn(f"Calibration slope and intercept: {message}.", ConvergenceWarning)
