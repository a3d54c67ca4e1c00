r"""How far out of distribution inputs are, higher = more out; from scores of a classifier, or from features.

With scores z of K classes, p = softmax(z / T):

======================= ========================================== =======================================
method                  value                                      named by
======================= ========================================== =======================================
``max_softmax``         1 − max_k p_k                              Hendrycks & Gimpel 2017
``max_logit``           −max_k z_k                                 Hendrycks et al. 2022
``energy``              −T log Σ_k exp(z_k / T)                    Liu et al. 2020, eq. 4
``entropy``             −Σ_k p_k log p_k, nats
``generalized_entropy`` Σ_k p_k^γ (1 − p_k)^γ, M largest p         Liu, Lochman & Zach 2023, eq. 3
======================= ========================================== =======================================

**What a temperature does to the ranking** of inputs. ``max_logit``: nothing. ``max_softmax``, ``entropy`` and
``generalized_entropy``: nothing for two classes, where all depend on |z_1 − z_2| alone; for more classes the ranking
changes, by how much T weighs the other classes. ``energy``: T → 0 is ``max_logit``, T → ∞ ranks by −mean z.

Scores of a linear or ReLU network grow along any ray that leaves the data, so all of these end up calling such inputs
certain; distances to the training data do not. See :func:`~sksoft.metrics.far_field_report`.
"""

from numbers import Integral, Real

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize as unit_length
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from sksoft._validation import check_sample_weight
from sksoft.kernels import rowwise
from sksoft.kernels.blocks import row_blocks
from sksoft.metrics.labels import encode_labels, sorted_labels
from sksoft.metrics.predictions import check_probabilities

METHODS = ("max_softmax", "max_logit", "energy", "entropy", "generalized_entropy")
NEED_LOGITS = ("max_logit", "energy")
INPUTS = ("logits", "proba")


def ood_scores(
    scores, *, method="max_softmax", input="logits", temperature=1.0, gamma=0.1, n_largest=None
) -> np.ndarray:
    """How far out of distribution each input is by the scores a classifier gave it: higher = more out.

    Parameters
    ----------
    scores : array-like (n, K) or (n,)
        Scores of the classes (−inf excludes a class), or probabilities. One-dimensional scores z are those of two
        classes, (0, z); one-dimensional probabilities are of the positive class.
    method : {'max_softmax', 'max_logit', 'energy', 'entropy', 'generalized_entropy'}, default='max_softmax'
        See the table at the top of this module [1]_ [2]_ [3]_ [4]_. ``'max_logit'`` and ``'energy'`` need scores:
        probabilities have lost what they look at.
    input : {'logits', 'proba'}, default='logits'
        What `scores` are; never guessed.
    temperature : float, positive and finite, default=1.0
        Divides the scores (of probabilities: their logarithms). No effect on ``'max_logit'``.
    gamma : float in (0, 1), default=0.1
        Exponent of ``'generalized_entropy'``.
    n_largest : int >= 1, optional
        How many of the largest probabilities ``'generalized_entropy'`` takes; all by default.

    Returns
    -------
    out : ndarray (n,) float64
        Signed for ``'max_logit'`` and ``'energy'``, else >= 0. ``1 − max p`` is the sum of the other
        probabilities, so inputs of which the classifier is nearly certain are still told apart.

    Raises
    ------
    ValueError
        For scores or parameters that are not as described, or NaN or +inf in `scores`.

    Notes
    -----
    O(nK) time in blocks of rows, O(n) memory.

    References
    ----------
    .. [1] D. Hendrycks, K. Gimpel, "A baseline for detecting misclassified and out-of-distribution examples in neural
       networks", ICLR 2017.
    .. [2] D. Hendrycks et al., "Scaling out-of-distribution detection for real-world settings", ICML 2022.
    .. [3] W. Liu, X. Wang, J. Owens, Y. Li, "Energy-based out-of-distribution detection", NeurIPS 2020, eq. 4.
    .. [4] X. Liu, Y. Lochman, C. Zach, "GEN: pushing the limits of softmax-based out-of-distribution detection", CVPR
       2023, eq. 3.

    Examples
    --------
    >>> from sksoft.metrics import ood_scores
    >>> logits = [[8.0, 0.0, 0.0], [1.0, 0.5, 0.5]]
    >>> ood_scores(logits).round(3)
    array([0.001, 0.548])
    >>> ood_scores(logits, method="energy").round(3)
    array([-8.001, -1.794])
    """
    _check_parameters(method, input, temperature, gamma, n_largest)
    rows = checked_scores(scores, input)
    out = np.empty(len(rows))
    for block in row_blocks(len(rows), rows.shape[1] * 8):
        out[block] = _block_scores(rows[block], method, input, float(temperature), gamma, n_largest)
    return out


