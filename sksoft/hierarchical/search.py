"""The most probable classes of each row, found without looking at all."""

import numpy as np

from sksoft.hierarchical.leaf_probabilities import csr_parts
from sksoft.hierarchical.node_model import NodeModel
from sksoft.hierarchical.paths import step_size
from sksoft.kernels.registry import backend_for
from sksoft.kernels.tree_search import best_leaves


def top_k(model: NodeModel, X, k: int, beam_width: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k most probable classes of each row, with a certificate.

    Without a beam the result is that of sorting all classes by decreasing log-probability, equal ones by class: best
    first, as in :mod:`sksoft.kernels.tree_search`. With one, at most `beam_width` inner nodes wait to be opened.

    Parameters
    ----------
    model : NodeModel
    X : (n, p) float64, CSR or dense
    k : int in [1, K]
    beam_width : int >= k, optional

    Returns
    -------
    codes : (n, k) intp
    log_proba : (n, k)
        In nats.
    bound : (n,)
        No class that is not returned has a larger log-probability; −inf where all are returned. The k returned are
        proved to be the most probable where ``bound <= log_proba[:, -1]``: always without a beam.
    """
    width = 0 if beam_width is None else beam_width
    rows = csr_parts(X)
    with backend_for(max(X.shape[0] * model.tree.n_classes, step_size(model, rows[0])))():
        return best_leaves(*rows, *model.kernel_arguments(), model.tree.class_of, k=k, width=width)
