"""Newton's method for the ridge regression of one node, by a block: the algorithm of ``_numba/node_newton.py``.

It is cut into phases, each a kernel in ``tree_nodes``, so that none is too long to compile. All threads of a block take
the same decisions, on sums that have the same bits in all of them. A problem is that of ``node_rows``, a task that of
``node_losses``; *places* are where vectors begin in `work`:

    z, moved, residual, curvature                                    n_all × q
    theta, gradient, diagonal, step, rest, direction, product        (a + 1) × q, coefficients score by score
    hessian                                                          q × q, or of all parameters where it is exact
"""

from functools import cache

import numpy as np

from sksoft.kernels._cuda._api import cuda, device
from sksoft.kernels._cuda.block_cholesky import solve_of
from sksoft.kernels._cuda.block_sums import block_max_of, block_sum_of
from sksoft.kernels._cuda.elementary import fabs
from sksoft.kernels._cuda.node_losses import bend_of, evaluate_of, intercept_system_of, pin_shift_of
from sksoft.kernels._cuda.node_rows import add_columns_of, score_of
from sksoft.kernels._cuda.warps import larger
from sksoft.kernels.tree_nodes import HALVINGS, ROUNDING, STALLED

# Up to so many parameters, and as many rows, a step solves with the whole Hessian.
EXACT_SIZE = 32
CONJUGATE_STEPS = 250
# Intercepts are solved for when their gradient is this share of the weight: rounding leaves less.
SOLVED, MOST_INTERCEPT_STEPS = 1e-10, 60


@cache
def dot_of(real):
    """``(work, u, v, size) → Σ u v``, in all threads."""
    block_sum, zero = block_sum_of(real), real(0.0)

    @device
    def dot(work, u, v, size):
        own = zero
        for k in range(cuda.threadIdx.x, size, cuda.blockDim.x):
            own += work[u + k] * work[v + k]
        return block_sum(own)

    return dot


@cache
def largest_of_(real):
    """``(work, vector, size) → max |v|``, in all threads."""
    block_max, zero = block_max_of(real), real(0.0)

    @device
    def largest(work, vector, size):
        own = zero
        for k in range(cuda.threadIdx.x, size, cuda.blockDim.x):
            own = larger(fabs(work[vector + k]), own)
        return block_max(own)

    return largest


@cache
def with_ridge_of(real):
    """``(problem, work, vector, total)``: ``total = (W, 0)``."""
    zero = real(0.0)

    @device
    def with_ridge(problem, work, vector, total):
        n_ridge = problem[1][2] * problem[1][3]
        for k in range(cuda.threadIdx.x, n_ridge + problem[1][3], cuda.blockDim.x):
            work[total + k] = work[vector + k] if k < n_ridge else zero
        cuda.syncthreads()

    return with_ridge


@cache
def slope_of(real):
    """``(problem, work, places)``: `gradient`, ∂F/∂θ."""
    with_ridge, add_columns = with_ridge_of(real), add_columns_of(real)

    @device
    def slope(problem, work, places):
        _, _, residual, _, theta, gradient, _, _, _, _, _, _ = places
        with_ridge(problem, work, theta, gradient)
        add_columns(problem, work, residual, False, gradient)

    return slope


@cache
def hessian_product_of(real):
    """``(problem, task, work, places)``: `product`, the Hessian times `direction`."""
    score, bend, with_ridge, add_columns = score_of(real), bend_of(real), with_ridge_of(real), add_columns_of(real)

    @device
    def hessian_product(problem, task, work, places):
        _, moved, _, curvature, _, _, _, _, _, direction, product, _ = places
        score(problem, work, direction, moved)
        bend(task, work, problem[1][1], problem[1][3], curvature, moved)
        with_ridge(problem, work, direction, product)
        add_columns(problem, work, moved, False, product)

    return hessian_product


