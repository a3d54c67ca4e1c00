"""A graph as attention sees it: which nodes each node may look at, and what it looks at when there are none.

Row i of the adjacency matrix holds the nodes j that node i attends to. A stored weight w > 0 counts like w parallel
edges: it adds log w to the score. A stored 0 keeps its place in the pattern and gets no attention.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from sklearn.utils import check_array

from sksoft._validation import require_host
from sksoft.kernels.columns import csr_times_dense
from sksoft.kernels.segments import owners


@dataclass(frozen=True)
class Graph:
    """Edges in CSR: node i attends to ``columns[starts[i] : starts[i + 1]]``.

    Attributes
    ----------
    columns : ndarray (E,), int32 or int64
    starts : ndarray (n + 1,), int32 or int64
    log_weights : ndarray (E,), float64, or None where all weights are one
        −inf for a weight of zero.
    """

    columns: np.ndarray
    starts: np.ndarray
    log_weights: np.ndarray | None

    @property
    def n_nodes(self) -> int:
        """How many nodes there are."""
        return len(self.starts) - 1

    @cached_property
    def rows(self) -> np.ndarray:
        """Who attends along each edge, (E,)."""
        return owners(self.starts)

    @cached_property
    def alone(self) -> np.ndarray:
        """Which nodes have nobody to attend to, (n,)."""
        available = np.ones(len(self.columns)) if self.log_weights is None else np.isfinite(self.log_weights)
        return np.bincount(self.rows, available, minlength=self.n_nodes) == 0

    @cached_property
    def _reversed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Edges by whom they lead to: their order, who attends, where each node's start."""
        order = np.argsort(self.columns, kind="stable")
        counts = np.bincount(self.columns, minlength=self.n_nodes)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(self.starts.dtype)
        return order, self.rows[order].astype(self.columns.dtype), starts

    def gather(self, values: np.ndarray, dense: np.ndarray) -> np.ndarray:
        """``A @ dense`` for the matrix A of these values on the edges, (n, L)."""
        return csr_times_dense(values, self.columns, self.starts, dense, out=np.empty(dense.shape))

    def scatter(self, values: np.ndarray, dense: np.ndarray) -> np.ndarray:
        """``A.T @ dense``, (n, L)."""
        order, columns, starts = self._reversed
        return csr_times_dense(values[order], columns, starts, dense, out=np.empty(dense.shape))

    def matrix(self, values: np.ndarray) -> sparse.csr_array:
        """These values on the edges, in exactly their pattern, which is copied: sorting it then hurts nobody."""
        return sparse.csr_array((values, self.columns, self.starts), shape=(self.n_nodes, self.n_nodes), copy=True)


def read_graph(adjacency, n_nodes: int, self_loops: bool = False) -> Graph:
    """Validate an adjacency matrix.

    Parameters
    ----------
    adjacency : sparse matrix or array-like (n, n)
        Weights >= 0. Of a dense one zeros are no edges; of a sparse one all that is stored is the pattern.
    n_nodes : int
    self_loops : bool
        Whether to give every node that has no entry on the diagonal one of weight 1. Rows are sorted then.

    Raises
    ------
    ValueError
        If it is not square, has another number of nodes, holds NaN, infinity or negative weights, or is sparse with
        indices of no node.
    """
    require_host("Attention on a graph", adjacency=adjacency)
    shape = getattr(adjacency, "shape", None)
    if not sparse.issparse(adjacency):
        adjacency = check_array(adjacency, dtype=np.float64, input_name="adjacency", ensure_min_samples=0)
        shape = adjacency.shape
    if shape != (n_nodes, n_nodes):
        raise ValueError(
            f"The 'adjacency' parameter must have one row and one column for each of the {n_nodes} rows of X, shape"
            f" {(n_nodes, n_nodes)}. Got {shape} instead."
        )
    matrix = _checked(sparse.csr_array(adjacency))
    weights = check_array(matrix.data[:, None], dtype=np.float64, input_name="adjacency", ensure_min_samples=0)[:, 0]
    if (weights < 0.0).any():
        raise ValueError(f"The 'adjacency' parameter must hold weights >= 0. Got {weights.min():g} instead.")
    columns, starts = matrix.indices, matrix.indptr
    if self_loops:
        columns, starts, weights = _with_loops(columns, starts, weights)
    if (weights == 1.0).all():
        return Graph(columns, starts, None)
    with np.errstate(divide="ignore"):
        return Graph(columns, starts, np.log(weights))


def _checked(matrix: sparse.csr_array) -> sparse.csr_array:
    """The matrix, whose indices SciPy does not look at before it is asked; a kernel would read elsewhere."""
    try:
        matrix.check_format(full_check=True)
    except ValueError as error:
        n_nodes = matrix.shape[0]
        raise ValueError(
            f"The 'adjacency' parameter must be a valid CSR matrix, whose indices must be < {n_nodes} and >= 0. Got:"
            f" {error}"
        ) from error
    return matrix


def _with_loops(columns: np.ndarray, starts: np.ndarray, weights: np.ndarray):
    n_nodes, rows = len(starts) - 1, owners(starts)
    missing = np.setdiff1d(np.arange(n_nodes), columns[columns == rows])
    rows, columns = np.append(rows, missing), np.append(columns, missing).astype(columns.dtype)
    order = np.lexsort((columns, rows))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_nodes))]).astype(starts.dtype)
    return columns[order], starts, np.append(weights, np.ones(len(missing)))[order]
