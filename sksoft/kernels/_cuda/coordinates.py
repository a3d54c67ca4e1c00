"""Coordinate descent on a device, in float64.

The two descents are sequential by contract: one block walks along the coordinates, and its threads share the rows. So
a device pays for long columns only, and there as one of its multiprocessors does.

* ``combine_columns`` with dense columns: a thread for each entry of the result. With sparse ones: a team of lanes for
  each column, all at once, whose entries are added up as integers (``fixed_point``).
* ``project_on_columns``: a warp for a coordinate, or a block where columns are long.

Columns come to kernels in one form: `values` (c, n) if dense, (1, nnz) if sparse, with `indptr` and `indices`, which
else are empty.
"""

from itertools import product

import numpy as np

from sksoft.kernels import coordinates
from sksoft.kernels._cuda._api import BLOCK, TEAM, cuda, device, jit, max_blocks, xp
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.elementary import fabs, sqrt
from sksoft.kernels._cuda.fixed_point import add_of, largest, scale_of, totals
from sksoft.kernels._cuda.layout import contiguous, delivered, result
from sksoft.kernels._cuda.row_teams import teams
from sksoft.kernels._cuda.warps import sum_of

SPARSE = ((False,), (True,))


def entries_of(sparse):
    """``(values, indptr, j) -> (first, last, line)`` of column j, and ``(indices, e) -> row`` of an entry."""

    @device
    def entries(values, indptr, j):
        if sparse:
            return indptr[j], indptr[j + 1], 0
        return 0, values.shape[1], j

    @device
    def row_of(indices, e):
        if sparse:
            return indices[e]
        return e

    return entries, row_of


def dot_of(real, sparse):
    """``(values, indptr, indices, j, vector) -> `` a thread's share of ⟨x_j, vector⟩ over the block."""
    entries, row_of = entries_of(sparse)
    zero = real(0.0)

    @device
    def dot(values, indptr, indices, j, vector):
        first, last, line = entries(values, indptr, j)
        total = zero
        for e in range(first + cuda.threadIdx.x, last, cuda.blockDim.x):
            total += values[line, e] * vector[row_of(indices, e)]
        return total

    return dot


def _parts(columns):
    """Values, indptr and indices as kernels read them, and the variant."""
    if len(columns) == 1:
        return (contiguous(columns[0]), xp.empty(0, np.int64), xp.empty(0, np.int32)), (False,)
    indptr, indices, values = columns
    return (contiguous(values).reshape(1, -1), contiguous(indptr, np.int64), contiguous(indices, np.int32)), (True,)


def _stacked(*arrays):
    return contiguous(xp.stack(arrays))


