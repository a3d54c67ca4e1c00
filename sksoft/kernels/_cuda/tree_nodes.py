"""Ridge regressions at the nodes of a tree on a device: a block for a node, whose threads share its rows.

Newton's method takes its steps at many nodes at once, large ones first, phase by phase (``node_phases``); the host asks
once a step whether some node is to go on. Every node has its own piece of one vector of scratch memory; nodes whose
pieces together are too long take turns. Rows stay where they are: a node's are neighbours, and so are its entries of
each column once the matrix is sorted by columns (``row_columns``).
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from sksoft.kernels import tree_nodes
from sksoft.kernels._cuda import _api
from sksoft.kernels._cuda import node_phases as phases
from sksoft.kernels._cuda._api import TEAM, WARP, cuda, jit, xp
from sksoft.kernels._cuda.block_sums import shared_bytes
from sksoft.kernels._cuda.compiled import compiled
from sksoft.kernels._cuda.layout import contiguous, delivered
from sksoft.kernels._cuda.node_newton import EXACT_SIZE
from sksoft.kernels._cuda.node_rows import LONG, THREADS
from sksoft.kernels._cuda.row_columns import by_columns, count_firsts, node_columns, sorted_by_columns
from sksoft.kernels.placement import to_host

# Bytes of scratch memory for the nodes of one launch; a node that wants more has a launch of its own.
SCRATCH = 1 << 31
# Vectors over rows × scores, and over parameters, that Newton's method has.
ROW_VECTORS, PARAMETER_VECTORS = 4, 7


@compiled("int32[::1], int64[::1], int32[::1], int64[::1], int64[:, ::1], int32[::1], int32[::1]")
def find_places(real):
    """Places of a node's entries among its sorted features in `local`; those features for each of its scores."""

    @jit
    def find_places(indices, indptr, features, first_column, table, local, coef_indices):
        node = cuda.blockIdx.x
        start, size = first_column[node], table[node, phases.A]
        row = table[node, phases.START]
        first = indptr[row]
        for e in range(first + cuda.threadIdx.x, indptr[row + table[node, phases.N]], cuda.blockDim.x):
            low, left = start, size
            while left > 1:
                half = left >> 1
                if features[low + half] <= indices[e]:
                    low += half
                left -= half
            local[table[node, phases.LOCAL] + e - first] = low - start
        if coef_indices.size > 0:
            for k in range(cuda.threadIdx.x, size * table[node, phases.Q], cuda.blockDim.x):
                coef_indices[table[node, phases.COEF] + k] = features[start + k % size]

    return find_places


class Inputs(NamedTuple):
    """The rows, their weights and the tree as kernels read them; the entries sorted by columns, for sparse rows."""

    values: Any
    indices: Any
    indptr: Any
    weights: Any
    tree: tuple
    columns: Any
    column_values: Any
    is_dense: bool


class Outputs(NamedTuple):
    """What is written, C-contiguous."""

    coef_indices: Any
    coef: Any
    intercept: Any
    proof: Any
    objective: Any


def _node_table(nodes, tree, row_at, coef_indptr) -> np.ndarray:
    """What kernels know of the nodes, from host arrays; where they have their scratch is not yet in it."""
    first_child, first_leaf, last_leaf, first_score = tree
    table = np.zeros((len(nodes), 15), np.int64)
    has_rows = np.concatenate([[0], np.cumsum(row_at[last_leaf] > row_at[first_leaf])])
    n_inhabited = has_rows[first_child[nodes + 1]] - has_rows[first_child[nodes]]
    m, score = first_child[nodes + 1] - first_child[nodes], first_score[nodes]
    q, at = first_score[nodes + 1] - score, coef_indptr[score]
    a, n = coef_indptr[score + 1] - at, row_at[last_leaf[nodes]] - row_at[first_leaf[nodes]]
    known = {
        phases.N: n,
        phases.N_ALL: n + (n_inhabited < m),
        phases.A: a,
        phases.Q: q,
        phases.M: m,
        phases.START: row_at[first_leaf[nodes]],
        phases.COEF: at,
        phases.SCORE: score,
        phases.NODE: nodes,
        phases.EXACT: ((a + 1) * q <= EXACT_SIZE) & (n >= (a + 1) * q),
        phases.IS_FIT: n_inhabited > 1,
    }
    for column, value in known.items():
        table[:, column] = value
    return table


def _scratch(table) -> np.ndarray:
    """Numbers of float64 that each node needs."""
    n, n_all, a, q, m = table[:, [phases.N, phases.N_ALL, phases.A, phases.Q, phases.M]].T
    size = (a + 1) * q
    hessian = np.where(table[:, phases.EXACT] > 0, size, q) ** 2
    return n + 1 + 2 * m + ROW_VECTORS * n_all * q + PARAMETER_VECTORS * size + hessian


