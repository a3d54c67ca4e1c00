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

**Resuming.** All state is in ``online_state_``, a dictionary of arrays, numbers and strings. A model that went through
pickle continues with the same bits.
"""

from typing import Any

import numpy as np
from scipy import sparse

from sksoft._validation import validate_data
from sksoft.kernels.blocks import serial_blas
from sksoft.kernels.row_keys import row_keys
from sksoft.linear.annealing import temperature_at
from sksoft.linear.late_classes import with_classes
from sksoft.linear.problem import link_named
from sksoft.linear.row_loss import Rows
from sksoft.linear.stream import Stream
from sksoft.linear.target_input import Targets, resolve_targets
from sksoft.metrics.soft_labels import is_soft
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.scores import Linear
from sksoft.solvers.memories import AdaGrad
from sksoft.solvers.stochastic import Preconditioner, learn

# Rows of weight one in a chunk: enough to be worth a step; where steps cost the length of the coefficients, more.
CHUNK, LARGEST_CHUNK = 32, 1024
# What only the whole data can be fitted with, and its value where it is off.
ONLY_IN_FIT: dict[str, Any] = {"l1_ratio": 0.0, "l1_group": None, "coef_sign": None, "prior_logits": None}


def partial_fit(model, X, y, classes, sample_weight, *, factors):
    """Learn one batch; sets ``classes_``, ``coef_``, ``intercept_``, ``temperature_`` and ``online_state_``.

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
        For bad input as in ``fit``; for what needs all rows at once, such as ``class_weight='balanced'`` or an L1
        penalty; for a first batch of one class without `classes`; for a model that was fitted by ``fit``.
    """
    plain = getattr(model, "online_state_", None)
    _check_supported(model, plain)
    X = validate_data(model, X, accept_sparse="csr", dtype=np.float64, reset=plain is None)
    targets = _targets(model, y, classes, sample_weight, plain is not None)
    X = X if targets.kept.all() else X[targets.kept]
    scores = Linear(X.shape[1], len(targets.classes), model.fit_intercept)
    if plain is None:
        stream = Stream.start(targets.classes, scores)
    else:
        stream = Stream.load(model.classes_, plain)
    rows = Rows(
        X if sparse.issparse(X) or not model.fit_intercept else np.hstack([X, np.ones((len(X), 1))]),
        targets.target,
        targets.weights,
        scores,
        FenchelYoung(link_named(model.link)),
        temperature_at(model.temperature, stream.calls),
    )
    strength = 0.0 if np.isinf(model.C) else 1.0 / model.C
    ridge = scores.spread(strength * factors(X.shape[1], len(targets.classes))).reshape(scores.n_rows, -1)
    with serial_blas():
        stream = _learn(with_classes(stream, targets.classes, rows), rows, ridge)
    model.classes_, model.temperature_, model.online_state_ = stream.classes, rows.temperature, stream.dump()
    model.coef_, model.intercept_ = scores.unpack(stream.state.w)
    if scores.n_rows > 1 and model.fit_intercept:  # as in fit: a common shift changes nothing
        model.intercept_ -= model.intercept_.mean()
    return model


def _check_supported(model, plain) -> None:
    if plain is None and hasattr(model, "coef_"):
        raise ValueError(
            f"{type(model).__name__} was fitted by fit, which keeps nothing that partial_fit could go on from. Call"
            " partial_fit on a new estimator, with the rows of that fit as its first batch."
        )
    if isinstance(model.class_weight, str):
        raise ValueError(
            "class_weight='balanced' is not supported for partial_fit, which cannot know the shares of the classes to"
            " come. Pass a dict of class weights, or sample_weight."
        )
    for name, off in ONLY_IN_FIT.items():
        value: Any = getattr(model, name, off)
        if isinstance(value, str) or np.size(value) > 1 or value != off:
            raise ValueError(f"The {name!r} parameter is not supported for partial_fit. Got {value!r}.")


def _targets(model, y, classes, sample_weight, started: bool) -> Targets:
    """Targets of a batch over the classes known so far, those named, and those that appear."""
    known: np.ndarray | None = model.classes_ if started else None
    named = model.classes if classes is None and not started else classes
    if is_soft(y):
        if known is not None and named is not None and not np.array_equal(known, named):
            raise ValueError(f"Soft labels must have the columns of the first batch, {known.tolist()}. Got {named}.")
        named = named if known is None else known
    else:
        named = _union(known, named, _labels(y, sample_weight))
    class_weight = model.class_weight
    if class_weight is not None and named is not None:
        present = set(np.asarray(named).tolist())
        class_weight = {label: weight for label, weight in class_weight.items() if label in present} or None
    targets = resolve_targets(
        type(model).__name__,
        y,
        classes=named,
        label_smoothing=model.label_smoothing,
        class_weight=class_weight,
        sample_weight=sample_weight,
        link=link_named(model.link),
        fit_intercept=model.fit_intercept,
        complete=False,
    )
    if len(targets.classes) < 2:
        raise ValueError(
            "The first batch of partial_fit must hold samples of at least 2 classes, or the 'classes' parameter name"
            f" them; the data contains only one class: {targets.classes[0]!s}"
        )
    return targets


def _labels(y, sample_weight) -> np.ndarray:
    """Labels of the rows that weigh anything; the rest is checked where targets are resolved."""
    y = np.ravel(np.asarray(y))
    if sample_weight is None or np.shape(sample_weight) != y.shape:
        return y
    return y[np.asarray(sample_weight) > 0]


def _union(*collections) -> np.ndarray:
    """Labels of one type, ascending; ValueError for a mix."""
    arrays = [np.asarray(labels) for labels in collections if labels is not None and len(labels)]
    texts = {array.dtype.kind in "USO" for array in arrays}
    if len(texts) > 1:
        raise ValueError(
            "Labels must be of one type in all batches and in the 'classes' parameter. Got"
            f" {sorted({str(array.dtype) for array in arrays})}."
        )
    return np.unique(np.concatenate(arrays)) if arrays else np.empty(0)


def _learn(stream: Stream, rows: Rows, ridge: np.ndarray) -> Stream:
    """Fit the rows of one call, a chunk at a time."""
    state, mean, mean_square = stream.state, stream.mean, stream.mean_square
    preconditioner = Preconditioner()
    for chunk in _chunks(rows, isinstance(state.memory, AdaGrad)):
        point = rows.take(chunk)
        rate = point.weight / (state.weight + point.weight)
        of_mean, of_square = _moments(point)
        mean, mean_square = mean + rate * (of_mean - mean), mean_square + rate * (of_square - mean_square)
        state = learn(state, point, ridge + _most_curvature(mean, mean_square, rows.temperature), preconditioner)
    shares = stream.class_weight + rows.target.shares(rows.weights)
    return Stream(stream.classes, state, shares, mean, mean_square, stream.calls + 1)


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


def _moments(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means of x̃ and x̃², (q,)."""
    shares = rows.weights / rows.weight
    X = rows.X
    squares = X.multiply(X) if sparse.issparse(X) else X * X
    mean, square = X.T @ shares, np.asarray(squares.T @ shares)
    if sparse.issparse(X) and rows.scores.fit_intercept:
        mean, square = np.append(mean, 1.0), np.append(square, 1.0)
    return mean, square


def _most_curvature(mean: np.ndarray, mean_square: np.ndarray, temperature: float) -> np.ndarray:
    """D: half the variance of each column, or half the mean square where it is constant; 1 where it is zero."""
    variance = mean_square - mean**2
    curvature = np.where(variance > 1e-10 * mean_square, variance, mean_square) / (2.0 * temperature**2)
    return np.where(curvature > 0.0, curvature, 1.0)
