"""Softmax and what a fit needs of it, compiled: one pass over memory, a panel of rows at a time.

Every function named ``*_block`` works on C-contiguous rows of one block; the public ones below cut the blocks.
"""

import math

import numpy as np

from sksoft.kernels import rowwise
from sksoft.kernels._numba import panels, transposed
from sksoft.kernels._numba._jit import REASSOCIATE, jit
from sksoft.kernels._numba.exp import SMALLEST_NORMAL, exp, log, log1p
from sksoft.kernels._numba.panels import LANES, NARROW
from sksoft.kernels._numba.run import over_rows

# Stand for what was not given
NO_MASK, NO_WEIGHTS = np.empty((0, 0), bool), np.empty(0)


@jit
def shifted_panel(scores, mask, temperature, start, stop, panel, top, largest):
    """Rows start..stop of the scores into the panel, their maxima into `largest`, what is left to subtract into `top`.

    That is the maximum again, or 0 where a temperature had it subtracted and divided already.
    """
    tiled = scores.shape[1] <= NARROW
    available = mask[start:stop] if mask.size > 0 else mask
    panels.load(scores[start:stop], available, panel, top, tiled)
    for i in range(LANES):
        largest[i] = top[i]
    if temperature != 1.0:
        panels.shift(panel, stop - start, top, temperature, tiled)
        top[:] = 0.0


@jit
def _softmax_of_wide_rows(scores, out, empty_rows):
    """The common case without a panel's copy of the scores: each row is read from memory once and written once."""
    n_columns = scores.shape[1]
    flat, strip, factor = scores.reshape(-1), np.empty(n_columns, scores.dtype), np.empty(1, scores.dtype)
    empty_rows[:] = False
    for i in range(scores.shape[0]):
        largest = panels.maximum_of(scores[i])
        total = panels.exponentials_of_row(scores[i], largest, strip, flat[(i + 1) * n_columns :])
        if total != total and empty_rows.size > 0:
            empty_rows[i] = _odd_maximum(scores, np.zeros((0, 0), np.bool_), i) == -np.inf
        factor[0] = 1.0 / total
        panels.scaled(strip, factor[0], out[i])


@jit
def softmax_block(scores, mask, temperature, out, empty_rows):
    n, n_columns = scores.shape
    if n_columns > NARROW and mask.size == 0 and temperature == 1.0:
        _softmax_of_wide_rows(scores, out, empty_rows)
        return
    tiled = n_columns <= NARROW
    flat = scores.reshape(-1)
    panel, height = panels.new_panel(scores)
    top, largest = np.zeros(LANES, scores.dtype), np.zeros(LANES, scores.dtype)
    factor, total = np.zeros(LANES, scores.dtype), np.ones(LANES)
    for start in range(0, n, height):
        stop = min(start + height, n)
        shifted_panel(scores, mask, temperature, start, stop, panel, top, largest)
        panels.exponentials(panel, stop - start, top, total, flat[stop * n_columns :], tiled)
        mark_empty(scores, mask, start, stop, total, empty_rows)
        for i in range(LANES):
            factor[i] = 1.0 / total[i]
        panels.store(panel, factor, out[start:stop], tiled)


@jit
def log_softmax_block(scores, mask, temperature, out, empty_rows):
    n, n_columns = scores.shape
    tiled = n_columns <= NARROW
    flat = scores.reshape(-1)
    panel, height = panels.new_panel(scores)
    shifted = np.zeros_like(panel)
    top, largest = np.zeros(LANES, scores.dtype), np.zeros(LANES, scores.dtype)
    ones, total = np.ones(LANES, scores.dtype), np.ones(LANES)
    for start in range(0, n, height):
        stop = min(start + height, n)
        shifted_panel(scores, mask, temperature, start, stop, panel, top, largest)
        panels.copy(panel, shifted)
        panels.exponentials(panel, stop - start, top, total, flat[stop * n_columns :], tiled)
        mark_empty(scores, mask, start, stop, total, empty_rows)
        for i in range(LANES):
            total[i] = log(total[i])
        panels.subtract(shifted, stop - start, top, total, tiled)
        panels.store(shifted, ones, out[start:stop], tiled)


@jit
def logsumexp_block(scores, mask, temperature, out):
    n, n_columns = scores.shape
    tiled = n_columns <= NARROW
    flat = scores.reshape(-1)
    panel, height = panels.new_panel(scores)
    top, largest, total = np.zeros(LANES, scores.dtype), np.zeros(LANES, scores.dtype), np.ones(LANES)
    for start in range(0, n, height):
        stop = min(start + height, n)
        shifted_panel(scores, mask, temperature, start, stop, panel, top, largest)
        panels.exponentials(panel, stop - start, top, total, flat[stop * n_columns :], tiled)
        for i in range(LANES):
            total[i] = log(total[i]) + np.float64(largest[i]) / temperature
        for i in range(stop - start):
            odd = total[i] != total[i]
            out[start + i] = _odd_maximum(scores, mask, start + i) if odd else total[i]


