r"""Coordinate descent on the quadratic model of a softmax loss, feature by feature.

Around scores z the loss of weighted rows is, for changes u of the scores and up to third order,

    Σᵢ aᵢ ⟨pᵢ − tᵢ, uᵢ⟩ + ½ Σᵢ aᵢ (Σ_k p_ik u_ik² − mᵢ²),        mᵢ = Σ_k p_ik u_ik,

and u_k = X d_k is linear in the change d_k of class k's coefficients. Within class k the model is a weighted least
squares problem [1]_: with rᵢ = aᵢ p_ik (u_ik − mᵢ) and cᵢ = aᵢ p_ik (1 − p_ik), moving the coefficient of column x by δ
moves its slope ⟨x, r⟩ by δ Σ cᵢ xᵢ². So a step reads one column and one vector of n numbers, which stay in the cache
for all columns of the class. Between classes only u and m are carried.

Conventions
-----------
* Rows stand class by class: ``proba`` and ``scores`` are (R, n), one run of n numbers for each of the R classes that
  have coefficients.
* ``columns`` is ``(values,)`` with values (c, n) dense, column j of X in ``values[j]``; or ``(indptr, indices,
  values)``, X in CSC order. C-contiguous.
* Coordinates are listed class by class: those of class k are ``starts[k]:starts[k + 1]``, and coordinate s is the
  coefficient of column ``members[s]``.
* A coordinate's penalty is l1 |x| + ½ l2 x² on the interval [lower, upper], which holds 0.
* All arrays are float64.

References
----------
.. [1] Friedman, Hastie, Tibshirani, "Regularization paths for generalized linear models via coordinate descent",
   J. Stat. Softw. 33(1), 2010.
.. [2] Simon, Friedman, Hastie, "A blockwise descent algorithm for group-penalized multiresponse and multinomial
   regression", arXiv:1311.6529, 2013, section 2.
"""

import numpy as np

from sksoft.kernels.registry import kernel


def column(columns, j):
    """Rows (a slice or indices) and values of column j."""
    if len(columns) == 1:
        return slice(None), columns[0][j]
    indptr, indices, values = columns
    stored = slice(indptr[j], indptr[j + 1])
    return indices[stored], values[stored]


def shrunk(target, l1):
    """The soft threshold: sign(target) · max(|target| − l1, 0)."""
    return np.sign(target) * np.maximum(np.abs(target) - l1, 0.0)


@kernel()
def coordinate_sweep(
    proba, weights, slopes, curvature, *, columns, members, starts, l1, l2, lower, upper, position, scores, mean
):
    """Minimise the model along each coordinate once, in order.

    Parameters
    ----------
    proba : IN ndarray (R, n), float64
        p_ik.
    weights : IN ndarray (n,), float64
        aᵢ.
    slopes : IN ndarray (m,), float64
        Slopes of the loss where u = 0.
    curvature : IN ndarray (m,), float64
        Σ cᵢ xᵢ² of each coordinate, or more; a coordinate without curvature and l2 stays.
    columns, members, starts
        The coordinates, as the module says; members (m,) and starts (R + 1,) are intp.
    l1, l2, lower, upper : IN ndarray (m,), float64
        Penalties.
    position : IN, OUT ndarray (m,), float64
        Coefficients.
    scores : IN, OUT ndarray (R, n), float64
        u_ik.
    mean : IN, OUT ndarray (n,), float64
        mᵢ.

    Returns
    -------
    decrement : float
        Σ (curvature + l2) δ² over the steps taken: twice the decrease, in a model without the l1.
    """
    decrement = 0.0
    for k in range(len(proba)):
        residual, bend = _opened(proba[k], weights, scores[k], mean)
        for s in range(starts[k], starts[k + 1]):
            total = curvature[s] + l2[s]
            if not total > 0.0:
                continue
            rows, x = column(columns, members[s])
            slope = slopes[s] + np.dot(x, residual[rows])
            reached = shrunk(curvature[s] * position[s] - slope, l1[s]) / total
            delta = min(max(reached, lower[s]), upper[s]) - position[s]
            if delta != 0.0:
                position[s] += delta
                decrement += total * delta * delta
                residual[rows] += bend[rows] * (x * delta)
                scores[k, rows] += x * delta
        mean += proba[k] * scores[k]
    return decrement