def mahalanobis_scores(X_train, y_train, X, *, relative=False, shrinkage=0.0, sample_weight=None) -> np.ndarray:
    """Squared Mahalanobis distance to the nearest class mean, with one covariance for all classes [1]_.

    ``min_k (x − μ_k)ᵀ Σ⁻¹ (x − μ_k)`` with ``Σ = Σ_i w_i (x_i − μ_{y_i})(x_i − μ_{y_i})ᵀ / Σ w_i``, higher = more out.

    Parameters
    ----------
    X_train : array-like (m, p)
        Features of the training data: columns, or activations of a network.
    y_train : array-like (m,)
        Their labels, of any type.
    X : array-like (n, p)
        Features of the inputs to judge.
    relative : bool, default=False
        Subtract the distance to the mean of all rows under the covariance of all rows [2]_; may be negative.
    shrinkage : float in [0, 1], default=0.0
        Σ becomes ``(1 − s) Σ + s tr(Σ)/p I``: for directions in which the training data hardly vary.
    sample_weight : array-like (m,), optional
        Of the training data. Weight 2 equals repetition and weight 0 removal.

    Returns
    -------
    out : ndarray (n,) float64
        In units of variances: on average about p, for inputs that are like the training data of their class.

    Raises
    ------
    ValueError
        For bad input, or a covariance that is singular: pass `shrinkage`.

    Notes
    -----
    O((m + n) p² + p³ + nKp) time, in blocks of rows.

    References
    ----------
    .. [1] K. Lee, K. Lee, H. Lee, J. Shin, "A simple unified framework for detecting out-of-distribution samples and
       adversarial attacks", NeurIPS 2018, eq. 1 and 2.
    .. [2] J. Ren et al., "A simple fix to Mahalanobis distance for improving near-OOD detection", arXiv 2106.09022
       (2021), eq. 3.

    Examples
    --------
    >>> from sksoft.metrics import mahalanobis_scores
    >>> X_train = [[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0], [9.0, 0.0], [11.0, 2.0], [9.0, 2.0], [11.0, 0.0]]
    >>> mahalanobis_scores(X_train, list("aaaabbbb"), [[1.0, 1.0], [10.0, 4.0], [5.5, 1.0]])
    array([ 0.  ,  9.  , 20.25])
    """
    X_train, X, weights = _checked_features(X_train, X, sample_weight)
    if isinstance(shrinkage, bool) or not isinstance(shrinkage, Real) or not 0 <= float(shrinkage) <= 1:
        raise ValueError(f"The 'shrinkage' parameter must be a float in [0, 1]. Got {shrinkage!r} instead.")
    y_train = column_or_1d(y_train)
    check_consistent_length(X_train, y_train)
    kept = weights > 0
    X_train, y_train, weights = X_train[kept], y_train[kept], weights[kept]
    codes = encode_labels(y_train, sorted_labels(y_train))
    near = _Gaussians(X_train, codes, weights, float(shrinkage))
    out = near.distances(X)
    if relative:
        out -= _Gaussians(X_train, np.zeros(len(codes), dtype=np.intp), weights, float(shrinkage)).distances(X)
    return out


