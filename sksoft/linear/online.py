r"""``partial_fit``: a softmax regression that learns from batches, each seen once and then forgotten.

After any number of calls the model tracks the optimum of what it has seen,

    G(W, b) = [Σᵢ sᵢ L(tᵢ, zᵢ / τᵢ) + ½ ⟨W, Λ W⟩] / S,       S = Σᵢ sᵢ,   Λ = penalty factors / C

with i over the rows of *all* calls, τᵢ the temperature of the call that brought row i, and S the weight seen: a row
that is shown again is a second row. So E epochs over the same rows track the fit to these rows with E times the `C`,
as E copies of the rows would. How near it comes is measured in ``docs/benchmarks.md``; the algorithm is in
``solvers/stochastic.py``, what it remembers in ``solvers/memories.py``: all curvature up to 1 024 parameters, its
Kronecker factors up to 1 024 columns and 128 classes, sums of squared gradients beyond.

**Chunks.** The rows of a call are fitted a chunk at a time. Which chunk a row falls into depends on a hash of its
content and on the total weight of the call, and not on its place: so within a call the order of the rows means nothing
(rows sorted by class do no harm), a weight of two is the row twice, and a weight of zero is no row. Between calls order
does matter: that is what online means.

**Late classes.** A class first seen in a later call gets zero coefficients and the intercept that gives it, on the rows
of that call, its share π of the weight seen so far. The memory is extended as if it had had probability π in every row
before. Two classes have one row of coefficients, three have three: the one row is then halved between two.

**After a fit.** A model that was fitted by ``fit`` goes on from its coefficients and from the weight of its rows; what
the solver should remember of them is made up from the first batch, as if all rows had been like these.

**Class weights.** ``class_weight='balanced'`` weighs the rows of a call by the shares of the classes in all calls so
far, this one included; what earlier calls weighed is not changed.

**Resuming.** All state is in ``online_state_``, a dictionary of arrays, numbers and strings. A model that went through
pickle continues with the same bits.
"""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import check_consistent_length

from sksoft._validation import validate_data
from sksoft.kernels.blocks import serial_blas
from sksoft.kernels.row_keys import row_keys
from sksoft.linear.annealing import temperature_at
from sksoft.linear.batch_targets import batch_targets
from sksoft.linear.late_classes import with_classes
from sksoft.linear.problem import link_named
from sksoft.linear.row_loss import Rows
from sksoft.linear.stream import Stream
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.scores import Linear
from sksoft.solvers.memories import AdaGrad
from sksoft.solvers.stochastic import Preconditioner, learn

# Rows of weight one in a chunk: enough to be worth a step; where steps cost the length of the coefficients, more.
CHUNK, LARGEST_CHUNK = 32, 1024
# What only the whole data can be fitted with, and its value where it is off.
ONLY_IN_FIT: dict[str, Any] = {"l1_ratio": 0.0, "l1_group": None, "coef_sign": None, "prior_logits": None}


