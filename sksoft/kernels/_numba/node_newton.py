"""Newton's method for the ridge regression of one node, compiled.

The parameters are one vector, (a + 1) q long: q numbers for each of the node's a features, then the q intercepts.
Steps come from conjugate gradients with the Hessian's diagonal, or where the Hessian is small from its Cholesky
factor. What is minimised, and what is proved, is in ``sksoft.kernels.tree_nodes``.
"""

from collections import namedtuple

import numpy as np

from sksoft.kernels._numba._jit import REASSOCIATE, inner
from sksoft.kernels._numba.exp import exp, log
from sksoft.kernels.tree_nodes import HALVINGS, ROUNDING, STALLED

# Up to so many parameters, and as many rows, a step solves with the whole Hessian.
EXACT_SIZE = 32
CONJUGATE_STEPS = 250
# Intercepts are solved for when their gradient is this share of the weight: rounding leaves less.
SOLVED, MOST_INTERCEPT_STEPS = 1e-10, 60
# The rows of a node: n × a numbers in `block` from `block_first` on, or entries over its own, `local`, features.
# `pseudo` is 1 where pseudo-observations follow the last row, which have no features.
# `weights` are C s, `target` the child of each row or −1, `shares` the targets of the pseudo-observations.
Rows = namedtuple(
    "Rows", "is_dense block block_first values local indptr first n pseudo a q m weights target shares smoothing"
)
# Buffers of a chunk, each as long as its largest node needs: over rows × scores, and over parameters.
Buffers = namedtuple("Buffers", "z moved residual curvature theta gradient diagonal step rest direction product")


@inner(fastmath=REASSOCIATE)
def _score_dense(x, first, n, a, q, theta, z):
    """z (n, q) = X W with the rows of X in ``x[first :]``."""
    for i in range(n):
        row = first + i * a
        if q == 1:
            total = 0.0
            for k in range(a):
                total += x[row + k] * theta[k]
            z[i] = total
            continue
        for c in range(q):
            z[i * q + c] = 0.0
        for k in range(a):
            for c in range(q):
                z[i * q + c] += x[row + k] * theta[k * q + c]


@inner(fastmath=REASSOCIATE)
def _score_entries(values, local, indptr, first, n, q, theta, z):
    """The same with the entries of X from row `first` on."""
    first_entry = indptr[first]
    for i in range(n):
        start, stop = indptr[first + i], indptr[first + i + 1]
        if q == 1:
            total = 0.0
            for e in range(start, stop):
                total += values[e] * theta[local[e - first_entry]]
            z[i] = total
            continue
        for c in range(q):
            z[i * q + c] = 0.0
        for e in range(start, stop):
            k = local[e - first_entry] * q
            for c in range(q):
                z[i * q + c] += values[e] * theta[k + c]


@inner(fastmath=REASSOCIATE)
def _add_dense(x, first, n, a, q, u, squared, total):
    """``total[feature, c] += Σ_i x u[i, c]``, or of x² u."""
    for i in range(n):
        row = first + i * a
        if q == 1:
            factor = u[i]
            for k in range(a):
                total[k] += factor * (x[row + k] * x[row + k] if squared else x[row + k])
            continue
        for k in range(a):
            v = x[row + k] * x[row + k] if squared else x[row + k]
            for c in range(q):
                total[k * q + c] += v * u[i * q + c]


@inner(fastmath=REASSOCIATE)
def _add_entries(values, local, indptr, first, n, q, u, squared, total):
    first_entry = indptr[first]
    for i in range(n):
        for e in range(indptr[first + i], indptr[first + i + 1]):
            k = local[e - first_entry] * q
            v = values[e] * values[e] if squared else values[e]
            for c in range(q):
                total[k + c] += v * u[i * q + c]


@inner
def _score(rows, theta, z):
    """Scores of all rows, pseudo-observations last."""
    n, a, q = rows.n, rows.a, rows.q
    if rows.is_dense:
        _score_dense(rows.block, rows.block_first, n, a, q, theta, z)
    else:
        _score_entries(rows.values, rows.local, rows.indptr, rows.first, n, q, theta, z)
    for i in range(n):
        for c in range(q):
            z[i * q + c] += theta[a * q + c]
    for c in range(rows.pseudo * q):
        z[n * q + c] = theta[a * q + c]


