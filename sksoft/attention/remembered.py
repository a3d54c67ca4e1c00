"""A fit to rows, kept in an estimator as plain arrays, and what both estimators answer from it.

Fitted attributes that hold it: ``X_fit_, targets_, key_weights_, key_of_, key_share_`` are the keys of
:mod:`sksoft.attention.memory`, and ``bandwidth_, transformation_, centre_, head_weights_, sinks_, prior_, prior_mix_,
ridge_`` the kernel of every head.

They are arrays of the host, whatever the rows were: an X on a device is copied to the host once in a fit, whose
averages of rows are computed on the device; a prediction for rows on a device moves the keys there, once a call.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.utils import check_consistent_length, column_or_1d

from sksoft._validation import check_is_fitted, require_host, validate_data
from sksoft.attention.bandwidth import Bandwidth, effective_dof
from sksoft.attention.bandwidth_input import chosen_bandwidth, given_bandwidth
from sksoft.attention.heads import Heads
from sksoft.attention.intervals import tail_levels
from sksoft.attention.memory import Keys, Memory, canonical_order, keys_of
from sksoft.attention.neighbours import Kept, answers_within, kept_keys
from sksoft.attention.smoothers import ON_DEVICE
from sksoft.kernels import placement
from sksoft.kernels.blocks import row_blocks, serial_blas
from sksoft.objective.feature_input import LARGEST

# Different rows that intervals are judged by.
JUDGED = 2000


def remember(model, X, targets, weights, groups, *, loss: str, degree: int = 0) -> None:
    """Fit to rows with targets (n, v) and weights (n,) >= 0: sets the fitted attributes of the model.

    X is where averages are computed, all else is of the host.

    Raises
    ------
    ValueError
        For features beyond 1e100, in their units or in bandwidths, a bandwidth that is not as it must be, groups of
        another length; and for ``bandwidth='loo'`` without two rows that differ, or with targets that have no squares.
    """
    name = type(model).__name__
    _require_computable(model, X, model.kernel)
    like, X = X, placement.to_host(X)
    _check_size("X", X)
    model._kernel, model._degree = model.kernel, degree
    _require_all_keys(model)
    if groups is not None:
        groups = placement.fetched(groups)
        shape = np.shape(groups)
        if len(shape) != 1 and shape[1:] != (1,):
            raise ValueError(f"groups should be a 1d array, got an array of shape {shape} instead.")
        groups = column_or_1d(groups)
        check_consistent_length(X, groups)
    order = canonical_order(X, targets, weights)
    keys = keys_of(X, targets, weights, order)
    if model.top_k is not None and model.top_k > len(keys.X):
        raise ValueError(
            f"The 'top_k' parameter must be at most the number of different training rows, {len(keys.X)}. Got"
            f" {model.top_k} instead."
        )
    model.n_iter_, model.converged_ = 1, True
    if isinstance(model.bandwidth, str):
        if len(keys.X) < 2:
            raise ValueError(
                f"{name} with bandwidth='loo' needs at least 2 rows that differ, of positive weight. Got"
                f" {len(keys.X)} among n_samples = {len(X)}. Give a bandwidth instead."
            )
        chosen = _search(model, X, targets, weights, groups, keys, loss, degree, like)
    else:
        prior = keys.weights @ keys.targets / keys.weights.sum()
        chosen = given_bandwidth(model, keys.X, keys.weights, prior, degree)
        _check_features(keys.X, chosen.bandwidth)
    _store(model, keys, chosen)


def _search(model, X, targets, weights, groups, keys: Keys, loss: str, degree: int, like) -> Bandwidth:
    """Leave-one-out over rows that differ in features or group, so that order and repetition change no bit."""
    codes, rows = None, keys
    if loss == "squared":
        _check_differences("y", targets[weights > 0.0])
    if model.kernel == "dot" or not model.standardize or metric_of(model) == "linear":
        _check_differences("X", keys.X)
    if groups is not None:
        codes = np.unique(groups[weights > 0.0], return_inverse=True)[1].reshape(-1)
        extended = np.zeros((len(X), X.shape[1] + 1))
        extended[:, :-1], extended[weights > 0.0, -1] = X, codes
        rows = keys_of(extended, targets, weights, canonical_order(extended, targets, weights))
        codes, rows = rows.X[:, -1].astype(np.int64), replace(rows, X=np.ascontiguousarray(rows.X[:, :-1]))
    seen = np.flatnonzero(rows.key_of >= 0)
    how = {"metric": metric_of(model), "loss": loss, "degree": degree, "like": like}
    chosen = chosen_bandwidth(model, rows.X, rows.targets, rows.weights, codes, **how)
    model.loo_score_ = -chosen.loss
    if loss == "squared":  # what rows with the same features differ by, no bandwidth changes
        within = ((targets[seen] - rows.targets[rows.key_of[seen]]) ** 2).sum(axis=1)
        model.loo_score_ -= float(weights[seen] @ within / weights.sum())
    model.gradient_norm_, model.n_iter_ = chosen.gradient_norm, max(chosen.n_iter, 1)
    model.converged_, model.start_scores_ = chosen.converged, -chosen.starts
    model.effective_dof_ = float(effective_dof(chosen, keys.X, keys.targets, keys.weights, like))
    return chosen


def metric_of(model) -> str:
    """What ``metric='auto'`` means: one temperature for inner products, else what predicted best.

    Distributions were best by a linear metric, stopped by rows that are held out: bandwidths of many features fit the
    training rows' log-loss by heart. Squared errors were as good with a bandwidth for each feature, which can be read.
    """
    if model.metric != "auto":
        return model.metric
    if model.kernel == "dot":
        return "scale"
    return "linear" if is_classifier(model) else "ard"


def _store(model, keys: Keys, chosen: Bandwidth) -> None:
    model.X_fit_, model.targets_, model.key_weights_ = keys.X, keys.targets, keys.weights
    model.key_of_, model.key_share_ = keys.key_of, keys.share
    model.transformation_ = chosen.transformation
    if chosen.transformation is not None:
        bandwidth = 1.0 / np.linalg.norm(chosen.transformation, axis=2)
    else:
        bandwidth = np.asarray(chosen.bandwidth)
    model.bandwidth_ = bandwidth[0] if len(bandwidth) == 1 else bandwidth
    model.centre_, model.ridge_ = chosen.centre, chosen.ridge
    heads = chosen.heads
    model.head_weights_, model.sinks_, model.prior_ = heads.mixing, heads.sinks, heads.prior
    model.prior_mix_ = heads.prior_mix
    model.feature_importances_ = _importances(keys, bandwidth, heads.mixing)


def recalled(model) -> Memory:
    """The memory of a fitted model."""
    keys = Keys(model.X_fit_, model.targets_, model.key_weights_, model.key_of_, model.key_share_)
    with np.errstate(divide="ignore"):
        heads = Heads(np.log(model.head_weights_), model.sinks_, model.prior_, model.prior_mix_)
    is_linear = model.transformation_ is not None
    bandwidth = Bandwidth(
        kernel=model._kernel,
        degree=model._degree,
        bandwidth=None if is_linear else np.atleast_2d(model.bandwidth_),
        transformation=model.transformation_,
        centre=model.centre_,
        heads=heads,
        ridge=model.ridge_,
        loss=np.nan,
        gradient_norm=np.nan,
        n_iter=0,
        starts=np.empty(0),
        converged=True,
    )
    return Memory(keys, bandwidth)


def checked_queries(model, X, on_host: str | None = None):
    """X of a prediction, (n, p) float64, where the answer is computed.

    Parameters
    ----------
    model : fitted estimator
    X : array-like or device array
    on_host : str, optional
        Who asks, if it computes on the host: then an X on a device is a TypeError, for nothing is moved unasked.
    """
    check_is_fitted(model)
    model._validate_params()  # top_k, tol and empty may have been set since
    _require_all_keys(model)
    if on_host is not None:
        require_host(f"{type(model).__name__}.{on_host}", X=X)
    X = validate_data(model, X, dtype=np.float64, order="C", reset=False, device=on_host is None)
    _require_computable(model, X, model._kernel)
    _check_size("X", X)
    if model.transformation_ is None:
        _check_features(X, np.atleast_2d(model.bandwidth_))
    return X


def _require_computable(model, X, kernel: str) -> None:
    """Whether a device can compute the answers, where X is on one."""
    if not placement.on_device(X):
        return
    for name, value, computable, others in (
        ("kernel", kernel, kernel in ON_DEVICE, f"one of {ON_DEVICE}"),
        ("top_k", model.top_k, model.top_k is None, "None"),
        ("tol", model.tol, model.tol == 0.0, "0"),
    ):
        if not computable:
            raise ValueError(
                f"The {name!r} parameter of {type(model).__name__} must be {others} on a CUDA device. Got {value!r}"
                " instead, which is computed on the host: move X there, with cupy.asnumpy(X) or X.cpu(), or if it is"
                " there leave backend='cuda'."
            )


def _require_all_keys(model) -> None:
    if model._degree and is_sparse(model):
        raise ValueError(
            f"{type(model).__name__} with degree=1 needs all keys: top_k=None and tol=0. Got {model.top_k},"
            f" {model.tol:g}."
        )


def _check_size(name: str, values) -> None:
    largest = float(np.abs(values).max()) if values.size else 0.0
    if largest > LARGEST:
        raise ValueError(
            f"{name} must hold values up to {LARGEST:g}, whose squares are finite. Got {largest:g} instead."
        )


def _check_features(X, bandwidth) -> None:
    """Whether X (n, p) is of a size that bandwidths (H, p) can measure."""
    with np.errstate(over="ignore"):
        largest = float((placement.to_host(np.abs(X).max(axis=0)) / bandwidth).max())
    if largest > LARGEST:
        raise ValueError(
            f"X must hold values up to {LARGEST:g} bandwidths, whose squares are finite. Got {largest:g} instead."
        )


def _check_differences(name: str, values) -> None:
    """Whether squared differences in the columns of (n, v) are numbers, and not zero where they differ."""
    _check_size(name, values)
    widest = np.ptp(values, axis=0)
    if ((widest > 0.0) & (widest < 1.0 / LARGEST)).any():
        raise ValueError(
            f"{name} must differ by at least {1.0 / LARGEST:g}, whose square is not zero, or not at all. Got"
            f" {widest[widest > 0.0].min():g} instead."
        )


def is_sparse(model) -> bool:
    """Whether only some keys answer."""
    return model.top_k is not None or model.tol > 0.0


def answers(model, X, memory: Memory | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Answers for checked X (n, v), where that is, and bounds on their difference from those of all keys (n, v)."""
    memory = recalled(model) if memory is None else memory
    if model.top_k is None and model.tol > 0.0:
        within, bound = answers_within(memory, X, model.tol)
        return _where_reached(model, within, _reached(model, memory, X)), bound
    if is_sparse(model):
        kept = kept_keys(memory, X, model.top_k, model.tol)
        return _where_reached(model, kept.answers, kept.reached), kept.bound
    full = memory.answers(X)
    return _where_reached(model, full, _reached(model, memory, X)), np.zeros_like(full)