def _batches(n_bytes, n_rows):
    """Numbers of nodes, those with many rows first, that fit in the scratch memory together."""
    order = np.argsort(-n_rows, kind="stable")
    cuts = np.flatnonzero(np.diff(np.cumsum(n_bytes[order]) // SCRATCH)) + 1
    return [order[start:stop] for start, stop in pairwise([0, *cuts, len(order)]) if stop > start]


def _lanes(n_entries: int, n_rows: int) -> int:
    """Lanes for a row, or a column, of the mean length: a power of two."""
    width = 1
    while width < WARP and width * n_rows < n_entries:
        width *= 2
    return width


def _before(sizes) -> np.ndarray:
    return np.cumsum(sizes) - sizes


def _fit_batch(table, numbers, n_entries, inputs: Inputs, settings, warm: bool, outputs: Outputs):
    """Newton's method at the nodes of `table`, to the end; `numbers` are their places in what is returned."""
    n_features, C, smoothing, prior, tol, max_iter = settings
    real, rows = outputs.coef.dtype, table[:, phases.N]
    floats, n_local = _scratch(table), n_entries if len(inputs.indices) else np.zeros_like(n_entries)
    for column, sizes in {
        phases.WORK: floats,
        phases.TARGET: rows + 1,
        phases.LOCAL: n_local,
        phases.COLUMN: table[:, phases.A],
    }.items():
        table[:, column] = _before(sizes)
    none = xp.empty(0, np.int64)
    start = stop = long = first_long = none
    local, work = xp.empty(int(n_local.sum()), np.int32), xp.empty(int(floats.sum()), real)
    targets = xp.empty(int((rows + 1).sum()), np.int32)
    state, progress = xp.zeros((len(table), 6), real), xp.zeros((len(table), 3), np.int64)
    placed, grid = xp.asarray(table), (len(table), THREADS)
    if not inputs.is_dense:
        first_row, last_row = table[:, phases.START], table[:, phases.START] + rows
        arguments = inputs.columns, inputs.indices, inputs.indptr, first_row, last_row, table[:, phases.A], n_features
        first_column, features, start, stop, long, first_long = node_columns(*arguments, LONG)
        known = inputs.indices, inputs.indptr, features, first_column, placed
        find_places.launch(real, grid, (*known, local, outputs.coef_indices))
    lanes = _lanes(int(n_entries.sum()), int(rows.sum())), _lanes(int(n_entries.sum()), int(table[:, phases.A].sum()))
    shared = (
        *(inputs.values, local, inputs.indptr, inputs.column_values, inputs.columns.rows, start, stop, long),
        *(first_long, placed, targets, work, state, progress, *lanes, int(inputs.is_dense), smoothing, tol, max_iter),
    )
    start_from = inputs.weights, *inputs.tree, C, prior, int(warm), outputs.coef, outputs.intercept

    def launch(phase, arguments, variant=()):
        phase.launch(real, grid, arguments, variant=variant, shared_bytes=shared_bytes(real))

    launch(phases.begin, (*shared, *start_from))
    while True:
        launch(phases.assess, shared)
        if not bool((progress[:, phases.STATUS] != phases.DONE).any()):
            break
        if table[:, phases.EXACT].any():
            launch(phases.find_step, shared, (True,))
        launch(phases.find_step, shared, (False,))
        launch(phases.take_step, shared)
    written = outputs.coef, outputs.intercept, outputs.proof, outputs.objective
    launch(phases.deliver, (placed, work, state, progress, *written, xp.asarray(numbers)))


@tree_nodes.node_features.implement("cuda")
def node_features(indices, indptr, first_row, last_row, *, n_features):
    del n_features
    indices, indptr, first_row, last_row = (
        contiguous(array, np.int64) for array in (indices, indptr, first_row, last_row)
    )
    counts = xp.zeros(len(first_row), np.int64)
    previous = by_columns(indices, indptr).previous
    grid = min(len(counts), _api.max_blocks()), TEAM
    count_firsts.launch(np.float64, grid, (previous, indptr, first_row, last_row, counts))
    return counts


@tree_nodes.fit_nodes.implement("cuda", writes=("coef_indices", "coef", "intercept", "proof"))
def fit_nodes(
    values,
    indices,
    indptr,
    weights,
    *,
    nodes,
    tree,
    row_at,
    coef_indptr,
    settings,
    warm,
    coef_indices,
    coef,
    intercept,
    proof,
):
    values, indices = contiguous(values), contiguous(indices, np.int32)
    indptr = contiguous(indptr, np.int64)
    is_dense = len(indices) == 0 and len(values) > 0
    columns = by_columns(indices, indptr)
    outputs = Outputs(*(contiguous(array) for array in (coef_indices, coef, intercept, proof)), xp.empty(len(nodes)))
    tree_there = tuple(contiguous(array, np.int64) for array in (*tree[:3], row_at))
    inputs = Inputs(
        *(values, indices, indptr, contiguous(weights), tree_there),
        *(columns, values if is_dense else sorted_by_columns(values, columns), is_dense),
    )
    host = [to_host(array) for array in (nodes, *tree, row_at, coef_indptr, indptr)]
    table = _node_table(host[0], tuple(host[1:5]), host[5], host[6])
    stop = table[:, phases.START] + table[:, phases.N]
    n_entries = host[7][stop] - host[7][table[:, phases.START]]
    for numbers in _batches(8 * _scratch(table) + 4 * (table[:, phases.N] + n_entries), table[:, phases.N]):
        _fit_batch(table[numbers], numbers, n_entries[numbers], inputs, settings, warm, outputs)
    for target, written in zip((coef_indices, coef, intercept, proof), outputs):
        delivered(written, target)
    return outputs.objective