@inner
def _add(rows, u, squared, total):
    """``total[feature, c] += Σ_i x_i u[i, c]``, or of x² u, with 1 for the intercepts."""
    n, a, q = rows.n, rows.a, rows.q
    if rows.is_dense:
        _add_dense(rows.block, rows.block_first, n, a, q, u, squared, total)
    else:
        _add_entries(rows.values, rows.local, rows.indptr, rows.first, n, q, u, squared, total)
    for i in range(n + rows.pseudo):
        for c in range(q):
            total[a * q + c] += u[i * q + c]


@inner(fastmath=REASSOCIATE)
def _evaluate_binary(n, z, target, smoothing, pseudo_target, weights, residual, curvature):
    """Σ loss; residual = C s (p − t) and curvature = C s p (1 − p) of n scores."""
    value = 0.0
    for i in range(n):
        t = pseudo_target if target[i] < 0 else (1.0 - smoothing) * target[i] + 0.5 * smoothing
        exponential = exp(-abs(z[i]))
        whole = 1.0 + exponential
        larger = 1.0 / whole
        smaller = exponential * larger
        common = log(whole) + (exponential - (whole - 1.0)) * larger
        above, below = larger if z[i] > 0.0 else smaller, smaller if z[i] > 0.0 else larger
        value += weights[i] * (t * (common + max(-z[i], 0.0)) + (1.0 - t) * (common + max(z[i], 0.0)))
        residual[i] = weights[i] * ((1.0 - t) * above - t * below)
        curvature[i] = weights[i] * (larger * smaller)
    return value


@inner
def _evaluate(rows, z, residual, curvature):
    """Σ loss of a node; residual = C s (p − t), and curvature = C s p (1 − p) for one score, else p."""
    n, q = rows.n + rows.pseudo, rows.q
    if q == 1:
        return _evaluate_binary(n, z, rows.target, rows.smoothing, rows.shares[1], rows.weights, residual, curvature)
    value = 0.0
    for i in range(n):
        base, top, total, inner = i * q, -np.inf, 0.0, 0.0
        for c in range(q):
            top = max(top, z[base + c])
        for c in range(q):
            curvature[base + c] = exp(z[base + c] - top)
            total += curvature[base + c]
        for c in range(q):
            p = curvature[base + c] / total
            t = _target(rows, i, c)
            curvature[base + c] = p
            residual[base + c] = rows.weights[i] * (p - t)
            inner += t * (z[base + c] - top)
        value += rows.weights[i] * (np.log(total) - inner)
    return value


@inner
def _target(rows, i, c):
    if rows.target[i] < 0:
        return rows.shares[c]
    return (1.0 - rows.smoothing) * (rows.target[i] == c) + rows.smoothing / rows.m


@inner
def _slope(rows, theta, residual, gradient):
    """∂F/∂θ."""
    size = rows.a * rows.q
    for k in range(size):
        gradient[k] = theta[k]
    for c in range(rows.q):
        gradient[size + c] = 0.0
    _add(rows, residual, False, gradient)


@inner
def _diagonal(rows, curvature, work, diagonal):
    """The Hessian's diagonal; the ridge's one for coefficients."""
    q, size = rows.q, rows.a * rows.q
    for k in range(size):
        diagonal[k] = 1.0
    for c in range(q):
        diagonal[size + c] = 1e-300
    if q == 1:
        _add(rows, curvature, True, diagonal)
        return
    for i in range(rows.n + rows.pseudo):
        for c in range(q):
            p = curvature[i * q + c]
            work[i * q + c] = rows.weights[i] * p * (1.0 - p)
    _add(rows, work, True, diagonal)


@inner
def _bend(n, q, weights, curvature, work):
    """`work` (n, q): changes of scores → changes of residuals."""
    if q == 1:
        for i in range(n):
            work[i] *= curvature[i]
        return
    for i in range(n):
        mean = 0.0
        for c in range(i * q, (i + 1) * q):
            mean += curvature[c] * work[c]
        for c in range(i * q, (i + 1) * q):
            work[c] = weights[i] * curvature[c] * (work[c] - mean)


@inner
def _hessian_product(rows, curvature, direction, work, product):
    q, size = rows.q, rows.a * rows.q
    _score(rows, direction, work)
    _bend(rows.n + rows.pseudo, q, rows.weights, curvature, work)
    for k in range(size):
        product[k] = direction[k]
    for c in range(q):
        product[size + c] = 0.0
    _add(rows, work, False, product)