@compiled(
    "real[:, ::1], int64[::1], int32[::1], real[:, ::1], real[::1], real[::1], real[::1], int64[::1], int64[::1],"
    "real[:, ::1], real[::1], real[:, ::1], real[::1], real[::1], real[::1], real[::1]",
    SPARSE,
)
def walk(real, sparse):
    """``coordinate_sweep`` by one block; `penalties` are l1, l2, lower and upper."""
    block_sum, zero, one = sum_of(real, whole_block=True), real(0.0), real(1.0)
    (entries, row_of), dot = entries_of(sparse), dot_of(real, sparse)

    @device
    def reached(target, l1, lower, upper, total):
        size = fabs(target) - l1
        x = zero if size <= zero else (size if target > zero else -size) / total
        x = lower if x < lower else x
        return upper if x > upper else x

    @device
    def move(values, indptr, indices, j, delta, bend, residual, scores):
        first, last, line = entries(values, indptr, j)
        for e in range(first + cuda.threadIdx.x, last, cuda.blockDim.x):
            i, change = row_of(indices, e), delta * values[line, e]
            scores[i] += change
            residual[i] += bend[i] * change
        cuda.syncthreads()

    @jit
    def walk(
        values, indptr, indices, proba, weights, slopes, curvature, members, starts, penalties, position, scores, mean,
        residual, bend, decrement,
    ):  # fmt: skip
        found = zero
        for k in range(proba.shape[0]):
            for i in range(cuda.threadIdx.x, proba.shape[1], cuda.blockDim.x):
                share = weights[i] * proba[k, i]
                residual[i] = share * (scores[k, i] - mean[i])
                bend[i] = share * (one - proba[k, i])
                mean[i] -= proba[k, i] * scores[k, i]
            cuda.syncthreads()
            for s in range(starts[k], starts[k + 1]):
                total = curvature[s] + penalties[1, s]
                if total > zero:
                    # read before the barriers of the sum, behind which a thread writes it
                    old = position[s]
                    slope = slopes[s] + block_sum(dot(values, indptr, indices, members[s], residual), cuda.blockDim.x)
                    target = curvature[s] * old - slope
                    delta = reached(target, penalties[0, s], penalties[2, s], penalties[3, s], total) - old
                    if delta != zero:
                        if cuda.threadIdx.x == 0:
                            position[s] = old + delta
                        found += total * delta * delta
                        move(values, indptr, indices, members[s], delta, bend, residual, scores[k])
            for i in range(cuda.threadIdx.x, proba.shape[1], cuda.blockDim.x):
                mean[i] += proba[k, i] * scores[k, i]
        if cuda.threadIdx.x == 0:
            decrement[0] = found

    return walk


@coordinates.coordinate_sweep.implement("cuda", writes=("position", "scores", "mean"))
def coordinate_sweep(
    proba, weights, slopes, curvature, *, columns, members, starts, l1, l2, lower, upper, position, scores, mean
):
    parts, variant = _parts(columns)
    residual, bend = xp.empty((2, proba.shape[1]))
    inputs = [contiguous(array) for array in (proba, weights, slopes, curvature, members, starts)]
    written = [contiguous(array) for array in (position, scores, mean)]
    penalties, decrement = _stacked(l1, l2, lower, upper), xp.zeros(1)
    walk.launch(
        np.float64, (1, TEAM), (*parts, *inputs, penalties, *written, residual, bend, decrement), variant=variant
    )
    for computed, out in zip(written, (position, scores, mean)):
        delivered(computed, out)
    return float(decrement[0])