@jit
def mark_empty(scores, mask, start, stop, total, empty_rows):
    """Tell rows with nothing available from others whose `total` is NaN."""
    for i in range(stop - start if empty_rows.size > 0 else 0):
        empty_rows[start + i] = total[i] != total[i] and _odd_maximum(scores, mask, start + i) == -np.inf


@jit
def _odd_maximum(scores, mask, i):
    """Largest available score of a row whose sum is NaN: NaN if it holds one, else +inf or −inf."""
    largest = -np.inf
    for k in range(scores.shape[1]):
        if mask.size == 0 or mask[i, k]:
            if scores[i, k] != scores[i, k]:
                return np.nan
            largest = max(largest, np.float64(scores[i, k]))
    return largest


@jit
def cross_entropy_block(scores, codes, weights, smoothing, residual, proba):
    n, n_columns = scores.shape
    tiled = n_columns <= NARROW
    flat = scores.reshape(-1)
    panel, height = panels.new_panel(scores)
    top = np.zeros(LANES, scores.dtype)
    factor = np.zeros(LANES, scores.dtype)
    shifted_true, exp_true = np.zeros(LANES, scores.dtype), np.zeros(LANES, scores.dtype)
    others, weight, loss, value = np.ones(LANES), np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    # what stands under `smoothing is not None` is not compiled for labels alone
    epsilon = 0.0 if smoothing is None else smoothing
    share, negentropy = (0.0, 0.0) if smoothing is None else _smoothed_label(smoothing, n_columns)
    target = np.full(n_columns, share)
    for start in range(0, n, height):
        stop = min(start + height, n)
        panels.load(scores[start:stop], None, panel, top, tiled)
        weight[:] = 0.0
        loss[:] = 0.0
        if smoothing is not None:
            _expected_distances(panel, share, stop - start, top, loss, tiled)
        for i in range(stop - start):
            code = codes[start + i]
            weight[i] = weights[start + i]
            shifted_true[i] = panels.get(panel, i, code, tiled) - top[i]
            # left out of the sum, so that the sum of the others is exact where it is tiny
            panels.put(panel, i, code, -np.inf, tiled)
        panels.exponentials(panel, stop - start, top, others, flat[stop * n_columns :], tiled)
        for i in range(LANES):
            exp_true[i] = exp(shifted_true[i])
            loss[i] += log1p(others[i] + (exp_true[i] - 1.0)) - (1.0 - epsilon) * shifted_true[i] + negentropy
            factor[i] = 1.0 / (others[i] + exp_true[i])
        if smoothing is not None:
            for i in range(stop - start):
                if loss[i] < CANCELLED:
                    target[codes[start + i]] += 1.0 - smoothing
                    loss[i] = _small_divergence(scores[start + i], top[i], others[i] + exp_true[i], target)
                    target[codes[start + i]] = share
        if proba.size > 0:
            for i in range(stop - start):
                panels.put(panel, i, codes[start + i], exp_true[i], tiled)
            panels.store(panel, factor, proba[start:stop], tiled)
        for i in range(LANES):
            factor[i] = weight[i] / (others[i] + exp_true[i])
            value[i] += 0.0 if weight[i] == 0.0 else weight[i] * loss[i]
        if smoothing is not None:
            top[:] = 0.0
            for i in range(LANES):
                loss[i] = share * (others[i] + exp_true[i])
            panels.subtract(panel, stop - start, top, loss, tiled)
        for i in range(stop - start):
            surplus = (n_columns - 1) * share * (others[i] + exp_true[i])
            panels.put(panel, i, codes[start + i], surplus - others[i], tiled)
        panels.store(panel, factor, residual[start:stop], tiled)
        for i in range(stop - start):
            if weight[i] == 0.0:
                residual[start + i] = 0.0
    return value.sum()


