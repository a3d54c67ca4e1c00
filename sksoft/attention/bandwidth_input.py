"""What the user says of kernel, bandwidth, metric and sparsity, as both estimators take it."""

from dataclasses import replace
from numbers import Integral, Real

import numpy as np

from sksoft._validation import Interval, StrOptions
from sksoft.attention.bandwidth import Bandwidth, choose_bandwidth
from sksoft.attention.bandwidth_search import RIDGE_RANGE
from sksoft.attention.heads import Heads
from sksoft.attention.smoothers import SMOOTHERS

# For `_parameter_constraints`.
ATTENTION_CONSTRAINTS = {
    "kernel": [StrOptions(set(SMOOTHERS))],
    "bandwidth": [StrOptions({"loo"}), Interval(Real, 0, None, closed="right"), "array-like"],
    "metric": [StrOptions({"auto", "scale", "ard", "linear"})],
    "n_heads": [Interval(Integral, 1, None, closed="left")],
    "standardize": ["boolean"],
    "top_k": [Interval(Integral, 1, None, closed="left"), None],
    "tol": [Interval(Real, 0, 1, closed="left")],
    "empty": [StrOptions({"raise", "nan", "mean"})],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "random_state": ["random_state"],
}


def given_bandwidth(model, X, weights, prior, degree: int) -> Bandwidth:
    """The user's bandwidths, with heads of equal share and no prior.

    Raises
    ------
    ValueError
        For a shape that fits neither the features nor the heads, NaN, or what is not positive.
    """
    p, n_heads = X.shape[1], model.n_heads
    if model.metric == "linear":
        raise ValueError("metric='linear' is learned and needs bandwidth='loo'. Transform X to use a known matrix.")
    try:
        array = np.asarray(model.bandwidth, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The 'bandwidth' parameter must hold numbers: {error}.") from error
    if array.shape not in {(), (p,), (n_heads, p), (n_heads, 1)}:
        raise ValueError(
            f"The 'bandwidth' parameter must be a number, or an array of shape ({p},) or ({n_heads}, {p}) for"
            f" {p} features and n_heads={n_heads}. Got shape {array.shape} instead."
        )
    if not (array > 0.0).all():
        raise ValueError(f"The 'bandwidth' parameter must be positive everywhere. Got {array[~(array > 0.0)][0]:g}.")
    centre = np.zeros(p) if model.kernel == "dot" else np.average(X, axis=0, weights=weights)
    return Bandwidth(
        kernel=model.kernel,
        degree=degree,
        bandwidth=np.broadcast_to(array, (n_heads, p)).copy(),
        transformation=None,
        centre=centre,
        heads=Heads(np.zeros(n_heads), np.full(n_heads, -np.inf), prior),
        ridge=RIDGE_RANGE[0] if degree == 1 else 0.0,
        loss=np.nan,
        gradient_norm=np.nan,
        n_iter=0,
        starts=np.empty(0),
        converged=True,
    )


def chosen_bandwidth(
    model, X, targets, weights, groups, *, metric: str, loss: str, degree: int, like=None
) -> Bandwidth:
    """Bandwidths by leave-one-out in the units of X, of a search in units of each feature's standard deviation.

    Parameters
    ----------
    model : the estimator, for its parameters
    X : ndarray (n, p), float64
    targets : ndarray (n, v), float64
    weights : ndarray (n,) > 0
    groups : ndarray (n,) or None
    metric : {'scale', 'ard', 'linear'}
    loss : {'squared', 'log'}
    degree : {0, 1}
    like : array, optional
        Averages of rows are computed where it lives.
    """
    unit = spread(X, weights) if model.standardize and model.kernel != "dot" else np.ones(X.shape[1])
    chosen = choose_bandwidth(
        X / unit,
        targets,
        weights,
        groups,
        kernel=model.kernel,
        metric=metric,
        loss=loss,
        heads=model.n_heads,
        degree=degree,
        max_iter=model.max_iter,
        random_state=model.random_state,
        like=like,
    )
    if chosen.bandwidth is not None:
        return replace(chosen, bandwidth=chosen.bandwidth * unit, centre=chosen.centre * unit)
    return replace(chosen, transformation=chosen.transformation / unit[:, None], centre=chosen.centre * unit)


def spread(X, weights) -> np.ndarray:
    """Weighted standard deviation of each feature, (p,); one where it is constant up to rounding."""
    total = weights.sum()
    power = np.frexp(np.abs(X).max(axis=0))[1]
    X = np.ldexp(X, -power)  # squares neither vanish nor overflow, and no bit changes
    mean = weights @ X / total
    deviation = np.sqrt(weights @ (X - mean) ** 2 / total)
    constant = deviation <= 10.0 * np.finfo(np.float64).eps * np.abs(X).max(axis=0)
    return np.where(constant, 1.0, np.ldexp(deviation, power))
