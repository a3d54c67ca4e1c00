"""Attention along the edges of a graph: a softmax over the neighbours of each node."""

from numbers import Real

import numpy as np
from scipy import sparse
from scipy.special import expit
from sklearn.utils import check_array

from sksoft._validation import require_host
from sksoft.attention.graph import Graph, read_graph
from sksoft.kernels.segments import segment_maxima, segment_products, segment_softmax

SCORES = ("additive", "smooth", "dot")


def graph_attention(
    adjacency, queries, keys, *, score="additive", negative_slope=0.2, scale=None, temperature=1.0, self_loops=False
):
    r"""Softmax over the neighbours of every node, in the pattern of the adjacency matrix.

    With w the weights of the edges, ``a_ij = w_ij exp(z_ij / temperature) / Σ_k w_ik exp(z_ik / temperature)``, and

    ============  ====================================  ===================================================
    score         z_ij                                  where from
    ============  ====================================  ===================================================
    'additive'    LeakyReLU(q_i + k_j)                  graph attention networks [1]_, eq. (3): q_i = a₁ᵀ W x_i
    'smooth'      the same with its kink smoothed       s x + (1 − s) log(1 + eˣ), s the negative slope
    'dot'         scale · ⟨q_i, k_j⟩                    transformers, over neighbours only
    ============  ====================================  ===================================================

    Parameters
    ----------
    adjacency : sparse matrix or array-like of shape (n, n)
        Weights >= 0 of the nodes that the node of the row may attend to. A weight of 2 is two parallel edges; a stored
        0 stays in the pattern and gets attention 0.
    queries, keys : array-like of shape (n,) or (n_heads, n) for additive scores, (n, d) or (n_heads, n, d) for 'dot'
        One number, or one vector, for each node and head; finite.
    score : {'additive', 'smooth', 'dot'}, default='additive'
    negative_slope : float in [0, 1], default=0.2
        Of the LeakyReLU.
    scale : float, default=None
        Of dot products; 1 / √d by default.
    temperature : float, positive and finite, default=1.0
    self_loops : bool, default=False
        Whether every node also attends to itself, with weight 1 where the diagonal holds nothing. It then stands in the
        pattern, whose rows are sorted.

    Returns
    -------
    attention : CSR array of shape (n, n), or list of n_heads of them
        Rows sum to one, but that of a node without neighbours, which is empty: what is not there is not made up.
        ``attention @ values`` is what nodes get. Indices are those of `adjacency`, entry for entry, in arrays of their
        own.

    Raises
    ------
    ValueError
        If `adjacency` is not square, or holds NaN, infinity or negative weights; if shapes do not fit; if a parameter
        is not as described; if scores are too large to be finite.

    See Also
    --------
    GraphAttentionClassifier : Learns queries and keys.

    Notes
    -----
    O(E d) time and O(E) memory for E edges, in float64.

    References
    ----------
    .. [1] Velickovic et al., "Graph attention networks", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from sksoft.attention import graph_attention
    >>> path = sparse.csr_array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    >>> graph_attention(path, np.zeros(3), np.log([1.0, 1.0, 3.0])).toarray().round(2)
    array([[0.  , 1.  , 0.  ],
           [0.25, 0.  , 0.75],
           [0.  , 1.  , 0.  ]])
    """
    if score not in SCORES:
        raise ValueError(f"The 'score' parameter must be one of {SCORES}. Got {score!r} instead.")
    slope = _number("negative_slope", negative_slope, 0.0, 1.0)
    tau = _number("temperature", temperature, np.nextafter(0.0, 1.0), np.finfo(float).max)
    require_host("graph_attention", queries=queries, keys=keys)
    queries, keys, several = _by_head(queries, keys, 2 if score == "dot" else 1)
    graph = read_graph(adjacency, queries.shape[1], self_loops)
    scale = 1.0 / np.sqrt(max(queries.shape[-1], 1)) if scale is None else _number("scale", scale, -np.inf, np.inf)
    found = []
    for query, key in zip(queries, keys):
        scores = _scores(graph, query, key, score, scale, slope)
        found.append(graph.matrix(neighbour_softmax(graph, _cooled(graph, scores, tau))))
    return found if several else found[0]


def _scores(graph: Graph, query, key, score: str, scale: float, slope: float) -> np.ndarray:
    """z on every edge, (E,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        if score == "dot":
            scores = scale * segment_products(graph.columns, graph.starts, query, key)
        else:
            sums = query[graph.rows] + key[graph.columns]
            scores = smooth_leaky(sums, slope) if score == "smooth" else np.where(sums > 0.0, sums, slope * sums)
    if not np.isfinite(scores).all():
        worst = scores[~np.isfinite(scores)][0]
        raise ValueError(f"Scores of 'queries' and 'keys' must be finite on every edge. Got {worst:g} instead.")
    return scores


def _cooled(graph: Graph, scores: np.ndarray, tau: float) -> np.ndarray:
    """``(z − largest of the row) / tau``, which cannot overflow; edges of weight 0 are not for the largest."""
    if graph.log_weights is not None:
        scores = np.where(graph.log_weights == -np.inf, -np.inf, scores)
    largest = segment_maxima(scores, graph.starts)
    largest[largest == -np.inf] = 0.0
    with np.errstate(over="ignore"):
        return (scores - largest[graph.rows]) / tau


def smooth_leaky(sums: np.ndarray, slope: float) -> np.ndarray:
    """LeakyReLU without its kink, s x + (1 − s) log(1 + eˣ)."""
    return slope * sums + (1.0 - slope) * np.logaddexp(0.0, sums)


def smooth_leaky_slope(sums: np.ndarray, slope: float) -> np.ndarray:
    """Its derivative."""
    return slope + (1.0 - slope) * expit(sums)


def neighbour_softmax(graph: Graph, scores: np.ndarray) -> np.ndarray:
    """Attention on every edge, (E,), from scores on the edges."""
    seen = scores if graph.log_weights is None else scores + graph.log_weights
    return segment_softmax(seen, graph.starts)[0]


def _by_head(queries, keys, n_axes: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """Queries and keys as (n_heads, n, ...), and whether they came with heads."""
    read = []
    for name, given in (("queries", queries), ("keys", keys)):
        if sparse.issparse(given):
            raise TypeError(f"The '{name}' parameter must be a dense array. Got a sparse one instead.")
        array = check_array(given, dtype=np.float64, ensure_2d=False, allow_nd=True, input_name=name)
        if array.ndim not in (n_axes, n_axes + 1):
            expected = "(n,) or (n_heads, n)" if n_axes == 1 else "(n, d) or (n_heads, n, d)"
            raise ValueError(f"The '{name}' parameter must be of shape {expected}. Got {array.shape} instead.")
        read.append(array)
    if read[0].shape != read[1].shape:
        raise ValueError(
            f"'queries' and 'keys' must have the same shape. Got {read[0].shape} and {read[1].shape} instead."
        )
    several = read[0].ndim > n_axes
    return (*(array if several else array[None] for array in read), several)


def _number(name: str, value, low: float, high: float) -> float:
    if not isinstance(value, Real) or isinstance(value, bool) or not low <= float(value) <= high:
        raise ValueError(f"The '{name}' parameter must be a number in [{low:g}, {high:g}]. Got {value!r} instead.")
    return float(value)