def _reached(model, memory: Memory, X) -> np.ndarray:
    """Whether a row has a key within reach, where that matters."""
    return memory.reached(X) if model.empty != "mean" else np.ones(len(X), dtype=bool)


def _where_reached(model, values, reached):
    """Answers with rows out of reach of all keys as `empty` says; "mean" is what they have."""
    if model.empty == "mean" or reached.all():
        return values
    if model.empty == "raise":
        raise ValueError(
            f"{np.count_nonzero(~reached)} rows of X have no training row within reach of the kernel"
            f" {model._kernel!r}, the first is row {int(np.argmin(reached))}: use empty='mean' or 'nan', a larger"
            " bandwidth, or a kernel that reaches all rows."
        )
    values[~reached] = np.nan
    return values


def attention_weights(model, X) -> sparse.csr_array:
    """Weights of the training rows as they were given, (n, n_fit), for checked X."""
    memory = recalled(model)
    if is_sparse(model):
        return memory.keys.expanded(kept_keys(memory, X, model.top_k, model.tol).weights)
    with serial_blas():
        parts = [memory.keys.expanded(sparse.csr_array(memory.weights(X[rows]))) for rows in memory.blocks(len(X))]
    return sparse.csr_array(sparse.vstack(parts, format="csr"))


def distributions(model, X) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of rows, and the weights of all training rows for them (b, n_fit), which sum to one.

    The prior's share is the training rows' by their own weights. Rows that ``empty='nan'`` leaves without an answer
    have weights nan.
    """
    memory = recalled(model)
    keys = memory.keys
    overall = np.where(keys.key_of >= 0, keys.share * keys.weights[keys.key_of], 0.0) / keys.weights.sum()
    for rows in row_blocks(len(X), 8 * len(keys.key_of)):
        with serial_blas():
            if is_sparse(model):
                kept: Kept = kept_keys(memory, X[rows], model.top_k, model.tol)
                weights, reached = kept.weights.toarray(), kept.reached
            else:
                weights, reached = memory.weights(X[rows]), memory.reached(X[rows])
        rest = np.maximum(1.0 - weights.sum(axis=1), 0.0)
        spread = np.where(keys.key_of >= 0, weights[:, keys.key_of] * keys.share, 0.0)
        yield rows, _where_reached(model, spread + rest[:, None] * overall, reached)


def _importances(keys: Keys, bandwidth, head_weights) -> np.ndarray:
    """Share of each feature in the mean squared distance of the keys, in bandwidths; mean over heads."""
    mean = keys.weights @ keys.X / keys.weights.sum()
    parts = np.stack([keys.weights @ ((keys.X - mean) / h) ** 2 / keys.weights.sum() for h in bandwidth])
    total = parts.sum(axis=1, keepdims=True)
    return head_weights @ (parts / np.where(total > 0.0, total, 1.0))


def judge_intervals(model, X, weights, groups) -> None:
    """Sets ``interval_levels_`` and ``interval_weights_``: t of training rows, see :mod:`sksoft.attention.intervals`.

    Of more than `JUDGED` different rows, these: keys are in the order of a hash, so the first ones are a sample. Rows
    with the same features, and group, are given the same distribution, so it is asked for once.
    """
    rows = np.flatnonzero((model.key_of_ >= 0) & (model.key_of_ < JUDGED))
    codes = np.arange(len(X)) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    told_apart = model.key_of_[rows] if groups is None else model.key_of_[rows] * len(X) + codes[rows]
    _, first, unit_of = np.unique(told_apart, return_index=True, return_inverse=True)
    units, by_unit = rows[first], np.argsort(unit_of, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(unit_of))])
    levels = np.empty((len(rows), model.y_fit_.shape[1]))
    for block, found in distributions(model, X[units]):
        left_out = (model.key_of_ == model.key_of_[units[block], None]) | (codes == codes[units[block], None])
        judged = by_unit[starts[block.start] : starts[block.stop]]
        of = unit_of[judged] - block.start
        levels[judged] = tail_levels(np.nan_to_num(found), model.y_fit_, left_out, rows[judged], of)
    model.interval_levels_, model.interval_weights_ = levels, weights[rows]
