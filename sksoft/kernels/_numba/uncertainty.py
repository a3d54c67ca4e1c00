"""The most uncertain rows, compiled: a heap of the best rows so far, and two bounds that spare others their logarithms.

**Near the uniform.** f(p) = −p ln p has a negative fourth derivative, so its third-order Taylor polynomial at 1/K lies
above it, and a row of the sum s has

    H(p) <= ln K + (ln K − 1)(s − 1) − K/2 Σ (p − 1/K)² + K²/6 Σ (p − 1/K)³

**Far from it.** Of all rows with the largest entry p and the sum S none has more entropy than

    g(p) = −p ln p − (S − p) ln((S − p) / (K − 1))

g is concave and decreasing, so a row whose largest entry is above c, the root of g(c) = lowest of the heap, is not
among the best; and Newton's method from the right of the root stays there, so one step whenever the lowest has risen is
on the safe side.
"""

import numpy as np

from sksoft.kernels import uncertainty
from sksoft.kernels._numba._jit import REASSOCIATE, jit
from sksoft.kernels._numba.exp import MAGIC, SMALLEST_NORMAL, fma, log, ordered, unordered
from sksoft.kernels._numba.run import over_rows
from sksoft.kernels.uncertainty import ENTROPY, MARGIN, ROW_SUM_TOLERANCE, entropy_grid

# For rounding, in the first bound.
SLACK = 1e-9
# The largest sum that a row may have, and by how much a row of a smaller one may exceed g: its derivative by S is at
# least −1.
LARGEST_SUM, SUM_SLACK = 1.0 + ROW_SUM_TOLERANCE, 2.5 * ROW_SUM_TOLERANCE


@uncertainty.most_uncertain_rows.implement("numba")
def most_uncertain_rows(proba, *, n_rows, kind):
    start, rows, scores = 0, [], []
    grid = entropy_grid(proba.shape[1])
    for block_rows, block_scores, invalid, height in over_rows(_block, (proba,), (n_rows, kind, grid), ()):
        if invalid >= 0:
            return np.empty(0, dtype=np.intp), np.empty(0), start + invalid
        rows.append(block_rows + start)
        scores.append(block_scores)
        start += height
    rows, scores = np.concatenate(rows), np.concatenate(scores)
    best = np.lexsort((rows, -scores))[:n_rows]
    return rows[best], scores[best], -1


@jit
def _block(proba, n_rows, kind, grid):
    """The most uncertain rows of one block, in the order of a heap; its first invalid row or −1; its height."""
    n, n_classes = proba.shape
    capacity = min(n, n_rows)
    scores, rows = np.empty(capacity), np.empty(capacity, np.intp)
    size, log_k, limit = 0, np.log(n_classes), 2.0
    for i in range(n):
        row = proba[i]
        high, signs, total, squares, cubes = _summary(row, 1.0 / n_classes)
        if (signs < 0 or not abs(total - 1.0) <= ROW_SUM_TOLERANCE) and not _is_distribution(row):
            return rows[:0], scores[:0], i, n
        largest = np.float64(unordered(high, row[0]))
        if kind == MARGIN:
            score = 1.0 - _margin(row)
        elif kind == ENTROPY:
            bound = log_k + (log_k - 1.0) * (total - 1.0) + n_classes * (n_classes * cubes / 6.0 - squares / 2.0)
            if size == capacity and (largest > limit or bound + SLACK < scores[0]):
                continue
            score = _entropy(row, grid)
        else:
            score = 1.0 - largest
        if size < capacity:
            _rise(scores, rows, size, score, i)
            size += 1
        elif score > scores[0]:  # an equal score of a later row comes after
            _sink(scores, rows, score, i)
            if kind == ENTROPY:
                limit = _limit(limit, scores[0], n_classes)
    return rows, scores, -1, n


@jit(fastmath=REASSOCIATE)
def _summary(row, uniform):
    """The largest entry and the union of the signs, as ordered integers; Σ p, Σ (p − 1/K)² and Σ (p − 1/K)³."""
    high = ordered(row[0])
    signs = high
    total, squares, cubes = 0.0, 0.0, 0.0
    for k in range(row.size):
        key = ordered(row[k])
        high = key if key > high else high
        signs |= key
        p = np.float64(row[k])
        total += p
        away = p - uniform
        squares += away * away
        cubes += away * away * away
    return high, signs, total, squares, cubes


@jit
def _is_distribution(row):
    """The same of a row that looks odd; a negative zero is one that is valid."""
    total = 0.0
    for k in range(row.size):
        if not row[k] >= 0:
            return False
        total += np.float64(row[k])
    return abs(total - 1.0) <= ROW_SUM_TOLERANCE


@jit
def _margin(row):
    """Largest less second largest entry, with two pairs of them found side by side: neither waits for the other."""
    a, b, c, d = row[0], row[1], row[0] - row[0], row[0] - row[0]
    if b > a:
        a, b = b, a
    for k in range(2, row.size - 1, 2):
        x, y = row[k], row[k + 1]
        b = max(b, min(a, x))
        a = max(a, x)
        d = max(d, min(c, y))
        c = max(c, y)
    if row.size % 2 == 1:
        x = row[row.size - 1]
        b = max(b, min(a, x))
        a = max(a, x)
    return np.float64(max(a, c)) - np.float64(max(min(a, c), max(b, d)))


@jit(fastmath=REASSOCIATE)
def _entropy(row, grid):
    """Rounded to the grid by adding so many of it that a float counts no finer; integers count what that leaves."""
    shift, steps = MAGIC * grid, np.int64(0)
    none = np.float64(shift).view(np.int64)
    for k in range(row.size):
        p = np.float64(row[k])
        steps += np.float64(fma(p, log(p if p > SMALLEST_NORMAL else SMALLEST_NORMAL), shift)).view(np.int64) - none
    return -np.float64(steps) * grid


@jit
def _limit(limit, lowest, n_classes):
    """One step of Newton's method for g(limit) = `lowest`, from the right; 2 stands for no limit."""
    p = min(limit, 1.0 - 1e-6)
    rest = LARGEST_SUM - p
    ratio = np.log(rest / (n_classes - 1))
    bound = SUM_SLACK - p * np.log(p) - rest * ratio
    slope = ratio - np.log(p)  # negative on the right of S / K
    return p + (lowest - bound) / slope if bound < lowest and slope < 0.0 else limit


@jit
def _rise(scores, rows, at, score, row):
    """Add to a heap of `at` entries, whose first is the lowest score and among equals the last row."""
    while at > 0:
        parent = (at - 1) // 2
        if scores[parent] < score or (scores[parent] == score and rows[parent] > row):
            break
        scores[at], rows[at] = scores[parent], rows[parent]
        at = parent
    scores[at], rows[at] = score, row


@jit
def _sink(scores, rows, score, row):
    """Replace the first of the heap."""
    at = 0
    while True:
        child = 2 * at + 1
        if child >= len(scores):
            break
        other = child + 1
        if other < len(scores) and (
            scores[other] < scores[child] or (scores[other] == scores[child] and rows[other] > rows[child])
        ):
            child = other
        if score < scores[child] or (score == scores[child] and row > rows[child]):
            break
        scores[at], rows[at] = scores[child], rows[child]
        at = child
    scores[at], rows[at] = score, row
