"""Products with the Jacobians of softmax and of α-entmax: ``w q ∘ (v − ⟨q, v⟩ / Σ q)`` with ``q = p^(2 − α)``.

A short row of p and of v is held in the registers of a team of lanes; along a long one a block walks twice. A lane
reads the entries that it writes, so that the product may overwrite either.

Where q is nearly one entry's the mean is nearly that entry's v, and their difference all that is left: ⟨q, v⟩ is summed
as if in twice the precision ([1]_, algorithm 5.3), and subtracted in two parts.

References
----------
.. [1] Ogita, Rump, Oishi, "Accurate sum and dot product", SIAM J. Sci. Comput. 26(6), 2005.
"""

import numpy as np

from sksoft.kernels._cuda._api import cuda, device, jit, times, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import exp, fma, log, sqrt
from sksoft.kernels._cuda.layout import contiguous, delivered, result
from sksoft.kernels._cuda.pieces import held_pieces, pieces
from sksoft.kernels._cuda.row_teams import aligned, held_teams
from sksoft.kernels._cuda.warps import corrected, numba_type, pair_sum_of, two_sum

# proba, vectors, weights or none, 2 − α, whether to divide by Σ q, width, n, K, product
SIGNATURE = "real[::1], real[::1], float64[::1], real, boolean, int64, int64, int64, real[::1]"
QUADS = ((False,), (True,))


def support_power_of(real):
    """``p ^ exponent`` where p is not 0, and 0 where it is."""
    zero, half, one = real(0.0), real(0.5), real(1.0)

    @device
    def support_power(p, exponent):
        if p == zero or exponent == one:
            return p
        if exponent == half:
            return sqrt(p)
        if exponent == zero:
            return p / p
        return exp(exponent * log(p))

    return support_power


def entry_of(real):
    """``w q (v − mean)``, the mean in two parts; 0 where a factor before the bracket is."""
    zero = real(0.0)

    @device
    def entry(q, v, mean, mean_low, weight):
        return zero if q == zero or weight == zero else weight * (q * corrected(v - mean, mean_low))

    return entry


def quotient_of(real):
    """A number in two parts divided by another, in two parts."""
    one = real(1.0)

    @device
    def quotient(high, low, by, by_low):
        ratio = high / by
        left = corrected(corrected(fma(-ratio, by, high), ratio * by_low), -low)
        return ratio, left * (one / by)

    return quotient


@device
def add_product(high, low, a, b):
    """``high + low + a b``, of which `low` has what rounding takes from `high`."""
    ab = times(a, b)  # fused with the sum that it goes to, it would be there with its rest
    high, lost = two_sum(high, ab)
    return high, low + (lost + fma(a, b, -ab))


@device
def add(high, low, a):
    high, lost = two_sum(high, a)
    return high, low + lost


@compiled(SIGNATURE, QUADS, wide=lambda quads: quads, most_threads=256)
def held(real, quads):
    row_sum, kind = pair_sum_of(real), numba_type(real)
    size, take, put = pieces(real, quads)
    n_held = held_pieces(quads)
    n_cells = n_held * size
    support_power, entry_of_product = support_power_of(real), entry_of(real)
    quotient, zero, one = quotient_of(real), real(0.0), real(1.0)

    @jit
    def held(proba, vectors, weights, exponent, normalised, width, n, n_classes, product):
        q = cuda.local.array(n_cells, kind)
        v = cuda.local.array(n_cells, kind)
        lane, own = cuda.threadIdx.x % width, cuda.threadIdx.x // width
        in_block = cuda.blockDim.x // width
        first = cuda.blockIdx.x * in_block
        while first < n:
            row = first + own
            begin, last, weight = row * n_classes, 0, one
            if row < n:
                last = n_classes
                if weights.size > 0:
                    weight = real(weights[row])
            for j in range(n_held):
                k = size * (lane + j * width)
                if k < last:
                    take(proba, begin + k, q, j * size)
                    take(vectors, begin + k, v, j * size)
            mean, mean_low, mass, mass_low = zero, zero, zero, zero
            for j in range(n_held):
                if size * (lane + j * width) < last:
                    for i in range(j * size, j * size + size):
                        q[i] = support_power(q[i], exponent)
                        if q[i] != zero:
                            mass, mass_low = add(mass, mass_low, q[i])
                            mean, mean_low = add_product(mean, mean_low, q[i], v[i])
            mean, mean_low = row_sum(mean, mean_low, width)
            if normalised:
                mass, mass_low = row_sum(mass, mass_low, width)
                mean, mean_low = quotient(mean, mean_low, mass, mass_low)
            for j in range(n_held):
                k = size * (lane + j * width)
                if k < last:
                    for i in range(j * size, j * size + size):
                        v[i] = entry_of_product(q[i], v[i], mean, mean_low, weight)
                    put(product, begin + k, v, j * size)
            first += cuda.gridDim.x * in_block

    return held


@compiled(SIGNATURE, QUADS, wide=lambda quads: quads)
def walked(real, quads):
    row_sum, kind = pair_sum_of(real, whole_block=True), numba_type(real)
    size, take, put = pieces(real, quads)
    support_power, entry_of_product = support_power_of(real), entry_of(real)
    quotient, zero, one = quotient_of(real), real(0.0), real(1.0)

    @jit
    def walked(proba, vectors, weights, exponent, normalised, width, n, n_classes, product):
        q = cuda.local.array(size, kind)
        v = cuda.local.array(size, kind)
        lane = cuda.threadIdx.x
        for row in range(cuda.blockIdx.x, n, cuda.gridDim.x):
            begin = row * n_classes
            weight = real(weights[row]) if weights.size > 0 else one
            mean, mean_low, mass, mass_low = zero, zero, zero, zero
            for k in range(size * lane, n_classes, size * width):
                take(proba, begin + k, q, 0)
                take(vectors, begin + k, v, 0)
                for i in range(size):
                    power = support_power(q[i], exponent)
                    if power != zero:
                        mass, mass_low = add(mass, mass_low, power)
                        mean, mean_low = add_product(mean, mean_low, power, v[i])
            mean, mean_low = row_sum(mean, mean_low, width)
            if normalised:
                mass, mass_low = row_sum(mass, mass_low, width)
                mean, mean_low = quotient(mean, mean_low, mass, mass_low)
            for k in range(size * lane, n_classes, size * width):
                take(proba, begin + k, q, 0)
                take(vectors, begin + k, v, 0)
                for i in range(size):
                    v[i] = entry_of_product(support_power(q[i], exponent), v[i], mean, mean_low, weight)
                put(product, begin + k, v, 0)

    return walked


def jacobian_product(proba, vectors, weights, out, alpha=1.0, *, normalised=False):
    """The product, (n, K); not divided by Σ q where that is 1 by nature."""
    computed = result(proba.shape, proba.dtype if out is None else out.dtype, out)
    dtype = computed.dtype
    proba, vectors = contiguous(proba, dtype), contiguous(vectors, dtype)
    weights = xp.empty(0, np.float64) if weights is None else contiguous(weights, np.float64)
    quads = aligned(proba, vectors, computed)
    n, n_classes = proba.shape
    grid = held_teams(n, n_classes, dtype.itemsize, quads)
    arguments = proba.reshape(-1), vectors.reshape(-1), weights, 2.0 - alpha, normalised, grid.width, n, n_classes
    kernel = walked if grid.whole_block else held
    kernel.launch(dtype, grid, (*arguments, computed.reshape(-1)), variant=(quads,))
    return delivered(computed, out)
