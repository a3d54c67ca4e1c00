"""The kernels of fits at nodes: beginning, then Newton's method phase by phase, then what is delivered.

A block is a node's. It finds what it needs in its row of `table` (the columns are the constants below), keeps what it
goes on with in its rows of `state` and `progress`, and leaves at once where the phase is not its node's.
"""

from functools import cache

import numpy as np

from sksoft.kernels._cuda._api import WARP, cuda, device, jit
from sksoft.kernels._cuda.block_sums import block_max_of, block_sum_of
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import fabs, log, sqrt
from sksoft.kernels._cuda.node_newton import check_of, conjugate_gradients_of, exact_step_of, search_of, value_of
from sksoft.kernels._cuda.warps import larger, sum_of

# Columns of `table`: rows, those and pseudo-observations, features, scores, children, first row; where its entries
# begin in `local`, its columns, its rows in `targets`, its vectors in `work`, its coefficients, its intercepts; whether
# steps are solved for exactly, whether two children have rows; its number in the tree.
N, N_ALL, A, Q, M, START, LOCAL, COLUMN, TARGET, WORK, COEF, SCORE, EXACT, IS_FIT, NODE = range(15)
# Columns of `state`: F, the bound, the bound before the last step, how much more exact steps must be, how exact the
# next is to be, and the weight C Σ s.
VALUE, BOUND, BEFORE, CAUTION, SHARE, WEIGHT = range(6)
# Columns of `progress`: steps taken, what is next, whether the bound is small enough.
STEPS, STATUS, IS_SMALL = range(3)
# What is next: F is not known, it is known, no step descended, a step is wanted, it is there, nothing.
FRESH, MOVED, FAILED, WANTS_STEP, HAS_STEP, DONE = range(6)

ROWS = (
    "real[::1], int32[::1], int64[::1], real[::1], int32[::1], int64[::1], int64[::1], int64[::1], int64[::1], "
    "int64[:, ::1], int32[::1], real[::1], real[:, ::1], int64[:, ::1], int64, int64, int64, real, real, int64"
)


@cache
def located_of(real):
    """``(rows, table, lanes, targets, smoothing, number)``: problem, task and places of a node."""

    @device
    def places_of(z, n_all, a, q):
        """Where the vectors begin, the first at z."""
        step, theta, size = n_all * q, z + 4 * n_all * q, (a + 1) * q
        return (
            *(z, z + step, z + 2 * step, z + 3 * step, theta, theta + size, theta + 2 * size, theta + 3 * size),
            *(theta + 4 * size, theta + 5 * size, theta + 6 * size, theta + 7 * size),
        )

    @device
    def located(rows, table, lanes, targets, smoothing, number):
        width, column_width, is_dense = lanes
        n, n_all, a, q, m = table[number, N], table[number, N_ALL], table[number, A], table[number, Q], table[number, M]
        # weights of the rows, shares of the children and what they weigh, then the vectors
        row_weights = table[number, WORK]
        shares = row_weights + n + 1
        shape = (
            *(n, n_all, a, q, table[number, START], table[number, LOCAL], table[number, COLUMN], np.int64(number)),
            *(width, column_width, is_dense),
        )
        task = (targets, table[number, TARGET], row_weights, shares, m, smoothing)
        return (rows, shape), task, places_of(shares + 2 * m, n_all, a, q)

    return located


