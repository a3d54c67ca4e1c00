r"""Weights of a mixture by maximum likelihood: Newton steps on the simplex, stopped by a proved bound.

Of n densities q_i = (q_i1 … q_iM) ≥ 0 the weights w maximise, with Σ sᵢ = 1,

    F(w) = Σᵢ sᵢ log(qᵢ · w)        over w ≥ 0, Σ w = 1

which is concave. With the slopes g_m = Σᵢ sᵢ q_im / (qᵢ · w), every w with F(w) finite has [1]_

    max F − F(w) ≤ max_m g_m − 1

because log x ≤ x − 1 and Σ_m w_m g_m = 1. That bound is the certificate.

The constraint Σ w = 1 is dropped for a term −Σ w, which has the same maximum [2]_. A step maximises the quadratic model
over w ≥ 0, where H w = g makes it a non-negative least-squares problem. Where no fraction of the step helps, one of
expectation–maximisation, w_m ← w_m g_m, does: it never decreases F.

References
----------
.. [1] Lindsay, "The geometry of mixture likelihoods: a general theory", Annals of Statistics 11, 1983, theorem 4.1.
.. [2] Kim, Carbonetto, Stephens, Anitescu, "A fast algorithm for maximum likelihood estimation of mixture proportions
   using sequential quadratic programming", J. Comput. Graph. Stat. 29, 2020, proposition 3.2.
"""

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.optimize import nnls

from sksoft.solvers.certificate import Certificate, Reason, Solution

# Slopes are sums of non-negative terms; what rounding may have taken from the largest.
ROUNDING = 64 * np.finfo(np.float64).eps
# Share of the mean curvature that is added to it, so that components alike do not make it singular.
PROXIMAL = 1e-11
# Expectation–maximisation from equal weights, until Newton's model means something.
FIRST_STEPS = 3
SUFFICIENT_DECREASE = 1e-4
MAX_BACKTRACKS = 20


def mixture_weights(mixture, *, tol: float = 1e-10, max_iter: int = 100) -> Solution:
    """Maximum-likelihood weights of known components.

    Parameters
    ----------
    mixture
        Of the rows, wherever these live: ``n_components``, ``at(w)`` with −F and the slopes g, and ``curvature(w)``
        with −∇²F, see ``objective.mixture``.
    tol : float >= 0
        Stop when the bound on max F − F(w) is at most `tol` nats a row; then one more step is taken.
    max_iter : int >= 1

    Returns
    -------
    solution : Solution
        ``w`` sums to one, ``value`` is −F(w) with the rows' own scale, ``gradient_norm`` is max |w (g − 1)|.

    Notes
    -----
    O(n M²) time per iteration, of which there are about 5 to 15; O(M²) memory beside the input.
    """
    w = np.full(mixture.n_components, 1.0 / mixture.n_components)
    for _ in range(FIRST_STEPS):
        w = _normalised(w * mixture.at(w)[1])
    value, slopes = mixture.at(w)
    n_iter = 0
    stopped_by: Reason = "max_iter"
    while n_iter < max_iter:
        last = slopes.max() - 1.0 <= tol
        trial, trial_value, trial_slopes = _step(mixture, w, value, slopes)
        n_iter += 1
        better = trial_slopes.max() < slopes.max()
        if (last or trial_value >= value) and not better:
            stopped_by = "tolerance" if last else "precision"
            break
        w, value, slopes = trial, trial_value, trial_slopes
        if last:
            stopped_by = "tolerance"
            break
    gap = float(max(slopes.max() - 1.0, 0.0) + ROUNDING)
    return Solution(
        w=w,
        value=value,
        gradient_norm=float(np.abs(w * (slopes - 1.0)).max()),
        certificate=Certificate("gap", gap),
        n_iter=n_iter,
        n_products=0,
        converged=bool(gap <= max(tol, 2.0 * ROUNDING)),
        stopped_by=stopped_by,
    )


def _step(mixture, w, value, slopes) -> tuple[np.ndarray, float, np.ndarray]:
    """Better weights, −F and the slopes there."""
    H = mixture.curvature(w)
    proximal = PROXIMAL * np.trace(H) / len(H)
    H[np.diag_indices_from(H)] += proximal
    model = _non_negative(H, 2.0 * slopes - 1.0 + proximal * w)
    direction = np.zeros_like(w) if model is None else model - w
    promised = float((slopes - 1.0) @ direction)
    t = 1.0
    for _ in range(MAX_BACKTRACKS if promised > 0.0 else 0):
        trial = _normalised(np.maximum(w + t * direction, 0.0))
        trial_value, trial_slopes = mixture.at(trial)
        # a decrease below the rounding of F is judged by the certificate
        enough = value - trial_value >= SUFFICIENT_DECREASE * t * promised
        if enough or (t == 1.0 and trial_slopes.max() < slopes.max() and np.isfinite(trial_value)):
            return trial, trial_value, trial_slopes
        t *= 0.5
    trial = _normalised(w * slopes)
    return trial, *mixture.at(trial)


def _normalised(w):
    return w / w.sum()


def _non_negative(H, b) -> np.ndarray | None:
    """argmin ½ vᵀHv − bᵀv over v ≥ 0, H positive definite; None where rounding keeps it from being found."""
    try:
        upper = cholesky(H)
        return nnls(upper, solve_triangular(upper, b, trans="T"))[0]
    except (LinAlgError, RuntimeError):
        return None


def mixture_errors(mixture, w) -> np.ndarray:
    """Standard errors of maximum-likelihood weights, times √n: from the observed information where w > 0.

    Parameters
    ----------
    mixture
        As of :func:`mixture_weights`.
    w : ndarray (M,)
        Where the likelihood is largest.

    Returns
    -------
    errors : ndarray (M,)
        Square roots of the diagonal of N (Nᵀ H N)⁻¹ Nᵀ, with H = Σ sᵢ qᵢ qᵢᵀ / (qᵢ · w)² and the columns of N spanning
        the changes of positive weights that sum to zero. inf where the rows do not tell components apart, nan where a
        weight is zero: it is at its bound, and its error is not normal.
    """
    errors = np.full(len(w), np.nan)
    some = np.flatnonzero(w > 0.0)
    H = mixture.curvature(w)[np.ix_(some, some)]
    tangent = np.linalg.qr(np.column_stack([np.ones(len(some)), np.eye(len(some))[:, 1:]]))[0][:, 1:]
    information, directions = np.linalg.eigh(tangent.T @ H @ tangent)
    loadings = (tangent @ directions) ** 2
    if len(information):
        known = information > PROXIMAL * information.max()
        variances = loadings[:, known] @ (1.0 / information[known])
        unknown = loadings[:, ~known].sum(axis=1) > np.sqrt(ROUNDING)
        errors[some] = np.where(unknown, np.inf, np.sqrt(variances))
    else:
        errors[some] = 0.0
    return errors