@inner
def _conjugate_gradients(rows, buffers, share):
    """A step whose residual is `share` of the gradient's, in the norm of the diagonal."""
    gradient, diagonal, step = buffers.gradient, buffers.diagonal, buffers.step
    rest, direction, product = buffers.rest, buffers.direction, buffers.product
    size = (rows.a + 1) * rows.q
    _diagonal(rows, buffers.curvature, buffers.moved, diagonal)
    energy = 0.0
    for k in range(size):
        step[k] = 0.0
        rest[k] = -gradient[k]
    _drop_shift(rows.q, rows.a * rows.q, rest)
    for k in range(size):
        direction[k] = rest[k] / diagonal[k]
        energy += rest[k] * direction[k]
    goal = share * share * energy
    for _ in range(CONJUGATE_STEPS):
        _hessian_product(rows, buffers.curvature, direction, buffers.moved, product)
        bend = 0.0
        for k in range(size):
            bend += direction[k] * product[k]
        if not bend > 0.0:
            return
        length, left = energy / bend, 0.0
        for k in range(size):
            step[k] += length * direction[k]
            rest[k] -= length * product[k]
        _drop_shift(rows.q, rows.a * rows.q, rest)
        for k in range(size):
            left += rest[k] * rest[k] / diagonal[k]
        if left <= goal:
            return
        turn = left / energy
        energy = left
        for k in range(size):
            direction[k] = rest[k] / diagonal[k] + turn * direction[k]


@inner
def _drop_shift(q, first, vector):
    """Softmax does not see a shift of all intercepts: what rounding leaves along it has no curvature to divide by."""
    if q == 1:
        return
    shift = 0.0
    for c in range(q):
        shift += vector[first + c] / q
    for c in range(q):
        vector[first + c] -= shift


@inner
def _cholesky_solve(matrix, size, vector):
    """Solve in place with the positive definite `matrix`, of which the lower triangle is read and overwritten."""
    for j in range(size):
        for k in range(j):
            matrix[j, j] -= matrix[j, k] * matrix[j, k]
        if not matrix[j, j] > 0.0:
            return False
        matrix[j, j] = np.sqrt(matrix[j, j])
        for i in range(j + 1, size):
            for k in range(j):
                matrix[i, j] -= matrix[i, k] * matrix[j, k]
            matrix[i, j] /= matrix[j, j]
    for i in range(size):
        for k in range(i):
            vector[i] -= matrix[i, k] * vector[k]
        vector[i] /= matrix[i, i]
    for i in range(size - 1, -1, -1):
        for k in range(i + 1, size):
            vector[i] -= matrix[k, i] * vector[k]
        vector[i] /= matrix[i, i]
    return True


@inner
def _exact_step(rows, buffers, hessian):
    """Newton's step with the whole Hessian; False where it is not positive definite."""
    size, first_intercept = (rows.a + 1) * rows.q, rows.a * rows.q
    direction, product = buffers.direction, buffers.product
    for k in range(size):
        for j in range(size):
            direction[j] = 0.0
        direction[k] = 1.0
        _hessian_product(rows, buffers.curvature, direction, buffers.moved, product)
        for j in range(size):
            hessian[j, k] = product[j]
        buffers.step[k] = -buffers.gradient[k]
    _pin_shift(rows.q, first_intercept, hessian)
    return _cholesky_solve(hessian, size, buffers.step)


@inner
def _pin_shift(q, first, hessian):
    """Softmax does not see a shift of all intercepts: give it curvature, which no step along the gradient meets."""
    if q == 1:
        return
    shift = 0.0
    for c in range(q):
        shift += hessian[first + c, first + c] / q
    for c in range(q):
        for d in range(q):
            hessian[first + c, first + d] += shift


@inner
def _search(rows, buffers, value):
    """Halve the step until F falls enough; F there, with scores, residuals and curvatures, or NaN where none does."""
    size, n_scores = (rows.a + 1) * rows.q, (rows.n + rows.pseudo) * rows.q
    theta, step, moved = buffers.theta, buffers.step, buffers.moved
    slope, norm, cross, square = 0.0, 0.0, 0.0, 0.0
    for k in range(size):
        slope += buffers.gradient[k] * step[k]
    for k in range(rows.a * rows.q):
        norm += theta[k] * theta[k]
        cross += theta[k] * step[k]
        square += step[k] * step[k]
    _score(rows, step, moved)
    for k in range(n_scores):
        buffers.z[k] += moved[k]
    length = 1.0
    for _ in range(HALVINGS):
        tried = _evaluate(rows, buffers.z, buffers.residual, buffers.curvature)
        tried += 0.5 * (norm + 2.0 * length * cross + length * length * square)
        # rounding of the sums hides what a step at the optimum gains
        if tried <= value + 1e-4 * length * slope or (
            -length * slope <= ROUNDING * value and tried <= value * (1 + ROUNDING)
        ):
            for k in range(size):
                theta[k] += length * step[k]
            return tried
        length *= 0.5
        for k in range(n_scores):
            buffers.z[k] -= length * moved[k]
    return np.nan


