"""Log-loss and calibration error as functions of the temperature."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from sksoft.kernels import rowwise
from sksoft.kernels.blocks import row_blocks
from sksoft.metrics.binned import bin_scores
from sksoft.metrics.calibration import check_choices
from sksoft.metrics.labels import sorted_labels
from sksoft.metrics.logits import log_proba
from sksoft.metrics.ood import checked_scores
from sksoft.metrics.predictions import check_predictions
from sksoft.metrics.temperature import best_temperature


@dataclass(frozen=True)
class TemperaturePath:
    """What :func:`temperature_path` found.

    Attributes
    ----------
    table : DataFrame
        ``temperature``, ``negative_log_likelihood`` (nats), ``ece``, ``mean_confidence``.
    temperature : float
        Of least log-loss on these rows.
    at_bound : bool
        Whether the loss has no minimum: it falls for ever towards 0 or infinity.
    accuracy : float
        The same at every temperature.
    """

    table: pd.DataFrame = field(repr=False)
    temperature: float
    at_bound: bool
    accuracy: float


def temperature_path(
    y_true,
    scores,
    *,
    input="logits",
    temperatures=None,
    n_bins=15,
    strategy="uniform",
    sample_weight=None,
    labels=None,
) -> TemperaturePath:
    """Negative log-likelihood and expected calibration error of ``softmax(scores / T)`` over a range of T.

    Parameters
    ----------
    y_true : array-like (n,)
        True labels of any type.
    scores : array-like (n, K) or (n,)
        Scores of the classes, or probabilities. One-dimensional scores z are those of two classes, (0, z).
    input : {'logits', 'proba'}, default='logits'
        Of probabilities the logarithms are scores, those below 2.2e-16 counted as that.
    temperatures : array-like of positive floats, optional
        By default 41 from an eighth of the best temperature to eight times it, and with it 1.
    n_bins, strategy
        Of the calibration error of the predicted label, as in :func:`expected_calibration_error`.
    sample_weight : array-like (n,), optional
        Weight 2 equals repetition and weight 0 removal.
    labels : array-like (K,), optional
        Class of each column; by default the sorted labels of `y_true`.

    Returns
    -------
    path : TemperaturePath
        ``table``, ``temperature`` of least log-loss, ``at_bound``, ``accuracy``.

    Raises
    ------
    ValueError
        For scores, labels, weights or parameters that are not as described.

    Notes
    -----
    O(nK) time for each temperature, in blocks of rows. The calibration error wiggles with T, for rows change bins: the
    temperature of least ECE is mostly that of lucky bins.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017, eq. 9.

    Examples
    --------
    >>> from sksoft.metrics import temperature_path
    >>> path = temperature_path(["a", "a", "b"], [[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]], temperatures=[1.0, 4.0])
    >>> round(path.temperature, 4)  # 2 / log 2: says 2/3
    2.8854
    >>> path.table.round(3)
       temperature  negative_log_likelihood    ece  mean_confidence
    0          1.0                    0.794  0.214            0.881
    1          4.0                    0.641  0.044            0.622
    """
    check_choices(n_bins=n_bins, strategy=strategy)
    rows = checked_scores(scores, input)
    logits = log_proba(rows) if input == "proba" else rows
    if not np.isfinite(logits).all():
        raise ValueError("The 'scores' parameter must be finite. Got -inf instead.")
    classes = sorted_labels(np.asarray(y_true)) if labels is None else np.asarray(labels)
    # One check of labels and weights for all metrics; any probabilities will do.
    checked = check_predictions(
        y_true, np.full(logits.shape, 1 / logits.shape[1]), sample_weight=sample_weight, labels=classes
    )
    kept = slice(None) if checked.kept is None else checked.kept
    logits, codes, weights = logits[kept], checked.codes, checked.weights
    best = best_temperature(logits, codes, weights)
    values = _default_range(best) if temperatures is None else _checked_temperatures(temperatures)
    top, hits = logits.max(axis=1).astype(np.float64), logits.argmax(axis=1) == codes
    of_true = np.take_along_axis(logits, codes[:, None], axis=1)[:, 0].astype(np.float64)
    table = []
    for t in values:
        total = _logsumexp(logits, t)
        confidence = np.minimum(np.exp(top / t - total), 1.0)
        sums, _ = bin_scores(confidence, hits, n_bins, strategy, weights)
        loss, mean = (float(np.average(v, weights=weights)) for v in (total - of_true / t, confidence))
        table.append((t, loss, float(sums.error("l1")[0]), mean))
    names = ["temperature", "negative_log_likelihood", "ece", "mean_confidence"]
    at_bound = not np.isnan(best.limit) or best.at_bound
    accuracy = float(np.average(hits, weights=weights))
    return TemperaturePath(pd.DataFrame(table, columns=names), best.temperature, at_bound, accuracy)


def _logsumexp(logits, temperature) -> np.ndarray:
    """log Σ exp(z / T) of every row, float64."""
    out = np.empty(len(logits))
    for block in row_blocks(len(logits), logits.shape[1] * 8):
        out[block] = rowwise.logsumexp_rows(logits[block].astype(np.float64, copy=False), temperature=temperature)
    return out


def _default_range(best) -> list[float]:
    centre = best.temperature if np.isnan(best.limit) and not best.at_bound else 1.0
    return sorted({1.0, *(centre * np.geomspace(1 / 8, 8, 41)).tolist()})


def _checked_temperatures(temperatures) -> list[float]:
    values = np.asarray(temperatures)
    if values.ndim != 1 or values.dtype.kind not in "iuf" or not len(values):
        raise ValueError(f"The 'temperatures' parameter must be a sequence of numbers. Got {temperatures!r} instead.")
    if not ((values > 0) & np.isfinite(values)).all():
        raise ValueError(
            f"The 'temperatures' parameter must hold positive, finite floats. Got {temperatures!r} instead."
        )
    return sorted(values.astype(np.float64).tolist())
