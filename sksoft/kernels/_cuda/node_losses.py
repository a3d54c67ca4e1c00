"""Loss, residuals and curvatures of one node's rows at given scores; a thread for a row, a block for the node.

A *task* is a tuple: ``target, first_target, weights, shares, m, smoothing``: the child of each row, −1 for the
pseudo-observations, in int32 from `first_target` on; where C s of the rows, and then the children's shares of the
pseudo-observations, begin in `work`; the number of children; the label smoothing.
"""

from functools import cache

import numpy as np

from sksoft.kernels._cuda._api import cuda, device
from sksoft.kernels._cuda.block_sums import block_sum_of
from sksoft.kernels._cuda.elementary import exp, fabs, log, log1p


@cache
def target_of(real):
    """What child c has of row i in the targets."""
    one, zero = real(1.0), real(0.0)

    @device
    def share(task, work, i, c):
        target, first_target, _, shares, m, smoothing = task
        child = target[first_target + i]
        if child < 0:
            return work[shares + c]
        return (one - smoothing) * (one if child == c else zero) + smoothing / real(m)

    return share


@cache
def evaluate_of(real):
    """``(task, work, n_all, q, z, residual, curvature) → Σ loss``, in all threads.

    Writes C s (p − t), and C s p (1 − p) for one score, p for more.
    """
    block_sum, share = block_sum_of(real), target_of(real)
    zero, one, lowest = real(0.0), real(1.0), real(-np.inf)

    @device
    def one_score(task, work, i, z, residual, curvature):
        score, weight, t = work[z + i], work[task[2] + i], share(task, work, i, 1)
        exponential = exp(-fabs(score))
        larger = one / (one + exponential)
        smaller = exponential * larger
        common = log1p(exponential)
        above = larger if score > zero else smaller
        below = smaller if score > zero else larger
        work[residual + i] = weight * ((one - t) * above - t * below)
        work[curvature + i] = weight * (larger * smaller)
        falling, rising = -score if score < zero else zero, score if score > zero else zero
        return weight * (t * (common + falling) + (one - t) * (common + rising))

    @device
    def many_scores(task, work, i, q, z, residual, curvature):
        first, weight = i * q, work[task[2] + i]
        top = lowest
        for c in range(q):
            top = work[z + first + c] if work[z + first + c] > top else top
        total, pulled = zero, zero
        for c in range(q):
            exponential = exp(work[z + first + c] - top)
            work[curvature + first + c] = exponential
            total += exponential
        for c in range(q):
            p, t = work[curvature + first + c] / total, share(task, work, i, c)
            work[curvature + first + c] = p
            work[residual + first + c] = weight * (p - t)
            pulled += t * (work[z + first + c] - top)
        return weight * (log(total) - pulled)

    @device
    def evaluate(task, work, n_all, q, z, residual, curvature):
        own = zero
        for i in range(cuda.threadIdx.x, n_all, cuda.blockDim.x):
            if q == 1:
                own += one_score(task, work, i, z, residual, curvature)
            else:
                own += many_scores(task, work, i, q, z, residual, curvature)
        return block_sum(own)

    return evaluate


@cache
def bend_of(real):
    """``(task, work, n_all, q, curvature, changes)``: of scores, in place to those of residuals."""
    zero = real(0.0)

    @device
    def bend(task, work, n_all, q, curvature, changes):
        for i in range(cuda.threadIdx.x, n_all, cuda.blockDim.x):
            if q == 1:
                work[changes + i] *= work[curvature + i]
                continue
            mean = zero
            for c in range(i * q, (i + 1) * q):
                mean += work[curvature + c] * work[changes + c]
            for c in range(i * q, (i + 1) * q):
                work[changes + c] = work[task[2] + i] * work[curvature + c] * (work[changes + c] - mean)
        cuda.syncthreads()

    return bend


@cache
def intercept_system_of(real):
    """``(task, work, n_all, q, residual, curvature, slope, hessian)``: minus the gradient, and the Hessian, in b.

    Softmax does not see a shift of all intercepts: that gets curvature, which no step along the gradient meets.
    """
    block_sum, zero, few = block_sum_of(real), real(0.0), 8

    @device
    def entry(task, work, q, curvature, i, c, d):
        p = work[curvature + i * q + c]
        if q == 1:
            return p
        scaled = work[task[2] + i] * p
        return scaled * ((real(1.0) if c == d else zero) - work[curvature + i * q + d])

    @device
    def fill(task, work, n_all, q, curvature, hessian):
        """Few entries: the block for each; many: each a thread's."""
        thread, n_threads = cuda.threadIdx.x, cuda.blockDim.x
        for pair in range(q * q if q <= few else 0):
            own = zero
            for i in range(thread, n_all, n_threads):
                own += entry(task, work, q, curvature, i, pair // q, pair % q)
            own = block_sum(own)
            if thread == 0:
                work[hessian + pair] = own
        for pair in range(thread, q * q if q > few else 0, n_threads):
            own = zero
            for i in range(n_all):
                own += entry(task, work, q, curvature, i, pair // q, pair % q)
            work[hessian + pair] = own
        cuda.syncthreads()

    @device
    def intercept_system(task, work, n_all, q, residual, curvature, slope, hessian):
        thread, n_threads = cuda.threadIdx.x, cuda.blockDim.x
        for c in range(q):
            own = zero
            for i in range(thread, n_all, n_threads):
                own -= work[residual + i * q + c]
            own = block_sum(own)
            if thread == 0:
                work[slope + c] = own
        fill(task, work, n_all, q, curvature, hessian)
        pin_shift(work, q, q, 0, hessian)

    pin_shift = pin_shift_of(real)
    return intercept_system


@cache
def pin_shift_of(real):
    """``(work, q, size, first, hessian)``: curvature along the shift of the q intercepts that begin at `first`."""
    zero = real(0.0)

    @device
    def pin_shift(work, q, size, first, hessian):
        if q == 1:
            return
        shift = zero
        for c in range(q):
            shift += work[hessian + (first + c) * size + first + c] / real(q)
        cuda.syncthreads()  # all have read it
        for pair in range(cuda.threadIdx.x, q * q, cuda.blockDim.x):
            work[hessian + (first + pair // q) * size + first + pair % q] += shift
        cuda.syncthreads()

    return pin_shift