def partial_fit(model, X, y, classes, sample_weight, *, factors):
    """Learn one batch; sets the coefficients, ``classes_``, ``seen_weight_``, ``temperature_`` and ``online_state_``.

    Parameters
    ----------
    model : SoftmaxRegression
    X : array-like or sparse matrix (n, p)
    y : array-like (n,) of labels, or (n, K) of soft labels
    classes : array-like or None
        Classes that may come; others are added when they do.
    sample_weight : array-like (n,) or None
    factors : callable
        Numbers of features and of classes → penalty factors that broadcast to (rows, p).

    Returns
    -------
    model

    Raises
    ------
    ValueError
        For bad input as in ``fit``; for what needs all rows at once, such as an L1 penalty; for a first batch of one
        class without `classes`.
    """
    _check_supported(model)
    started, plain = hasattr(model, "coef_"), getattr(model, "online_state_", None)
    X = validate_data(model, X, accept_sparse="csr", dtype=np.float64, reset=not started)
    targets, brought = batch_targets(model, y, classes, sample_weight)
    check_consistent_length(X, y)
    X = X if targets.kept.all() else X[targets.kept]
    scores = Linear(X.shape[1], len(targets.classes), model.fit_intercept)
    rows = Rows(
        X if sparse.issparse(X) or not model.fit_intercept else np.hstack([X, np.ones((len(X), 1))]),
        targets.target,
        targets.weights,
        scores,
        FenchelYoung(link_named(model.link)),
        temperature_at(model.temperature, 0 if plain is None else plain["calls"]),
    )
    if plain is not None:
        stream = Stream.load(model.classes_, plain)
    elif started:
        stream = Stream.after_fit(model, rows)
    else:
        stream = Stream.start(targets.classes, scores)
    strength = 0.0 if np.isinf(model.C) else 1.0 / model.C
    ridge = scores.spread(strength * factors(X.shape[1], len(targets.classes))).reshape(scores.n_rows, -1)
    with serial_blas():
        stream = _learn(with_classes(stream, targets.classes, rows), rows, ridge, brought)
    model.classes_, model.temperature_, model.online_state_ = stream.classes, rows.temperature, stream.dump()
    model.seen_weight_ = stream.class_weight
    model.coef_, model.intercept_ = scores.unpack(stream.state.w)
    if scores.n_rows > 1 and model.fit_intercept:  # as in fit: a common shift changes nothing
        model.intercept_ -= model.intercept_.mean()
    return model


def _check_supported(model) -> None:
    for name, off in ONLY_IN_FIT.items():
        value: Any = getattr(model, name, off)
        if isinstance(value, str) or np.size(value) > 1 or value != off:
            raise ValueError(f"The {name!r} parameter is not supported for partial_fit. Got {value!r}.")


def _learn(stream: Stream, rows: Rows, ridge: np.ndarray, brought: np.ndarray) -> Stream:
    """Fit the rows of one call, a chunk at a time; they bring so much weight of each class."""
    state, mean, mean_square = stream.state, stream.mean, stream.mean_square
    preconditioner = Preconditioner()
    for chunk in _chunks(rows, isinstance(state.memory, AdaGrad)):
        point = rows.take(chunk)
        rate = point.weight / (state.weight + point.weight)
        of_mean, of_square = point.moments()
        mean, mean_square = mean + rate * (of_mean - mean), mean_square + rate * (of_square - mean_square)
        state = learn(state, point, ridge + _most_curvature(mean, mean_square, rows.temperature), preconditioner)
    return Stream(stream.classes, state, stream.class_weight + brought, mean, mean_square, stream.calls + 1)


def _chunks(rows: Rows, long_steps: bool) -> list[np.ndarray]:
    """Positions of the rows of each chunk, by a hash of what stands in them."""
    size: float = CHUNK
    features = rows.X[:, : rows.scores.n_features]
    if long_steps:
        nonzero = features.count_nonzero(axis=1) if sparse.issparse(features) else np.count_nonzero(features, axis=1)
        filling = float(rows.weights @ nonzero) / rows.weight
        size = np.clip(rows.scores.n_features / max(filling, 1.0), CHUNK, LARGEST_CHUNK)
    n_chunks = max(1.0, np.ceil(rows.weight / size))
    if n_chunks == 1.0:
        return [np.arange(len(rows.weights))]
    # whole numbers below 2^53 are exact, so the chunk depends on nothing but the key and the number of chunks
    chunk = np.floor(n_chunks * (row_keys(features) >> np.uint64(11)).astype(np.float64) * 2.0**-53)
    order = np.argsort(chunk, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(chunk[order])) + 1)


def _most_curvature(mean: np.ndarray, mean_square: np.ndarray, temperature: float) -> np.ndarray:
    """D: half the variance of each column, or half the mean square where it is constant; 1 where it is zero."""
    variance = mean_square - mean**2
    curvature = np.where(variance > 1e-10 * mean_square, variance, mean_square) / (2.0 * temperature**2)
    return np.where(curvature > 0.0, curvature, 1.0)