@jit
def divergence_block(scores, targets, weights, residual, proba):
    n, n_columns = scores.shape
    tiled = n_columns <= NARROW
    flat = scores.reshape(-1)
    panel, height = panels.new_panel(scores)
    target, _ = panels.new_panel(targets)
    top = np.zeros(LANES, scores.dtype)
    factor, highest = np.zeros(LANES, scores.dtype), np.zeros(LANES, targets.dtype)
    total, mass, loss, value = np.ones(LANES), np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    for start in range(0, n, height):
        stop = min(start + height, n)
        panels.load(scores[start:stop], None, panel, top, tiled)
        panels.load(targets[start:stop], None, target, highest, tiled)
        _cross_terms(panel, target, stop - start, top, loss, mass, tiled)
        panels.exponentials(panel, stop - start, top, total, flat[stop * n_columns :], tiled)
        for i in range(LANES):
            loss[i] += 1.0 + mass[i] * (log(total[i]) - 1.0)
            factor[i] = 1.0 / total[i]
        for i in range(stop - start):
            if loss[i] < CANCELLED:
                loss[i] = _small_divergence(scores[start + i], top[i], total[i], targets[start + i])
        if proba.size > 0:
            panels.store(panel, factor, proba[start:stop], tiled)
        _less(panel, factor, target, stop - start, tiled)
        for i in range(stop - start):
            weight = weights[start + i]
            factor[i] = weight
            value[i] += 0.0 if weight == 0.0 else weight * loss[i]
        panels.store(panel, factor, residual[start:stop], tiled)
        for i in range(stop - start):
            if weights[start + i] == 0.0:
                residual[start + i] = 0.0
    return value.sum()


# A divergence below this is computed again without cancellation: above, rounding takes less than 1e-13 of it.
CANCELLED = 1e-2


@jit
def _small_divergence(scores, top, total, targets):
    """``Σ t (p/t − 1 − log(p/t))`` of one row, whose terms are not negative."""
    log_total, divergence = np.log(total), 0.0
    for k in range(scores.size):
        t = np.float64(targets[k])
        log_p = np.float64(scores[k]) - np.float64(top) - log_total
        ratio = log_p - np.log(t) if t > 0.0 else np.inf
        if abs(ratio) < 0.5:
            divergence += t * (math.expm1(ratio) - ratio)
        else:
            divergence += math.exp(log_p) - t - (t * ratio if t > 0.0 else 0.0)
    return divergence


@jit
def _smoothed_label(smoothing, n_classes):
    """Share of every wrong class, and ``Σ t log t``."""
    share = smoothing / n_classes
    others = (n_classes - 1) * share
    return share, (others * np.log(share) + (1.0 - others) * math.log1p(-others) if smoothing > 0.0 else 0.0)


@jit
def _expected_distances(panel, share, n, top, out, tiled):
    """``share Σ_k (top − s_k)`` of each row."""
    if tiled:
        for k in range(panel.shape[0]):
            column = panel[k]
            for i in range(LANES):
                out[i] += share * (np.float64(top[i]) - np.float64(column[i]))
    else:
        for i in range(n):
            out[i] = share * _sum_below(panel[i], np.float64(top[i]))


@jit(fastmath=REASSOCIATE)
def _sum_below(row, top):
    total = 0.0
    for k in range(row.size):
        total += top - np.float64(row[k])
    return total


@jit
def _cross_terms(panel, target, n, top, out, mass, tiled):
    """``Σ_k t_k (log t_k − (s_k − top))`` and ``Σ_k t_k`` of each row."""
    if tiled:
        out[:] = 0.0
        mass[:] = 0.0
        for k in range(panel.shape[0]):
            column, shares = panel[k], target[k]
            for i in range(LANES):
                t = np.float64(shares[i])
                out[i] += _cross_term(t, np.float64(column[i]) - np.float64(top[i]))
                mass[i] += t
    else:
        for i in range(n):
            out[i] = _cross_sum(panel[i], target[i], np.float64(top[i]))
            mass[i] = panels.sum_of(target[i])


@jit(forceinline=True)
def _cross_term(t, shifted):
    term = t * ((log(t) if t >= SMALLEST_NORMAL else 0.0) - shifted)
    return 0.0 if t == 0.0 else term


@jit(fastmath=REASSOCIATE)
def _cross_sum(row, shares, top):
    total = 0.0
    for k in range(row.size):
        total += _cross_term(np.float64(shares[k]), np.float64(row[k]) - top)
    return total


@jit
def _less(panel, factor, target, n, tiled):
    """Each row i to ``row · factor[i] − target``."""
    if tiled:
        for k in range(panel.shape[0]):
            column, shares = panel[k], target[k]
            for i in range(LANES):
                column[i] = column[i] * factor[i] - shares[i]
    else:
        for i in range(n):
            row, shares = panel[i], target[i]
            for k in range(row.size):
                row[k] = row[k] * factor[i] - shares[k]


