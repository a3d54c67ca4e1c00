"""Routing between capsules: children send their votes to the parents that agree with them."""

import math
from numbers import Integral

import numpy as np

from sksoft.functional.array_input import array_beside
from sksoft.functional.softmax import softmax
from sksoft.kernels import placement
from sksoft.kernels.registry import placed


def routing_by_agreement(votes, n_iter=3, *, log_prior=None, return_coupling=False):
    r"""Dynamic routing between capsules ([1]_, procedure 1).

    Each of n children shares itself out among m parents by a softmax of its logits b, which start at the prior and grow
    by the agreement of its vote with what the parent became::

        c_i = softmax(b_i)     s_j = Σ_i c_ij û_ij     v_j = ‖s_j‖² / (1 + ‖s_j‖²) · s_j / ‖s_j‖     b_ij += ⟨û_ij, v_j⟩

    Parameters
    ----------
    votes : array-like of shape (..., n, m, d)
        û_ij, what child i predicts parent j to be: finite. Leading axes are cases on their own. Votes on a CUDA device
        are routed there, and what comes back is of their kind.
    n_iter : int >= 1, default=3
        Rounds; one is the prior's shares.
    log_prior : array-like broadcastable to (..., n, m), default=None
        Where b starts, in nats; zeros by default. −inf keeps a child from a parent.
    return_coupling : bool, default=False
        Whether the shares of the last round are wanted, too.

    Returns
    -------
    parents : ndarray of shape (..., m, d)
        v, vectors shorter than one.
    coupling : ndarray of shape (..., n, m)
        c, rows sum to one. Only where `return_coupling`.

    Raises
    ------
    ValueError
        If `votes` has fewer than three axes, no parent, or is not finite, `log_prior` does not fit, leaves a child no
        parent or holds NaN, or `n_iter` is no positive integer.

    Notes
    -----
    O(n m d) time a round for each case. float32 votes are routed in float32.

    References
    ----------
    .. [1] Sabour, Frosst, Hinton, "Dynamic routing between capsules", NeurIPS 2017.

    Examples
    --------
    Two of three children agree on what the first parent is; the third child's vote for it is another:

    >>> import numpy as np
    >>> from sksoft.functional import routing_by_agreement
    >>> votes = np.array([[[2.0, 0.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]], [[-2.0, 0.0], [1.0, 1.0]]])
    >>> parents, coupling = routing_by_agreement(votes, return_coupling=True)
    >>> coupling.round(2)
    array([[0.84, 0.16],
           [0.84, 0.16],
           [0.01, 0.99]])
    """
    like, votes = votes, array_beside("votes", placed(votes, "routing_by_agreement"))
    if votes.dtype.kind not in "biuf" or votes.ndim < 3:
        raise ValueError(
            "The 'votes' parameter must be real numbers of shape (..., n_children, n_parents, n_dimensions). Got"
            f" {votes.dtype} of shape {votes.shape} instead."
        )
    if votes.shape[-2] == 0:
        raise ValueError(f"The 'votes' parameter must be for at least one parent. Got shape {votes.shape} instead.")
    votes = votes if votes.dtype == np.float32 else votes.astype(np.float64)
    if not np.isfinite(votes).all():
        raise ValueError("The 'votes' parameter must be finite. Got NaN or infinity instead.")
    if not isinstance(n_iter, Integral) or isinstance(n_iter, bool) or n_iter < 1:
        raise ValueError(f"The 'n_iter' parameter must be an int >= 1. Got {n_iter!r} instead.")
    logits = _first_logits(log_prior, votes)
    # In units of a power of two, so that no sum overflows and no digit changes.
    unit = math.ldexp(1.0, math.frexp((float(np.abs(votes).max()) if votes.size else 0.0) or 1.0)[1] - 1)
    votes, most = votes / unit, np.finfo(votes.dtype).max / (int(n_iter) + 1)
    for _ in range(int(n_iter) - 1):
        parents = _parents(softmax(logits), votes, unit)
        with np.errstate(over="ignore"):
            logits += np.clip(unit * np.einsum("...nmd,...md->...nm", votes, parents), -most, most)
    coupling = softmax(logits)
    parents = _parents(coupling, votes, unit)
    parents, coupling = placement.beside(parents, like), placement.beside(coupling, like)
    return (parents, coupling) if return_coupling else parents


def _first_logits(log_prior, votes: np.ndarray) -> np.ndarray:
    if log_prior is None:
        return placement.namespace(votes).zeros(votes.shape[:-1], votes.dtype)
    prior = array_beside("log_prior", log_prior, votes)
    if prior.dtype.kind not in "biuf":
        raise ValueError(f"The 'log_prior' parameter must be real numbers. Got an array of {prior.dtype} instead.")
    if np.isnan(prior).any() or (prior == np.inf).any():
        raise ValueError("The 'log_prior' parameter must hold numbers below infinity. Got NaN or infinity instead.")
    ends = np.finfo(votes.dtype)
    prior = np.where(prior == -np.inf, prior, np.clip(prior.astype(np.float64), ends.min, ends.max)).astype(votes.dtype)
    try:
        logits = np.broadcast_to(prior, votes.shape[:-1]).copy()
    except ValueError:
        raise ValueError(
            f"The 'log_prior' parameter must be broadcastable to {votes.shape[:-1]}. Got shape {prior.shape} instead."
        ) from None
    if (logits == -np.inf).all(axis=-1).any():
        raise ValueError("The 'log_prior' parameter must leave every child a parent. Got rows of -inf only.")
    return logits


def _parents(coupling: np.ndarray, votes: np.ndarray, unit) -> np.ndarray:
    """What parents become of votes, in a unit, in these shares: their sum, shortened below one."""
    sums = np.einsum("...nm,...nmd->...md", coupling, votes)
    largest = np.abs(sums).max(axis=-1, keepdims=True) if votes.shape[-1] else np.zeros_like(sums, shape=())
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        directions = np.where(largest > 0.0, sums / largest, 0.0)
        norms = np.sqrt(np.sum(directions**2, axis=-1, keepdims=True))
        lengths = 1.0 / (1.0 + (unit * (largest * norms)) ** -2)
        return np.where(largest > 0.0, directions / norms * lengths, 0.0).astype(votes.dtype)