@compiled(
    "real[:, ::1], int64[::1], int32[::1], real[:, ::1], real[::1], real[:, ::1], real[::1], int64[::1],"
    "real[:, ::1], real[:, :, ::1], real[:, ::1], real[:, ::1], real[::1], real[:, ::1], real[::1], real[::1]",
    SPARSE,
)
def walk_groups(real, sparse):
    """``group_sweep`` by one block; `penalties` are l1 and l2, `bounds` lower and upper; `target` is scratch, (R,).

    Thread ``k mod threads`` alone reads and writes entry k of a group until its step is known. All sums over the block
    stand in the kernel itself: shared memory of a function that two others call would be linked twice.
    """
    block_sum, zero = sum_of(real, whole_block=True), real(0.0)
    (entries, row_of), dot = entries_of(sparse), dot_of(real, sparse)

    @device
    def aim(curvature, position, slope, lower, upper, target, k):
        """Target of entry k; returns its square."""
        x = curvature * position - slope
        x = lower if x < lower else x
        x = upper if x > upper else x
        target[k] = x
        return x * x

    @device
    def step(factor, s, position, target):
        """The step in place of the target, for all threads to see behind a barrier; a share of its square."""
        square = zero
        for k in range(cuda.threadIdx.x, target.size, cuda.blockDim.x):
            delta = factor * target[k] - position[k, s]
            position[k, s] += delta
            target[k] = delta
            square += delta * delta
        return square

    @device
    def move(values, indptr, indices, j, delta, proba, weights, residual, scores, mean):
        first, last, line = entries(values, indptr, j)
        for e in range(first + cuda.threadIdx.x, last, cuda.blockDim.x):
            i, x = row_of(indices, e), values[line, e]
            shift = zero
            for k in range(delta.size):
                shift += delta[k] * proba[k, i]
            shift *= x
            mean[i] += shift
            for k in range(delta.size):
                change = delta[k] * x
                scores[k, i] += change
                residual[k, i] += weights[i] * proba[k, i] * (change - shift)

    @jit
    def walk_groups(
        values, indptr, indices, proba, weights, slopes, curvature, members, penalties, bounds, position, scores, mean,
        residual, target, decrement,
    ):  # fmt: skip
        found = zero
        for i in range(cuda.threadIdx.x, proba.shape[1], cuda.blockDim.x):
            for k in range(proba.shape[0]):
                residual[k, i] = weights[i] * proba[k, i] * (scores[k, i] - mean[i])
        cuda.syncthreads()
        for s in range(members.size):
            total = curvature[s] + penalties[1, s]
            if total > zero:
                square = zero
                for k in range(target.size):
                    slope = block_sum(dot(values, indptr, indices, members[s], residual[k]), cuda.blockDim.x)
                    if cuda.threadIdx.x == k % cuda.blockDim.x:
                        slope += slopes[k, s]
                        square += aim(curvature[s], position[k, s], slope, bounds[0, k, s], bounds[1, k, s], target, k)
                norm = sqrt(block_sum(square, cuda.blockDim.x))
                beyond = norm - penalties[0, s]
                factor = zero if norm <= zero or beyond <= zero else beyond / (norm * total)
                square = block_sum(step(factor, s, position, target), cuda.blockDim.x)
                if square != zero:
                    found += total * square
                    move(values, indptr, indices, members[s], target, proba, weights, residual, scores, mean)
                cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            decrement[0] = found

    return walk_groups


@coordinates.group_sweep.implement("cuda", writes=("position", "scores", "mean"))
def group_sweep(proba, weights, slopes, curvature, *, columns, members, l1, l2, lower, upper, position, scores, mean):
    parts, variant = _parts(columns)
    residual, target = xp.empty(proba.shape), xp.empty(len(proba))
    inputs = [contiguous(array) for array in (proba, weights, slopes, curvature, members)]
    written = [contiguous(array) for array in (position, scores, mean)]
    penalties, bounds, decrement = _stacked(l1, l2), _stacked(lower, upper), xp.zeros(1)
    walk_groups.launch(
        np.float64,
        (1, TEAM),
        (*parts, *inputs, penalties, bounds, *written, residual, target, decrement),
        variant=variant,
    )
    for computed, out in zip(written, (position, scores, mean)):
        delivered(computed, out)
    return float(decrement[0])


@compiled("real[:, ::1], real[::1], int64[::1], int64[::1], real[:, ::1]")
def combine_dense(real):
    """A thread for each row of each class."""
    zero = real(0.0)

    @jit
    def combine_dense(values, coefficients, members, starts, out):
        n_classes, n = out.shape
        for cell in range(cuda.grid(1), n_classes * n, cuda.gridsize(1)):
            k, i = cell // n, cell % n
            total = zero
            for s in range(starts[k], starts[k + 1]):
                if coefficients[s] != zero:
                    total += coefficients[s] * values[members[s], i]
            out[k, i] = total

    return combine_dense