@jit
def softmax_jvp_block(proba, vectors, weights, out):
    product = np.zeros(proba.shape[1], out.dtype)
    for i in range(proba.shape[0]):
        weight = weights[i] if weights.size > 0 else 1.0
        product_row(proba[i], vectors[i], inner(proba[i], vectors[i]), weight, product)
        for k in range(product.size):
            out[i, k] = product[k]


@jit(fastmath=REASSOCIATE)
def inner(q, v):
    """``⟨q, v⟩`` over the entries where q is not 0."""
    total = 0.0
    for k in range(q.size):
        entry = np.float64(q[k]) * np.float64(v[k])
        total += 0.0 if q[k] == 0.0 else entry
    return total


@jit
def product_row(q, v, mean, weight, product):
    """``product = weight q ∘ (v − mean)``: exactly 0 where q is 0, and everywhere for a weight of 0."""
    for k in range(q.size):
        entry = weight * (q[k] * (v[k] - mean))
        product[k] = 0.0 if q[k] == 0.0 else entry
    if weight == 0.0:
        product[:] = 0.0


@jit
def entropy_block(proba, out):
    n, n_columns = proba.shape
    height = max(1, panels.STRIP // n_columns)
    terms = np.zeros((height, n_columns))
    flat_terms, flat = terms.reshape(-1), proba.reshape(-1)
    for start in range(0, n, height):
        stop = min(start + height, n)
        run = flat[start * n_columns : stop * n_columns]
        for j in range(run.size):
            p = np.float64(run[j])
            term = p * log(p)
            # also where p is subnormal: p log p is under 1e-305
            flat_terms[j] = 0.0 if 0.0 <= p < SMALLEST_NORMAL else term
        for i in range(stop - start):
            out[start + i] = 0.0 - panels.sum_of(terms[i])


@rowwise.softmax_rows.implement("numba")
def softmax_rows(scores, *, temperature=1.0, mask=None, out=None, empty_rows=None):
    return distribution(softmax_block, scores, mask, (temperature,), out, empty_rows)


@rowwise.log_softmax_rows.implement("numba")
def log_softmax_rows(scores, *, temperature=1.0, mask=None, out=None, empty_rows=None):
    return distribution(log_softmax_block, scores, mask, (temperature,), out, empty_rows)


def distribution(block, scores, mask, settings, out, empty_rows):
    """Run ``block(scores, mask, *settings, out, empty_rows)`` on row blocks, putting empty arrays for what is None."""
    out = np.empty(scores.shape, scores.dtype) if out is None else out
    outputs = out, np.empty(0, bool) if empty_rows is None else empty_rows
    over_rows(block, (scores, NO_MASK if mask is None else mask), tuple(map(float, settings)), outputs)
    return out


@rowwise.logsumexp_rows.implement("numba")
def logsumexp_rows(scores, *, temperature=1.0, mask=None):
    out = np.empty(len(scores), scores.dtype)
    over_rows(logsumexp_block, (scores, NO_MASK if mask is None else mask), (float(temperature),), (out,))
    return out


@rowwise.cross_entropy_rows.implement("numba")
def cross_entropy_rows(scores, codes, weights, *, residual, proba=None, smoothing=0.0):
    outputs = residual, np.empty((0, 0), scores.dtype) if proba is None else proba
    if smoothing == 0.0 and transposed.is_transposed(scores, *outputs[: 1 if proba is None else 2]):
        return float(sum(transposed.over_strips(transposed.cross_entropy_block, (scores, codes, weights), outputs)))
    return float(sum(over_rows(cross_entropy_block, (scores, codes, weights), (smoothing or None,), outputs)))


@rowwise.divergence_rows.implement("numba")
def divergence_rows(scores, targets, weights, *, residual, proba=None):
    outputs = residual, np.empty((0, 0), scores.dtype) if proba is None else proba
    return float(sum(over_rows(divergence_block, (scores, targets, weights), (), outputs)))


@rowwise.softmax_jvp_rows.implement("numba")
def softmax_jvp_rows(proba, vectors, *, weights=None, out=None):
    out = np.empty(proba.shape, proba.dtype) if out is None else out
    if weights is not None and transposed.is_transposed(proba, vectors, out):
        transposed.over_strips(transposed.softmax_jvp_block, (proba, vectors, weights), (out,))
        return out
    over_rows(softmax_jvp_block, (proba, vectors, NO_WEIGHTS if weights is None else weights), (), (out,))
    return out


@rowwise.entropy_rows.implement("numba")
def entropy_rows(proba):
    out = np.empty(len(proba), proba.dtype)
    over_rows(entropy_block, (proba,), (), (out,))
    return out