@inner
def _solve_intercepts(rows, buffers, loss, hessian):
    """Newton's method over the intercepts alone; the loss there, with scores, residuals and curvatures."""
    n, q, first = rows.n + rows.pseudo, rows.q, rows.a * rows.q
    slope = buffers.rest
    total = 0.0
    for i in range(n):
        total += rows.weights[i]
    for _ in range(MOST_INTERCEPT_STEPS):
        largest = 0.0
        for c in range(q):
            slope[c] = 0.0
            for d in range(q):
                hessian[c, d] = 0.0
        for i in range(n):
            for c in range(q):
                slope[c] -= buffers.residual[i * q + c]
                _add_curvature(rows, i, c, buffers.curvature, hessian)
        for c in range(q):
            largest = max(largest, abs(slope[c]))
        _pin_shift(q, 0, hessian)
        if largest <= 1e-15 * total or not _cholesky_solve(hessian, q, slope):
            break
        for c in range(q):
            move = min(max(slope[c], -4.0), 4.0)
            buffers.theta[first + c] += move
            for i in range(n):
                buffers.z[i * q + c] += move
        loss = _evaluate(rows, buffers.z, buffers.residual, buffers.curvature)
        if largest <= 1e-8 * total:  # what the last step left is its square
            break
    return loss


@inner
def _add_curvature(rows, i, c, curvature, hessian):
    """Row c of one row's Hessian of scores."""
    q = rows.q
    if q == 1:
        hessian[0, 0] += curvature[i]
        return
    scaled = rows.weights[i] * curvature[i * q + c]
    for d in range(q):
        hessian[c, d] -= scaled * curvature[i * q + d]
    hessian[c, c] += scaled


@inner
def _squared_norm(vector, size):
    total = 0.0
    for k in range(size):
        total += vector[k] * vector[k]
    return total


@inner
def _certify(rows, buffers, value, hessian):
    """Solve for the intercepts; F there and ½ ‖∂F/∂W‖²."""
    size = rows.a * rows.q
    ridge = 0.5 * _squared_norm(buffers.theta, size)
    value = _solve_intercepts(rows, buffers, value - ridge, hessian) + ridge
    _slope(rows, buffers.theta, buffers.residual, buffers.gradient)
    total = 0.0
    for i in range(rows.n + rows.pseudo):
        total += rows.weights[i]
    for c in range(rows.q):
        if not abs(buffers.gradient[size + c]) <= SOLVED * total:
            return value, np.inf  # the bound holds at solved intercepts only
    return value, 0.5 * _squared_norm(buffers.gradient, size)


@inner
def newton(rows, buffers, hessian, tol, max_iter):
    """From ``buffers.theta``: F, the proved bound, the number of steps, and whether the bound is small enough."""
    size = rows.a * rows.q
    exact = size + rows.q <= EXACT_SIZE and rows.n >= size + rows.q
    _score(rows, buffers.theta, buffers.z)
    value = _evaluate(rows, buffers.z, buffers.residual, buffers.curvature)
    value += 0.5 * _squared_norm(buffers.theta, size)
    steps, before, caution = 0, np.inf, 1.0
    while True:
        _slope(rows, buffers.theta, buffers.residual, buffers.gradient)
        bound = 0.5 * _squared_norm(buffers.gradient, size)
        stalled = STALLED * value >= bound > 0.25 * before  # what is left is rounding
        if bound <= tol * value or stalled or steps >= max_iter:
            value, bound = _certify(rows, buffers, value, hessian)
            if bound <= tol * value or stalled or steps >= max_iter:
                return value, bound, steps, bound <= tol * value or stalled
            caution *= 0.1  # the intercepts moved what the last step had balanced
        before = bound
        share = caution * min(0.1, max(np.sqrt(bound / value), 0.3 * np.sqrt(tol * value / bound)))
        if not (exact and _exact_step(rows, buffers, hessian)):
            _conjugate_gradients(rows, buffers, share)
        tried = _search(rows, buffers, value)
        if np.isnan(tried):
            _score(rows, buffers.theta, buffers.z)
            value = _evaluate(rows, buffers.z, buffers.residual, buffers.curvature)
            value, bound = _certify(rows, buffers, value + 0.5 * _squared_norm(buffers.theta, size), hessian)
            return value, bound, steps, bound <= max(tol, STALLED) * value
        value = tried
        steps += 1
