"""Classes that a stream brings late: what their rows start from, and what is remembered for them.

The row of a new class has zero coefficients and the intercept b at which its mean probability on the rows of the batch
that brought it is

    π = weight of its targets / weight seen so far, this batch included

or half a row's weight where it was named and has not come. The memory is extended as if it had had probability π in
every row before (``solvers/memories.py``).
"""

import numpy as np
from scipy import sparse

from sksoft.linear.row_loss import Rows
from sksoft.linear.stream import Stream
from sksoft.linear.warm_start import one_row_each
from sksoft.solvers.stochastic import State

BISECTIONS = 60


def with_classes(stream: Stream, classes: np.ndarray, rows: Rows) -> Stream:
    """The stream with a row for each of the `classes` that it did not know.

    Parameters
    ----------
    stream : Stream
    classes : ndarray (K,)
        All classes, those of the stream among them in the same order.
    rows : Rows
        The batch that brought the new ones, with targets over `classes`.
    """
    known = set(stream.classes.tolist())
    new = [at for at, label in enumerate(classes.tolist()) if label not in known]
    if not new:
        return stream
    brought = rows.target.shares(rows.weights)
    state, counts = stream.state, stream.class_weight
    w, residual, memory = state.w, state.residual, state.memory
    if len(stream.classes) == 2:
        w, residual, memory = _two_rows(w), _two_rows(residual), memory.in_two_rows()
    seen = state.weight + rows.weight
    for at in new:
        probability = max(float(brought[at]) / seen, 0.5 / (seen + 1.0))
        shares = counts / max(float(counts.sum()), np.finfo(float).tiny)
        memory = memory.with_class(at, probability, shares)
        start = np.zeros(w.shape[1])
        if rows.scores.fit_intercept:
            start[-1] = _level(_scores(w, rows), at, rows, probability)
        w, residual = np.insert(w, at, start, axis=0), np.insert(residual, at, 0.0, axis=0)
        counts = np.insert(counts, at, 0.0)
    state = State(w, residual, memory, state.weight)
    return Stream(classes, state, counts, stream.mean, stream.mean_square, stream.calls)


def _two_rows(w: np.ndarray) -> np.ndarray:
    return one_row_each(w, np.zeros(1))[0]


def _scores(w: np.ndarray, rows: Rows) -> np.ndarray:
    """Scores of the classes that have a row in w, (n, R)."""
    if not sparse.issparse(rows.X):
        return rows.X @ w.T
    intercept = w[:, -1] if rows.scores.fit_intercept else 0.0
    return rows.X @ w[:, : rows.scores.n_features].T + intercept


def _level(scores: np.ndarray, at: int, rows: Rows, probability: float) -> float:
    """The constant score that a class beside `scores` needs for a mean probability, by bisection."""
    shares = rows.weights / rows.weight
    beside = np.insert(scores, at, 0.0, axis=1) / rows.temperature
    low, high = float(beside.min()) - 50.0, float(beside.max()) + 50.0
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        beside[:, at] = middle
        if float(shares @ rows.loss.link.predict(beside.copy())[:, at]) < probability:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high) * rows.temperature
