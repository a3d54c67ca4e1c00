"""From y to what the labelled nodes of a graph are to hit; nodes without a label stay in the graph.

=====================================  ====================================  =============================
y                                      means                                 loss
=====================================  ====================================  =============================
(n,) of labels of any type             one of K >= 3 classes                 softmax, K scores
(n,) of two labels                     whether it is the larger one          sigmoid, one score
(n, L) of 0 and 1, array or sparse     L labels that a node may all have     sigmoids, L scores
=====================================  ====================================  =============================

With a graph −1 marks a node without known label, as in ``sklearn.semi_supervised``, a whole row of −1 for several
labels; among strings it does so in an array of dtype object. So does a weight of zero, whatever the labels are.
Without a graph such a node would say nothing, and −1 is a label like others.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_consistent_length, column_or_1d

from sksoft._validation import check_sample_weight
from sksoft.objective.links import Sigmoid, Softmax
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.row_weights import kept_rows
from sksoft.objective.targets import Labels, SoftLabels, Target

UNKNOWN = -1


@dataclass(frozen=True)
class NodeLabels:
    """What is known.

    Attributes
    ----------
    classes : ndarray
        The distinct labels, ascending; of several labels 0 … L − 1.
    rows : ndarray (l,), intp
        Labelled nodes.
    target : Target of l rows
    weights : ndarray (l,), float64, positive
    multilabel : bool
    """

    classes: np.ndarray
    rows: np.ndarray
    target: Target
    weights: np.ndarray
    multilabel: bool

    @property
    def n_scores(self) -> int:
        """Scores of a node."""
        return self.target.n_classes

    @property
    def loss(self) -> FenchelYoung:
        """What a label and scores give."""
        return FenchelYoung(Softmax() if isinstance(self.target, Labels) else Sigmoid())


def read_node_labels(name: str, X, y, sample_weight, has_graph: bool) -> NodeLabels:
    """Validate y and weights.

    Parameters
    ----------
    name : str
        Who asks, for messages.
    X : ndarray or CSR array (n, p)
    y : as the module says
    sample_weight : array-like (n,), optional
    has_graph : bool
        Whether −1 marks nodes without label.

    Raises
    ------
    ValueError
        If y is none of these, no label is known, or only one class is; if weights are negative or all zero.
    """
    y, weights = known_labels(name, X, y, sample_weight, has_graph)
    known = weights > 0.0
    if y.ndim == 1:
        check_classification_targets(y[known])
    rows = np.flatnonzero(known)[kept_rows(weights[known])]
    if y.ndim == 2:
        return NodeLabels(np.arange(y.shape[1]), rows, _indicators(y[rows], has_graph), weights[rows], True)
    classes, codes = np.unique(y[rows], return_inverse=True)
    if len(classes) < 2:
        marks = ", where -1 marks nodes without label" if has_graph else ""
        raise ValueError(
            f"{name} needs samples of at least 2 classes in the data, but the data contains only one class with"
            f" positive weight: {classes[0]!s}{marks}"
        )
    target = Labels(codes, len(classes)) if len(classes) > 2 else SoftLabels(codes[:, None].astype(np.float64))
    return NodeLabels(classes, rows, target, weights[rows], False)


def known_labels(name: str, X, y, sample_weight, has_graph: bool) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,), or indicators (n, L) as float64, and weights (n,) that are zero where labels are not known.

    Arguments and errors are those of :func:`read_node_labels`, except that one class is enough.
    """
    if y is None:
        raise ValueError(f"This {name} estimator requires y to be passed, but the target y is None.")
    y = _as_rows(name, y)
    check_consistent_length(X, y)
    weights = check_sample_weight(sample_weight, X)
    if has_graph:
        weights = np.where(_marked(y), 0.0, weights)
    if not weights.any():
        raise ValueError(
            f"{name} needs nodes whose label is known. Got -1 for all {len(y)} of them, or for all of positive weight."
        )
    return y, weights


def _marked(y: np.ndarray) -> np.ndarray:
    """Which nodes are marked as unknown, (n,)."""
    if y.dtype.kind in "UO" and np.any(y == str(UNKNOWN)):
        raise ValueError(
            f"y of strings holds '{UNKNOWN}', which could be a label or a node without one. Mark nodes by the number"
            f" {UNKNOWN} in an array of dtype object, or by a sample_weight of 0."
        )
    unknown = np.asarray(y == UNKNOWN)
    return np.asarray(unknown.all(axis=1)) if y.ndim == 2 else unknown


def _as_rows(name: str, y) -> np.ndarray:
    """Labels (n,), or indicators (n, L) as float64."""
    if sparse.issparse(y):
        return check_array(y.toarray(), dtype=np.float64, input_name="y", estimator=name)
    array = check_array(y, ensure_2d=False, dtype=None, ensure_all_finite=False, input_name="y", estimator=name)
    if array.ndim == 2 and array.shape[1] > 1:
        assert_all_finite(array, input_name="y", estimator_name=name)
        if array.dtype.kind not in "biuf":
            check_classification_targets(array)
            raise ValueError(f"y of shape (n_samples, n_labels) must hold 0 and 1. Got dtype {array.dtype} instead.")
        return array.astype(np.float64)
    labels = column_or_1d(array, warn=True)
    assert_all_finite(labels, input_name="y", estimator_name=name)
    if labels.dtype == object and any(label is None for label in labels):
        raise ValueError("y holds None. With a graph a node without label must be marked by -1, or weigh 0.")
    return labels


def _indicators(y: np.ndarray, has_graph: bool) -> SoftLabels:
    wrong = (y != 0.0) & (y != 1.0)
    if wrong.any():
        marks = ", or -1 in all of a row whose labels are not known" if has_graph else ""
        raise ValueError(
            f"y of shape (n_samples, n_labels) must hold 0 and 1{marks}. Got {y[wrong][0]:g} in a row instead."
        )
    return SoftLabels(y)