@cache
def children_of(real):
    """``(table, number, tree, weights, targets, C, work)``: C s of the rows, their children, and what those weigh."""
    team_sum, zero = sum_of(real), real(0.0)

    @device
    def children(table, number, tree, weights, targets, C, work):
        first_child, first_leaf, last_leaf, row_at = tree
        m, start, first = table[number, M], table[number, START], first_child[table[number, NODE]]
        row_weights, first_target = table[number, WORK], table[number, TARGET]
        lane, own, in_block = cuda.threadIdx.x % WARP, cuda.threadIdx.x // WARP, cuda.blockDim.x // WARP
        for base in range(0, m, in_block):
            c, lo, hi = base + own, np.int64(0), np.int64(0)
            if c < m:
                lo, hi = row_at[first_leaf[first + c]], row_at[last_leaf[first + c]]
            of_child = zero
            for i in range(lo + lane, hi, WARP):
                targets[first_target + i - start] = c
                work[row_weights + i - start] = C * weights[i]
                of_child += weights[i]
            of_child = team_sum(of_child, WARP)
            if lane == 0 and c < m:
                work[row_weights + table[number, N] + 1 + m + c] = of_child
        cuda.syncthreads()

    return children


@cache
def shares_of(real):
    """``(table, number, tree, smoothing, prior, work, shares) → Σ s``: u at `shares`, then p of the closed form."""
    zero, one = real(0.0), real(1.0)

    @device
    def fill(table, number, tree, smoothing, prior, work, shares):
        first_child, first_leaf, last_leaf, _ = tree
        m, v, total = table[number, M], table[number, NODE], zero
        for c in range(m):
            total += work[shares + m + c]
        cuda.syncthreads()  # all have read them
        leaves, pseudo = real(last_leaf[v] - first_leaf[v]), table[number, N_ALL] > table[number, N]
        for c in range(cuda.threadIdx.x, m, cuda.blockDim.x):
            child = first_child[v] + c
            share = real(last_leaf[child] - first_leaf[child]) / leaves
            p = (one - smoothing) * work[shares + m + c] + smoothing * total / real(m)
            work[shares + c], work[shares + m + c] = share, p + prior * share if pseudo else p
        cuda.syncthreads()
        return total + prior if pseudo else total

    return fill


@cache
def log_odds_of(real):
    """Intercepts with the probabilities p / Σ p, and the loss Σ_c −p_c log(p_c / Σ p) there."""
    block_sum, zero = block_sum_of(real), real(0.0)

    @device
    def log_odds(work, p, m, target):
        if m == 2:
            if cuda.threadIdx.x == 0:
                work[target] = log(work[p + 1]) - log(work[p])
            cuda.syncthreads()
            return
        own = zero
        for c in range(cuda.threadIdx.x, m, cuda.blockDim.x):
            own += log(work[p + c])
        mean = block_sum(own) / real(m)
        for c in range(cuda.threadIdx.x, m, cuda.blockDim.x):
            work[target + c] = log(work[p + c]) - mean
        cuda.syncthreads()

    @device
    def closed_form_value(work, p, m):
        total, own = zero, zero
        for c in range(m):
            total += work[p + c]
        for c in range(cuda.threadIdx.x, m, cuda.blockDim.x):
            own -= work[p + c] * (log(work[p + c]) - log(total))
        return block_sum(own)

    return log_odds, closed_form_value