@cache
def diagonal_of(real):
    """``(problem, task, work, places)``: the Hessian's `diagonal`; the ridge's one for coefficients."""
    add_columns, one, least = add_columns_of(real), real(1.0), real(1e-300) if real is np.float64 else real(1e-37)

    @device
    def fill_diagonal(problem, task, work, places):
        _, moved, _, curvature, _, _, diagonal, _, _, _, _, _ = places
        _, n_all, a, q, _, _, _, _, _, _, _ = problem[1]
        for k in range(cuda.threadIdx.x, (a + 1) * q, cuda.blockDim.x):
            work[diagonal + k] = one if k < a * q else least
        for t in range(cuda.threadIdx.x, n_all * q, cuda.blockDim.x):
            p = work[curvature + t]
            work[moved + t] = p if q == 1 else work[task[2] + t // q] * p * (one - p)
        cuda.syncthreads()
        add_columns(problem, work, moved, True, diagonal)

    return fill_diagonal


@cache
def conjugate_gradients_of(real):
    """``(problem, task, work, places, share)``: a step whose residual is `share` of the gradient's."""
    hessian_product, fill_diagonal = hessian_product_of(real), diagonal_of(real)
    dot, block_sum, zero = dot_of(real), block_sum_of(real), real(0.0)

    @device
    def drop_shift(work, q, first):
        """What rounding leaves along the shift that softmax does not see has no curvature to divide by."""
        if q == 1:
            return
        shift = zero
        for c in range(q):
            shift += work[first + c] / real(q)
        cuda.syncthreads()  # all have read it
        for c in range(cuda.threadIdx.x, q, cuda.blockDim.x):
            work[first + c] -= shift
        cuda.syncthreads()

    @device
    def energy_of(work, rest, diagonal, size):
        own = zero
        for k in range(cuda.threadIdx.x, size, cuda.blockDim.x):
            own += work[rest + k] * work[rest + k] / work[diagonal + k]
        return block_sum(own)

    @device
    def conjugate_gradients(problem, task, work, places, share):
        _, _, _, _, _, gradient, diagonal, step, rest, direction, product, _ = places
        a, q = problem[1][2], problem[1][3]
        size, thread, n_threads = (a + 1) * q, cuda.threadIdx.x, cuda.blockDim.x
        fill_diagonal(problem, task, work, places)
        for k in range(thread, size, n_threads):
            work[step + k] = zero
            work[rest + k] = -work[gradient + k]
        cuda.syncthreads()
        drop_shift(work, q, rest + a * q)
        for k in range(thread, size, n_threads):
            work[direction + k] = work[rest + k] / work[diagonal + k]
        energy = energy_of(work, rest, diagonal, size)
        goal = share * share * energy
        for _ in range(CONJUGATE_STEPS):
            hessian_product(problem, task, work, places)
            bend = dot(work, direction, product, size)
            if not bend > zero:
                return
            length = energy / bend
            for k in range(thread, size, n_threads):
                work[step + k] += length * work[direction + k]
                work[rest + k] -= length * work[product + k]
            cuda.syncthreads()
            drop_shift(work, q, rest + a * q)
            left = energy_of(work, rest, diagonal, size)
            if left <= goal:
                return
            turn = left / energy
            energy = left
            for k in range(thread, size, n_threads):
                work[direction + k] = work[rest + k] / work[diagonal + k] + turn * work[direction + k]
            cuda.syncthreads()

    return conjugate_gradients


@cache
def exact_step_of(real):
    """``(problem, task, work, places) → bool``: Newton's step with the whole Hessian, if that is positive definite."""
    hessian_product = hessian_product_of(real)
    solve, pin_shift, zero, one = solve_of(real), pin_shift_of(real), real(0.0), real(1.0)

    @device
    def exact_step(problem, task, work, places):
        _, _, _, _, _, gradient, _, step, _, direction, product, hessian = places
        a, q = problem[1][2], problem[1][3]
        size, thread, n_threads = (a + 1) * q, cuda.threadIdx.x, cuda.blockDim.x
        for k in range(size):
            for j in range(thread, size, n_threads):
                work[direction + j] = one if j == k else zero
            cuda.syncthreads()
            hessian_product(problem, task, work, places)
            for j in range(thread, size, n_threads):
                work[hessian + j * size + k] = work[product + j]
            cuda.syncthreads()
        for k in range(thread, size, n_threads):
            work[step + k] = -work[gradient + k]
        cuda.syncthreads()
        pin_shift(work, q, size, a * q, hessian)
        return solve(work, hessian, size, step)

    return exact_step


@cache
def search_of(real):
    """``(problem, task, work, places, value)``: halve the step until F falls enough; F there, NaN where none does."""
    score, evaluate, dot = score_of(real), evaluate_of(real), dot_of(real)
    half, one, armijo, rounding = real(0.5), real(1.0), real(1e-4), real(ROUNDING)

    @device
    def search(problem, task, work, places, value):
        z, moved, residual, curvature, theta, gradient, _, step, _, _, _, _ = places
        _, n_all, a, q, _, _, _, _, _, _, _ = problem[1]
        size, thread, n_threads = (a + 1) * q, cuda.threadIdx.x, cuda.blockDim.x
        slope = dot(work, gradient, step, size)
        norm, cross = dot(work, theta, theta, a * q), dot(work, theta, step, a * q)
        square = dot(work, step, step, a * q)
        score(problem, work, step, moved)
        length, shift = one, one
        for _ in range(HALVINGS):
            for t in range(thread, n_all * q, n_threads):
                work[z + t] += shift * work[moved + t]
            cuda.syncthreads()
            tried = evaluate(task, work, n_all, q, z, residual, curvature)
            tried += half * (norm + length * (cross + cross) + length * length * square)
            # rounding of the sums hides what a step at the optimum gains
            is_noise = -length * slope <= rounding * value and tried <= value * (one + rounding)
            if tried <= value + armijo * length * slope or is_noise:
                for k in range(thread, size, n_threads):
                    work[theta + k] += length * work[step + k]
                cuda.syncthreads()
                return tried
            length *= half
            shift = -length
        return real(np.nan)

    return search


@cache
def solve_intercepts_of(real):
    """``(problem, task, work, places, loss, total)``: Newton's method over the intercepts alone; Σ loss there.

    `total` is the weight C Σ s. Ends with scores, residuals and curvatures.
    """
    evaluate, system, solve = evaluate_of(real), intercept_system_of(real), solve_of(real)
    largest_of, four, exact, near = largest_of_(real), real(4.0), real(1e-15), real(1e-8)

    @device
    def move_intercepts(work, n_all, q, slope, theta, z):
        """By `slope`, no further than 4."""
        for t in range(cuda.threadIdx.x, (n_all + 1) * q, cuda.blockDim.x):
            move = work[slope + t % q]
            move = four if move > four else (-four if move < -four else move)
            if t < n_all * q:
                work[z + t] += move
            else:
                work[theta + t - n_all * q] += move
        cuda.syncthreads()

    @device
    def solve_intercepts(problem, task, work, places, loss, total):
        z, _, residual, curvature, theta, _, _, _, slope, _, _, hessian = places
        _, n_all, a, q, _, _, _, _, _, _, _ = problem[1]
        for _ in range(MOST_INTERCEPT_STEPS):
            system(task, work, n_all, q, residual, curvature, slope, hessian)
            largest = largest_of(work, slope, q)
            if largest <= exact * total or not solve(work, hessian, q, slope):
                break
            move_intercepts(work, n_all, q, slope, theta + a * q, z)
            loss = evaluate(task, work, n_all, q, z, residual, curvature)
            if largest <= near * total:  # what the last step left is its square
                break
        return loss

    return solve_intercepts


@cache
def value_of(real):
    """``(problem, task, work, places)``: F at θ, with scores, residuals and curvatures."""
    score, evaluate, dot, half = score_of(real), evaluate_of(real), dot_of(real), real(0.5)

    @device
    def value(problem, task, work, places):
        z, _, residual, curvature, theta, _, _, _, _, _, _, _ = places
        _, n_all, a, q, _, _, _, _, _, _, _ = problem[1]
        score(problem, work, theta, z)
        return evaluate(task, work, n_all, q, z, residual, curvature) + half * dot(work, theta, theta, a * q)

    return value


@cache
def check_of(real):
    """``(problem, task, work, places, value, before, failed, steps, tol, max_iter, total)``: is this the end?

    The bound is proved at solved intercepts only: they are solved for where it may be small enough, or nothing better
    can be had. Returns F, the bound, whether that is what is delivered, whether it is small enough, and whether the
    intercepts were solved for.
    """
    dot, slope, solve_intercepts = dot_of(real), slope_of(real), solve_intercepts_of(real)
    largest_of, half, quarter = largest_of_(real), real(0.5), real(0.25)
    stalled_share, solved, never = real(STALLED), real(SOLVED), real(np.inf)

    @device
    def check(problem, task, work, places, value, before, failed, steps, tol, max_iter, total):
        theta, gradient, q = places[4], places[5], problem[1][3]
        n_ridge, stalled, is_certified = problem[1][2] * q, False, False
        bound = never
        for turn in range(2):
            slope(problem, work, places)
            bound = half * dot(work, gradient, gradient, n_ridge)
            if turn == 1:
                if not largest_of(work, gradient + n_ridge, q) <= solved * total:
                    bound = never
                is_certified = True
                break
            # what is left is rounding
            stalled = stalled_share * value >= bound and bound > quarter * before
            if not (bound <= tol * value or stalled or failed or steps >= max_iter):
                break
            ridge = half * dot(work, theta, theta, n_ridge)
            value = solve_intercepts(problem, task, work, places, value - ridge, total) + ridge
        limit = stalled_share if failed and stalled_share > tol else tol
        is_small = bound <= limit * value or (stalled and not failed)
        return value, bound, is_certified and (is_small or failed or steps >= max_iter), is_small, is_certified

    return check