def _opened(proba, weights, scores, mean):
    """Residuals r and bends c of a class, whose share is taken out of `mean` until its scores are final."""
    share = weights * proba
    residual = share * (scores - mean)
    mean -= proba * scores
    return residual, share * (1.0 - proba)


@kernel()
def group_sweep(proba, weights, slopes, curvature, *, columns, members, l1, l2, lower, upper, position, scores, mean):
    """Minimise a bound of the model over each group once, in order: a group is a column's coefficients for all rows.

    Within a group the model's Hessian is at most `curvature` times the identity, and with that a step has a closed
    form: a threshold of the group's norm [2]_.

    Parameters
    ----------
    proba : IN ndarray (R, n), float64
        p_ik.
    weights : IN ndarray (n,), float64
        aᵢ.
    slopes : IN ndarray (R, m), float64
        Slopes of the loss where u = 0.
    curvature : IN ndarray (m,), float64
        A bound of the model's curvature in each group; a group without curvature and l2 stays.
    columns
        As the module says.
    members : IN ndarray (m,), intp
        Columns.
    l1, l2 : IN ndarray (m,), float64
        Penalty l1 ‖x‖₂ + ½ l2 ‖x‖² of each group.
    lower, upper : IN ndarray (R, m), float64
    position : IN, OUT ndarray (R, m), float64
        Coefficients.
    scores : IN, OUT ndarray (R, n), float64
        u_ik.
    mean : IN, OUT ndarray (n,), float64
        mᵢ.

    Returns
    -------
    decrement : float
        Σ (curvature + l2) ‖δ‖² over the steps taken.
    """
    decrement = 0.0
    share = proba * weights
    residual = share * (scores - mean)
    for s in range(len(members)):
        total = curvature[s] + l2[s]
        if not total > 0.0:
            continue
        rows, x = column(columns, members[s])
        target = curvature[s] * position[:, s] - (slopes[:, s] + residual[:, rows] @ x)
        target = np.clip(target, lower[:, s], upper[:, s])
        norm = np.sqrt(np.dot(target, target))
        factor = max(norm - l1[s], 0.0) / (norm * total) if norm > 0.0 else 0.0
        delta = factor * target - position[:, s]
        if delta.any():
            position[:, s] += delta
            decrement += total * float(np.dot(delta, delta))
            change = np.multiply.outer(delta, x)
            shift = delta @ proba[:, rows] * x
            scores[:, rows] += change
            mean[rows] += shift
            residual[:, rows] += share[:, rows] * (change - shift)
    return decrement


@kernel()
def combine_columns(coefficients, *, columns, members, starts, out):
    """``out_k = Σ_s coefficients_s · x_s`` over the coordinates of each class.

    Parameters
    ----------
    coefficients : IN ndarray (m,), float64
    columns, members, starts
        As for :func:`coordinate_sweep`.
    out : OUT ndarray (R, n), float64

    Returns
    -------
    out : ndarray (R, n)
    """
    out[...] = 0.0
    for k in range(len(out)):
        for s in range(starts[k], starts[k + 1]):
            if coefficients[s] != 0.0:
                rows, x = column(columns, members[s])
                out[k, rows] += x * coefficients[s]
    return out


@kernel()
def project_on_columns(vectors, *, columns, members, starts, squared=False):
    """``⟨x_s, v_k⟩`` of each coordinate, or ``⟨x_s², v_k⟩``.

    Parameters
    ----------
    vectors : IN ndarray (R, n), float64
    columns, members, starts
        As for :func:`coordinate_sweep`.
    squared : bool, default=False
        Whether the columns' entries are squared.

    Returns
    -------
    slopes : ndarray (m,), float64
    """
    out = np.empty(len(members))
    for k in range(len(vectors)):
        for s in range(starts[k], starts[k + 1]):
            rows, x = column(columns, members[s])
            out[s] = np.dot(np.square(x) if squared else x, vectors[k, rows])
    return out