def neighbor_scores(X_train, X, *, n_neighbors=50, normalize=True, sample_weight=None) -> np.ndarray:
    """Distance to the k-th nearest row of the training data [1]_: higher = more out.

    Parameters
    ----------
    X_train : array-like (m, p)
        Features of the training data.
    X : array-like (n, p)
        Features of the inputs to judge. A row that is itself in `X_train` is its own first neighbour.
    n_neighbors : int >= 1, default=50
        k; at most the number of training rows.
    normalize : bool, default=True
        Bring all rows to unit length first, as [1]_ does with activations of a network. Pass False for columns of a
        table, whose length says something: a ray leaving the data is not seen otherwise.
    sample_weight : array-like (m,), optional
        Whole numbers: a training row counts as that many neighbours.

    Returns
    -------
    out : ndarray (n,) float64
        Euclidean.

    Raises
    ------
    ValueError
        For bad input, or fewer training rows than `n_neighbors`.

    Notes
    -----
    scikit-learn's ``NearestNeighbors``: trees for few columns, else O(nmp) time in blocks.

    References
    ----------
    .. [1] Y. Sun, Y. Ming, X. Zhu, Y. Li, "Out-of-distribution detection with deep nearest neighbors", ICML 2022.

    Examples
    --------
    >>> from sksoft.metrics import neighbor_scores
    >>> neighbor_scores([[0.0], [1.0], [2.0]], [[1.0], [5.0]], n_neighbors=2, normalize=False)
    array([1., 4.])
    """
    X_train, X, weights = _checked_features(X_train, X, sample_weight)
    if isinstance(n_neighbors, bool) or not isinstance(n_neighbors, Integral) or n_neighbors < 1:
        raise ValueError(f"The 'n_neighbors' parameter must be an int >= 1. Got {n_neighbors!r} instead.")
    if (weights != np.floor(weights)).any():
        raise ValueError("The 'sample_weight' parameter must hold whole numbers: how often a row counts.")
    if n_neighbors > weights.sum():
        raise ValueError(
            f"The 'n_neighbors' parameter must not exceed the number of training rows. Got {n_neighbors} for "
            f"{weights.sum():g} rows instead."
        )
    X_train, weights = X_train[weights > 0], weights[weights > 0]
    if normalize:
        X_train, X = unit_length(X_train), unit_length(X)
    if sample_weight is None:
        index = NearestNeighbors(n_neighbors=int(n_neighbors)).fit(X_train)
        return index.kneighbors(X)[0][:, -1].astype(np.float64)
    index = NearestNeighbors(n_neighbors=min(int(n_neighbors), len(X_train))).fit(X_train)
    distances, rows = index.kneighbors(X)
    reached = np.cumsum(weights[rows], axis=1) >= n_neighbors
    return np.take_along_axis(distances, reached.argmax(axis=1)[:, None], axis=1)[:, 0].astype(np.float64)


class _Gaussians:
    """Class means under one covariance."""

    def __init__(self, X, codes, weights, shrinkage):
        counts = np.bincount(codes, weights)
        self.centre = np.average(X, axis=0, weights=weights)
        X = X - self.centre
        self.means = np.stack([np.bincount(codes, weights * column) for column in X.T], axis=1) / counts[:, None]
        scatter = np.zeros((X.shape[1], X.shape[1]))
        for block in row_blocks(len(X), X.shape[1] * 8):
            residuals = X[block] - self.means[codes[block]]
            scatter += (residuals * weights[block, None]).T @ residuals
        covariance = scatter / weights.sum()
        covariance *= 1 - shrinkage
        covariance.flat[:: len(covariance) + 1] += shrinkage * np.trace(scatter) / weights.sum() / len(covariance)
        self.factor = _cholesky(covariance)
        self.white_means = solve_triangular(self.factor, self.means.T, lower=True).T

    def distances(self, X) -> np.ndarray:
        """Squared distance to the nearest mean, (n,)."""
        out = np.empty(len(X))
        half_norms = 0.5 * np.einsum("kp,kp->k", self.white_means, self.white_means)
        for block in row_blocks(len(X), (X.shape[1] + len(self.means)) * 8):
            white = solve_triangular(self.factor, (X[block] - self.centre).T, lower=True).T
            nearest = (white @ self.white_means.T - half_norms).argmax(axis=1)
            white -= self.white_means[nearest]  # the difference itself: the expanded square would cancel
            out[block] = np.einsum("np,np->n", white, white)
        return out


def _cholesky(covariance) -> np.ndarray:
    """Lower factor; ValueError where the covariance is singular to rounding."""
    scale = np.sqrt(np.diag(covariance))
    regular = bool((scale > 0).all())
    if regular:
        eigenvalues = np.linalg.eigvalsh(covariance / scale / scale[:, None])
        regular = eigenvalues[0] > len(scale) * np.finfo(np.float64).eps * eigenvalues[-1]
    if not regular:
        raise ValueError(
            "The covariance of X_train within classes is singular: a column, or a combination of columns, does not "
            "vary there. Remove it, or pass a positive 'shrinkage'."
        )
    return np.linalg.cholesky(covariance)