@compiled(
    "real[:, ::1], int64[::1], int32[::1], real[::1], int64[::1], int64[::1], int64, int64, real, real, int64[::1],"
    "int64[::1]"
)
def combine_sparse(real):
    """A team of `width` lanes for each coordinate, which adds its entries to the words of (class, row)."""
    add, zero = add_of(real), real(0.0)

    @jit
    def combine_sparse(
        values, indptr, indices, coefficients, members, classes, n, width, up, step, words, marks
    ):  # fmt: skip
        lane, in_block = cuda.threadIdx.x % width, cuda.blockDim.x // width
        first = cuda.blockIdx.x * in_block + cuda.threadIdx.x // width
        for s in range(first, members.size, cuda.gridDim.x * in_block):
            factor, j = coefficients[s], members[s]
            if factor != zero:
                for e in range(indptr[j] + lane, indptr[j + 1], width):
                    cell = classes[s] * n + indices[e]
                    add(words, 2 * cell, 2 * cell + 1, factor * values[0, e], up, step, marks, cell, 0)

    return combine_sparse


@coordinates.combine_columns.implement("cuda", writes=("out",))
def combine_columns(coefficients, *, columns, members, starts, out):
    parts, (sparse,) = _parts(columns)
    coefficients, members, starts = contiguous(coefficients), contiguous(members), contiguous(starts)
    if sparse:
        return delivered(_combined_sparse(coefficients, parts, members, starts, out.shape), out)
    target = result(out.shape, np.float64, out)
    blocks = min(-(-out.size // BLOCK), max_blocks())
    combine_dense.launch(np.float64, (blocks, BLOCK), (parts[0], coefficients, members, starts, target))
    return delivered(target, out)


def _combined_sparse(coefficients, parts, members, starts, shape):
    magnitude = largest(coefficients) * largest(parts[0])
    scale = scale_of(magnitude, max(len(members), 1), np.float64)
    words, marks = xp.zeros((*shape, 2), np.int64), xp.zeros(shape, np.int64)
    grid = _teams(members, parts)
    combine_sparse.launch(
        np.float64,
        grid,
        (
            *parts, coefficients, members, _classes(members, starts), shape[1], grid.width, scale.up, scale.step,
            words.reshape(-1), marks.reshape(-1),
        ),
    )  # fmt: skip
    return totals(words[..., 0], words[..., 1], scale, marks)


def _classes(members, starts):
    """The class of each coordinate."""
    return contiguous(xp.searchsorted(starts, xp.arange(len(members)), side="right") - 1, np.int64)


def _teams(members, parts):
    """Teams for coordinates, each as wide as columns have entries in the mean."""
    values, indptr, _ = parts
    return teams(len(members), values.shape[1] // max(len(indptr) - 1, 1))


@compiled(
    "real[:, ::1], int64[::1], int32[::1], real[:, ::1], int64[::1], int64[::1], int64, real[::1]",
    tuple(product((False, True), repeat=3)),
)
def project(real, sparse, squared, whole_block):
    """A team of `width` threads for each coordinate."""
    team_sum, zero = sum_of(real, whole_block=whole_block), real(0.0)
    entries, row_of = entries_of(sparse)

    @jit
    def project(values, indptr, indices, vectors, members, classes, width, out):
        lane, own = cuda.threadIdx.x % width, cuda.threadIdx.x // width
        in_block = cuda.blockDim.x // width
        for first_of_block in range(cuda.blockIdx.x * in_block, members.size, cuda.gridDim.x * in_block):
            s = first_of_block + own
            total = zero
            if s < members.size:
                first, last, line = entries(values, indptr, members[s])
                for e in range(first + lane, last, width):
                    x = values[line, e]
                    total += (x * x if squared else x) * vectors[classes[s], row_of(indices, e)]
            total = team_sum(total, width)
            if lane == 0 and s < members.size:
                out[s] = total

    return project


@coordinates.project_on_columns.implement("cuda")
def project_on_columns(vectors, *, columns, members, starts, squared=False):
    parts, (sparse,) = _parts(columns)
    members, starts = contiguous(members), contiguous(starts)
    out = xp.empty(len(members))
    grid = _teams(members, parts)
    project.launch(
        np.float64,
        grid,
        (*parts, contiguous(vectors), members, _classes(members, starts), grid.width, out),
        variant=(sparse, squared, grid.whole_block),
    )
    return out