@compiled(ROWS + ", real[::1], int64[::1], int64[::1], int64[::1], int64[::1], real, real, int64, real[::1], real[::1]")
def begin(real):
    """Weights, targets and shares; θ from what there is, or from the children's shares; the end in closed form."""
    located, children, fill_shares = located_of(real), children_of(real), shares_of(real)
    (log_odds, closed_form_value), zero, one = log_odds_of(real), real(0.0), real(1.0)

    @device
    def start_at(work, theta, a, q, warm, coef, at, intercept, score, p, m):
        for k in range(cuda.threadIdx.x, a * q, cuda.blockDim.x):
            work[theta + k] = coef[at + k] if warm else zero
        for c in range(cuda.threadIdx.x, q if warm else 0, cuda.blockDim.x):
            work[theta + a * q + c] = intercept[score + c]
        cuda.syncthreads()
        if not warm:
            log_odds(work, p, m, theta + a * q)

    @jit
    def begin(
        values,
        local,
        indptr,
        column_values,
        column_rows,
        column_start,
        column_stop,
        long,
        first_long,
        table,
        targets,
        work,
        state,
        progress,
        width,
        column_width,
        is_dense,
        smoothing,
        tol,
        max_iter,
        weights,
        first_child,
        first_leaf,
        last_leaf,
        row_at,
        C,
        prior,
        warm,
        coef,
        intercept,
    ):
        number = cuda.blockIdx.x
        n, a, q, m = table[number, N], table[number, A], table[number, Q], table[number, M]
        is_fit = table[number, IS_FIT]
        rows = (values, local, indptr, column_values, column_rows, column_start, column_stop, long, first_long)
        lanes, tree = (width, column_width, is_dense), (first_child, first_leaf, last_leaf, row_at)
        _, task, places = located(rows, table, lanes, targets, smoothing, number)
        shares, theta, gradient = task[3], places[4], places[5]
        children(table, number, tree, weights, targets, C, work)
        total = fill_shares(table, number, tree, smoothing, prior, work, shares)
        if cuda.threadIdx.x == 0:
            targets[table[number, TARGET] + n] = -1
            work[table[number, WORK] + n] = C * prior
        is_warm = warm != 0 and is_fit != 0
        start_at(work, theta, a, q, is_warm, coef, table[number, COEF], intercept, table[number, SCORE], shares + m, m)
        for k in range(cuda.threadIdx.x, (a + 1) * q, cuda.blockDim.x):
            work[gradient + k] = zero
        value = closed_form_value(work, shares + m, m)
        if cuda.threadIdx.x == 0:
            state[number, VALUE], state[number, BOUND], state[number, WEIGHT] = C * value, zero, C * total
            state[number, BEFORE], state[number, CAUTION] = real(np.inf), one
            progress[number, STEPS], progress[number, IS_SMALL] = 0, 1
            progress[number, STATUS] = FRESH if is_fit != 0 else DONE

    return begin


@compiled(ROWS, most_threads=256)
def assess(real):
    """F where it is not known; whether to end, or how exact a step is wanted."""
    located, value_at, check = located_of(real), value_of(real), check_of(real)
    tenth, third = real(0.1), real(0.3)

    @jit
    def assess(
        values,
        local,
        indptr,
        column_values,
        column_rows,
        column_start,
        column_stop,
        long,
        first_long,
        table,
        targets,
        work,
        state,
        progress,
        width,
        column_width,
        is_dense,
        smoothing,
        tol,
        max_iter,
    ):
        number = cuda.blockIdx.x
        status, steps = progress[number, STATUS], progress[number, STEPS]
        if status == DONE:
            return
        rows = (values, local, indptr, column_values, column_rows, column_start, column_stop, long, first_long)
        problem, task, places = located(rows, table, (width, column_width, is_dense), targets, smoothing, number)
        value, before, caution = state[number, VALUE], state[number, BEFORE], state[number, CAUTION]
        if status != MOVED:
            value = value_at(problem, task, work, places)
        value, bound, ends, is_small, is_certified = check(
            *(problem, task, work, places, value, before, status == FAILED, steps, tol, max_iter),
            state[number, WEIGHT],
        )
        # where it goes on, the intercepts moved what the last step had balanced
        caution = tenth * caution if is_certified else caution
        share = max(sqrt(bound / value), third * sqrt(tol * value / bound))
        cuda.syncthreads()  # all have read the state
        if cuda.threadIdx.x == 0:
            state[number, VALUE], state[number, BOUND], state[number, BEFORE] = value, bound, bound
            state[number, CAUTION], state[number, SHARE] = caution, caution * min(tenth, share)
            progress[number, STATUS], progress[number, IS_SMALL] = DONE if ends else WANTS_STEP, 1 if is_small else 0

    return assess