def _block_scores(rows, method, input, temperature, gamma, n_largest) -> np.ndarray:
    if method == "max_logit":
        return -rows.max(axis=1).astype(np.float64)
    if method == "energy":
        return -temperature * rowwise.logsumexp_rows(rows.astype(np.float64), temperature=temperature)
    proba = _distribution(rows.astype(np.float64), input, temperature)
    # What is left beside the largest probability, summed: 1 − max p would be 0 for all that are nearly certain.
    top = proba.argmax(axis=1)[:, None]
    largest = np.take_along_axis(proba, top, axis=1)[:, 0]
    np.put_along_axis(proba, top, 0.0, axis=1)
    others = np.minimum(proba.sum(axis=1), 1.0 - 1.0 / proba.shape[1])
    if method == "max_softmax":
        return others
    if method == "entropy":
        return rowwise.entropy_rows(proba) - largest * np.log1p(-others)
    products = proba * (1.0 - proba)
    np.put_along_axis(products, top, (largest * others)[:, None], axis=1)
    products **= gamma
    if n_largest is not None and n_largest < proba.shape[1]:
        np.put_along_axis(proba, top, 1.0, axis=1)
        chosen = np.argpartition(-proba, n_largest - 1, axis=1)[:, :n_largest]
        products = np.take_along_axis(products, chosen, axis=1)
    return products.sum(axis=1)


def _distribution(rows, input, temperature) -> np.ndarray:
    """softmax(rows / T), or probabilities at that temperature, summing to 1."""
    if input == "logits":
        return rowwise.softmax_rows(rows, temperature=temperature)
    if temperature == 1.0:
        return rows / rows.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        return rowwise.softmax_rows(np.log(rows), temperature=temperature)


def _check_parameters(method, input, temperature, gamma, n_largest):
    for name, value, known in (("method", method, METHODS), ("input", input, INPUTS)):
        if value not in known:
            raise ValueError(f"The {name!r} parameter must be one of {known}. Got {value!r} instead.")
    if input == "proba" and method in NEED_LOGITS:
        raise ValueError(f"method={method!r} needs input='logits': probabilities have lost the level of the scores.")
    if isinstance(temperature, bool) or not isinstance(temperature, Real) or not 0 < float(temperature) < np.inf:
        raise ValueError(f"The 'temperature' parameter must be a positive, finite float. Got {temperature!r} instead.")
    if isinstance(gamma, bool) or not isinstance(gamma, Real) or not 0 < float(gamma) < 1:
        raise ValueError(f"The 'gamma' parameter must be a float in (0, 1). Got {gamma!r} instead.")
    if n_largest is not None and (isinstance(n_largest, bool) or not isinstance(n_largest, Integral) or n_largest < 1):
        raise ValueError(f"The 'n_largest' parameter must be an int >= 1 or None. Got {n_largest!r} instead.")


def checked_scores(scores, input) -> np.ndarray:
    """(n, K) numbers."""
    if input not in INPUTS:
        raise ValueError(f"The 'input' parameter must be one of {INPUTS}. Got {input!r} instead.")
    if np.asarray(scores).dtype.kind not in "biufO":
        raise ValueError(f"The 'scores' parameter must hold numbers. Got dtype {np.asarray(scores).dtype} instead.")
    if input == "proba":
        proba = check_probabilities(scores)
        return np.column_stack([1 - proba, proba]) if proba.ndim == 1 else proba
    rows = check_array(
        scores, dtype=[np.float64, np.float32], ensure_2d=False, ensure_all_finite=False, input_name="scores"
    )
    if rows.ndim == 1:
        rows = np.column_stack([np.zeros_like(rows), rows])
    if rows.ndim != 2 or rows.shape[1] < 2:
        raise ValueError(
            "scores must have shape (n_samples,) or (n_samples, n_classes) with at least two classes. Got shape "
            f"{rows.shape} instead."
        )
    highest = rows.max(axis=1)  # NaN and +inf show in the maximum; −inf there says that no class is left
    if not np.isfinite(highest).all():
        row = int(np.argmin(np.isfinite(highest)))
        raise ValueError(f"scores contains NaN or infinity: row {row} is {rows[row]}.")
    return rows


def _checked_features(X_train, X, sample_weight):
    X_train = check_array(X_train, dtype=np.float64, input_name="X_train")
    X = check_array(X, dtype=np.float64, input_name="X")
    if X.shape[1] != X_train.shape[1]:
        raise ValueError(f"X has {X.shape[1]} features, but X_train has {X_train.shape[1]} features.")
    return X_train, X, check_sample_weight(sample_weight, X_train)
