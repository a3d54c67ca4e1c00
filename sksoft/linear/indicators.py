r"""From the user's y to targets of independent labels: an indicator, or a share, of each label for each row.

=====================================================  ============================================================
y                                                      means
=====================================================  ============================================================
(n,) of two labels of any type                         one label: whether y is the larger of ``classes``
(n, L) of 0 and 1, array, DataFrame or sparse          L labels; a row may have several of them, or none
(n, L) of numbers in [0, 1], array or sparse           soft labels: how much of each; rows need not sum to one
=====================================================  ============================================================

Class weights ω⁺ of having a label and ω⁻ of not having it act on shares, so that a soft label t of weight s is a
positive row of weight s t beside a negative one of weight s (1 − t), whatever the weights::

    weight s (ω⁺ t + ω⁻ (1 − t))          target ω⁺ t / (ω⁺ t + ω⁻ (1 − t))

``'balanced'`` is ω⁺ = Σ s / (2 Σ s t) and ω⁻ = Σ s / (2 Σ s (1 − t)) of each label, for labels scikit-learn's.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import assert_all_finite, column_or_1d

from sksoft.metrics.target_input import column_names, default_classes

ACCEPTED = "numbers 0 and 1, or soft labels between them, of shape (n_samples, n_labels)"


@dataclass(frozen=True)
class Indicators:
    """Targets of independent labels.

    Attributes
    ----------
    classes : ndarray
        The two labels of a one-dimensional y, the names of a DataFrame's columns, else 0 … L − 1.
    targets : CSC array or ndarray (n, L), float64
        Sparse where all are 0 or 1, or where y was sparse.
    one_dimensional : bool
        Whether y was.
    sparse_output : bool
        Whether y was sparse, so that predictions shall be.
    """

    classes: np.ndarray
    targets: Any
    one_dimensional: bool
    sparse_output: bool


def read_indicators(name: str, y) -> Indicators:
    """Validate y.

    Parameters
    ----------
    name : str
        Who asks, for messages.
    y : as the module says

    Raises
    ------
    ValueError
        If y is none of these: more than two labels of shape (n,), numbers outside [0, 1], NaN.
    """
    if y is None:
        raise ValueError(f"This {name} estimator requires y to be passed, but the target y is None.")
    if sparse.issparse(y):
        targets = _checked(check_array(y, accept_sparse="csc", dtype=np.float64, input_name="y", estimator=name))
        return Indicators(np.arange(targets.shape[1]), targets, one_dimensional=False, sparse_output=True)
    names = column_names(y)
    array = check_array(y, ensure_2d=False, dtype=None, ensure_all_finite=False, input_name="y", estimator=name)
    if array.ndim == 2 and (array.shape[1] > 1 or _is_soft(array)):
        assert_all_finite(array, input_name="y", estimator_name=name)
        if array.dtype.kind not in "biuf":
            check_classification_targets(array)
            raise ValueError(f"y must hold {ACCEPTED}. Got values of dtype {array.dtype} instead.")
        targets = _checked(array.astype(np.float64))
        classes = default_classes(names, targets.shape[1])
        return Indicators(classes, targets, one_dimensional=False, sparse_output=False)
    labels = column_or_1d(array, warn=True)
    assert_all_finite(labels, input_name="y", estimator_name=name)
    check_classification_targets(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) > 2:
        raise ValueError(
            f"Only binary classification is supported by {name} for y of shape (n_samples,). The type of the target is"
            f" {type_of_target(labels)}: for classes of which each row has one use SoftmaxRegression; for labels of"
            f" which it may have several, pass y as {ACCEPTED}."
        )
    if len(classes) < 2:
        raise ValueError(
            f"{name} needs samples of at least 2 classes in the data, but the data contains only one class:"
            f" {classes[0]!r}"
        )
    return Indicators(classes, sparse.csc_array(codes[:, None].astype(np.float64)), True, False)


def _is_soft(column: np.ndarray) -> bool:
    """Whether a single column of y is of shares and not of labels."""
    return column.dtype.kind == "f" and bool(np.any((column > 0.0) & (column < 1.0)))


def _checked(targets):
    """Targets within [0, 1]; sparse where they are labels only."""
    values = targets.data if sparse.issparse(targets) else targets
    outside = ~((values >= 0.0) & (values <= 1.0))
    if outside.any():
        raise ValueError(f"y must hold {ACCEPTED}. Got {values[outside][0]:g} instead.")
    if not sparse.issparse(targets) and not ((values == 0.0) | (values == 1.0)).all():
        return targets
    targets = sparse.csc_array(targets)
    targets.eliminate_zeros()
    return targets


def class_weights(class_weight, indicators: Indicators, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ω⁺ and ω⁻ of each label, (L,) each.

    Parameters
    ----------
    class_weight : dict, 'balanced', None, or list of L of these
    indicators : Indicators
    shares : ndarray (L,)
        Weighted mean of each label's targets.

    Raises
    ------
    ValueError
        If a dict names what is no class, weights are negative or not finite, or a list has another length.
    """
    n_labels = indicators.targets.shape[1]
    if not isinstance(class_weight, list | tuple):
        class_weight = [class_weight] * n_labels
    if len(class_weight) != n_labels:
        raise ValueError(
            f"The 'class_weight' parameter must hold one entry for each of the {n_labels} labels of y."
            f" Got {len(class_weight)} instead."
        )
    names = indicators.classes.tolist() if indicators.one_dimensional else [0, 1]
    pairs = [_pair(given, names, share) for given, share in zip(class_weight, shares)]
    negative, positive = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return positive, negative


def _pair(given, names: list, share: float) -> tuple[float, float]:
    """Weights of not having a label, and of having it."""
    if given is None or (isinstance(given, str) and given == "balanced" and not 0.0 < share < 1.0):
        return 1.0, 1.0
    if isinstance(given, str) and given == "balanced":
        return 0.5 / (1.0 - share), 0.5 / share
    if not isinstance(given, dict) or not set(given) <= set(names):
        raise ValueError(
            f"The 'class_weight' parameter must be a dict with keys among {names}, 'balanced' or None, or a list of one"
            f" of these for each label. Got {given!r} instead."
        )
    negative, positive = (float(given.get(name, 1.0)) for name in names)
    if not (0.0 <= negative < np.inf and 0.0 <= positive < np.inf and negative + positive > 0.0):
        raise ValueError(
            f"The 'class_weight' parameter must give finite weights >= 0 that are not all zero. Got {given!r} instead."
        )
    return negative, positive
