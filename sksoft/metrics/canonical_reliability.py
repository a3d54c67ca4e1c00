"""Reliability of whole probability vectors: mean prediction and observed frequencies of every bin of the simplex."""

import numpy as np
import pandas as pd

from sksoft.metrics.calibration import check_choices, rate_interval
from sksoft.metrics.canonical import STRATEGIES, check_min_weight, dynamic_cells, uniform_cells
from sksoft.metrics.events import column_labels, columns
from sksoft.metrics.predictions import check_predictions


def canonical_curve(
    y_true,
    y_proba,
    *,
    n_bins=10,
    strategy="dynamic",
    min_weight=100,
    sample_weight=None,
    weight_type="sampling",
    labels=None,
    pos_label=None,
    confidence_level=0.95,
) -> pd.DataFrame:
    """Mean probability vector and observed class frequencies of each bin of the simplex.

    The bins are those of :func:`canonical_calibration_error`, which is ``Σ_b W_b/W · ½ Σ_k |gap_bk|`` of this table.

    Parameters
    ----------
    y_true, y_proba
        As in :func:`canonical_calibration_error`.
    n_bins : int >= 1, default=10
        Bins per coordinate of ``strategy='uniform'``.
    strategy : {'uniform', 'dynamic'}, default='dynamic'
        ``'dynamic'`` bins hold enough rows to be looked at.
    min_weight, sample_weight
        As in :func:`canonical_calibration_error`.
    weight_type : {'sampling', 'frequency'}, default='sampling'
        Whether a bin counts (Σw)²/Σw² rows or Σw.
    labels, pos_label
        As in :func:`canonical_calibration_error`.
    confidence_level : float in (0, 1), default=0.95
        Of Wilson's interval of each observed frequency.

    Returns
    -------
    curve : DataFrame
        For each class and bin ``class``, ``bin``, ``n`` rows, ``weight`` Σw, ``effective_n``, ``mean_proba``,
        ``observed_rate``, ``rate_low``, ``rate_high``, ``gap`` (observed − mean). Class by class, bins in the same
        order for all.

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights or parameters.

    Examples
    --------
    >>> from sksoft.metrics import canonical_curve
    >>> proba = [[0.75, 0.25, 0.0], [0.75, 0.25, 0.0], [0.0, 0.5, 0.5], [0.0, 0.5, 0.5]]
    >>> curve = canonical_curve(["a", "a", "b", "c"], proba, strategy="uniform")
    >>> curve[["class", "bin", "mean_proba", "observed_rate"]]
      class  bin  mean_proba  observed_rate
    0     a    0        0.00            0.0
    1     a    1        0.75            1.0
    2     b    0        0.50            0.5
    3     b    1        0.25            0.0
    4     c    0        0.50            0.5
    5     c    1        0.00            0.0
    """
    check_choices(n_bins=n_bins, weight_type=weight_type, confidence_level=confidence_level)
    if strategy not in STRATEGIES:
        raise ValueError(f"The 'strategy' parameter must be one of {STRATEGIES}. Got {strategy!r} instead.")
    check_min_weight(min_weight)
    predictions = check_predictions(
        y_true, y_proba, sample_weight=sample_weight, weight_type=weight_type, labels=labels, pos_label=pos_label
    )
    proba = columns(predictions)
    if strategy == "uniform":
        cells = uniform_cells(proba, n_bins)
    else:
        cells = dynamic_cells(proba, predictions, float(min_weight))
    w = np.ones(len(proba)) if predictions.weights is None else predictions.weights
    weight, square = np.bincount(cells, w), np.bincount(cells, w**2)
    size = weight if weight_type == "frequency" else weight**2 / square
    rows = weight if weight_type == "frequency" else np.bincount(cells)
    frames = []
    for k, label in enumerate(column_labels(predictions)):
        mean = np.bincount(cells, w * proba[:, k]) / weight
        rate = np.clip(np.bincount(cells, w * (predictions.codes == k)) / weight, 0.0, 1.0)
        low, high = rate_interval(rate, size, confidence_level)
        frame: dict[str, np.ndarray] = {
            "bin": np.arange(len(weight)),
            "n": np.rint(rows).astype(np.int64),
            "weight": weight,
        }
        frame |= {"effective_n": size, "mean_proba": mean, "observed_rate": rate, "rate_low": low, "rate_high": high}
        frames.append(pd.DataFrame(frame | {"gap": rate - mean}))
        frames[-1].insert(0, "class", pd.Series([label] * len(weight), dtype=object))
    return pd.concat(frames, ignore_index=True)