@compiled(ROWS, ((False,), (True,)), most_threads=256)
def find_step(real, exact):
    """A step by conjugate gradients; or with the whole Hessian, where that is small and positive definite."""
    located = located_of(real)
    solve = exact_step_of(real) if exact else conjugate_gradients_of(real)

    @jit
    def find_step(
        values,
        local,
        indptr,
        column_values,
        column_rows,
        column_start,
        column_stop,
        long,
        first_long,
        table,
        targets,
        work,
        state,
        progress,
        width,
        column_width,
        is_dense,
        smoothing,
        tol,
        max_iter,
    ):
        number = cuda.blockIdx.x
        if progress[number, STATUS] != WANTS_STEP or (exact and table[number, EXACT] == 0):
            return
        rows = (values, local, indptr, column_values, column_rows, column_start, column_stop, long, first_long)
        problem, task, places = located(rows, table, (width, column_width, is_dense), targets, smoothing, number)
        if exact:
            if not solve(problem, task, work, places):
                return
        else:
            solve(problem, task, work, places, state[number, SHARE])
        cuda.syncthreads()  # all have read the progress
        if cuda.threadIdx.x == 0:
            progress[number, STATUS] = HAS_STEP

    return find_step


@compiled(ROWS, most_threads=256)
def take_step(real):
    """Halve the step until F falls enough."""
    located, search = located_of(real), search_of(real)

    @jit
    def take_step(
        values,
        local,
        indptr,
        column_values,
        column_rows,
        column_start,
        column_stop,
        long,
        first_long,
        table,
        targets,
        work,
        state,
        progress,
        width,
        column_width,
        is_dense,
        smoothing,
        tol,
        max_iter,
    ):
        number = cuda.blockIdx.x
        if progress[number, STATUS] != HAS_STEP:
            return
        rows = (values, local, indptr, column_values, column_rows, column_start, column_stop, long, first_long)
        problem, task, places = located(rows, table, (width, column_width, is_dense), targets, smoothing, number)
        tried = search(problem, task, work, places, state[number, VALUE])
        cuda.syncthreads()  # all have read the progress
        if cuda.threadIdx.x == 0:
            if tried != tried:
                progress[number, STATUS] = FAILED
            else:
                state[number, VALUE] = tried
                progress[number, STATUS], progress[number, STEPS] = MOVED, progress[number, STEPS] + 1

    return take_step


@compiled(
    "int64[:, ::1], real[::1], real[:, ::1], int64[:, ::1], real[::1], real[::1], real[:, ::1], real[::1], int64[::1]"
)
def deliver(real):
    """Coefficients and intercepts, those of softmax with sum zero; what is proved; F."""
    block_sum, block_max, zero = block_sum_of(real), block_max_of(real), real(0.0)

    @jit
    def deliver(table, work, state, progress, coef, intercept, proof, objective, numbers):
        number, thread, n_threads = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
        n, a, q, m = table[number, N], table[number, A], table[number, Q], table[number, M]
        theta = table[number, WORK] + n + 1 + 2 * m + 4 * table[number, N_ALL] * q
        gradient, at, score = theta + (a + 1) * q, table[number, COEF], table[number, SCORE]
        total, largest = zero, zero
        for c in range(thread, q, n_threads):
            total += work[theta + a * q + c]
        for k in range(thread, (a + 1) * q, n_threads):
            largest = larger(fabs(work[gradient + k]), largest)
        shift, largest = block_sum(total) / real(q), block_max(largest)
        for k in range(thread, a * q, n_threads):
            coef[at + k] = work[theta + k]
        for c in range(thread, q, n_threads):
            intercept[score + c] = work[theta + a * q + c] - (shift if q > 1 else zero)
        if thread == 0:
            place = numbers[number]
            objective[place] = state[number, VALUE]
            proof[place, 0], proof[place, 1] = state[number, BOUND], largest
            proof[place, 2], proof[place, 3] = real(progress[number, STEPS]), real(progress[number, IS_SMALL])

    return deliver
