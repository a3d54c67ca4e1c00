"""Binned calibration errors and the reliability curve.

Which probability is compared with what (`mode`) is said in :mod:`sksoft.metrics.events`.
Bins are (l, u] with 0 in the first and 1 in the last, scikit-learn's. How errors follow from bins, and what
debiasing does, is said in :mod:`sksoft.metrics.binned`.
"""

from numbers import Integral, Real

import numpy as np
import pandas as pd
from scipy.special import betaincinv, ndtri

from sksoft.metrics.binned import bin_classes, bin_scores
from sksoft.metrics.events import MODES, column_labels, columns, event_rows, resolved_mode
from sksoft.metrics.predictions import WEIGHT_TYPES, Predictions, check_predictions

STRATEGIES = ("uniform", "quantile")
NORMS = ("l1", "l2", "max")
INTERVALS = ("wilson", "clopper-pearson")


def expected_calibration_error(
    y_true,
    y_proba,
    *,
    n_bins=15,
    strategy="uniform",
    norm="l1",
    mode="auto",
    debias=False,
    sample_weight=None,
    weight_type="sampling",
    labels=None,
    pos_label=None,
) -> float:
    """Expected calibration error: the mean distance between probability and observed rate over bins.

    ``ECE = Σ_b W_b/W |a_b − c_b|`` with W_b the weight, c_b the mean probability and a_b the observed rate of
    bin b ([1]_, eq. 3). It is positive even for perfectly calibrated predictions (about .03 for 2000 rows in
    15 bins): compare groups of different sizes with ``debias=True`` or by :func:`group_calibration`.

    Parameters
    ----------
    y_true : array-like (n,)
        True labels of any type.
    y_proba : array-like (n, K) or (n,)
        Class probabilities, rows summing to 1; or the probability of the positive class.
        Those on a CUDA device are computed on there.
    n_bins : int >= 1, default=15
    strategy : {'uniform', 'quantile'}, default='uniform'
        Bins of equal width on [0, 1], or of equal weight (ties stay together, so there may be fewer). For as many as
        keep the rates in order: :func:`monotone_sweep_calibration_error`.
    norm : {'l1', 'l2', 'max'}, default='l1'
        ``'l2'`` is the root mean square calibration error, ``'max'`` the largest distance.
    mode : {'auto', 'confidence', 'classwise', 'top_label', 'binary'}, default='auto'
        See :mod:`sksoft.metrics.events`. ``'auto'`` is ``'binary'`` for a one-dimensional `y_proba`, else
        ``'confidence'``. ``'binary'`` with several columns looks at the column of `pos_label` (of two
        columns, by default the second).
    debias : bool, default=False
        Subtract what noise adds [2]_. ``'l2'`` gives the root of the unbiased square, 0 where that is
        negative; ``'l1'`` is reduced in bias, not unbiased, and not below 0; ``'max'`` has no debiased form.
    sample_weight : array-like (n,), optional
        Non-negative. Weight 2 equals repetition and weight 0 removal (with `debias` for
        ``weight_type='frequency'``).
    weight_type : {'sampling', 'frequency'}, default='sampling'
        What weights mean when debiasing: sampling weights (a bin counts (Σw)²/Σw² rows) or repetitions (Σw
        rows).
    labels : array-like (K,), optional
        Class of each column, in the order of the columns (an estimator's ``classes_``). By default the sorted
        labels of `y_true`, all of which must occur.
    pos_label : label, optional
        The positive class; see :func:`~sksoft.metrics.predictions.check_predictions`.

    Returns
    -------
    error : float in [0, 1]

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights or parameters.

    Notes
    -----
    O(nK) time in one pass over the probabilities; O(n log n) more for ``strategy='quantile'``.
    ECE is not a proper score: a constant prediction of the base rates has none.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017.
    .. [2] A. Kumar, P. Liang, T. Ma, "Verified uncertainty calibration", NeurIPS 2019, definition 4.1.

    Examples
    --------
    >>> from sksoft.metrics import expected_calibration_error
    >>> y_true = ["no", "no", "yes", "yes"]
    >>> print(expected_calibration_error(y_true, [0.1, 0.3, 0.6, 0.9], pos_label="yes"))
    0.225
    """
    check_choices(n_bins=n_bins, strategy=strategy, norm=norm, mode=mode, weight_type=weight_type)
    if debias and norm == "max":
        raise ValueError("norm='max' has no debiased form: pass debias=False, or norm='l1' or 'l2'.")
    predictions = check_predictions(
        y_true,
        y_proba,
        sample_weight=sample_weight,
        weight_type=weight_type,
        labels=labels,
        pos_label=pos_label,
        device=True,
    )
    sums, share, _ = _binned(predictions, mode, n_bins, strategy, pos_label)
    return sums.combined_error(share, norm, debias, weight_type)


def maximum_calibration_error(
    y_true,
    y_proba,
    *,
    n_bins=15,
    strategy="uniform",
    mode="auto",
    sample_weight=None,
    labels=None,
    pos_label=None,
) -> float:
    """Largest distance between probability and observed rate over non-empty bins: ``max_b |a_b − c_b|``.

    :func:`expected_calibration_error` with ``norm='max'``. A bin that holds a single row may decide the value.

    Parameters
    ----------
    y_true, y_proba, n_bins, strategy, mode, sample_weight, labels, pos_label
        As in :func:`expected_calibration_error`.

    Returns
    -------
    error : float in [0, 1]

    References
    ----------
    .. [1] M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
       binning", AAAI 2015.

    Examples
    --------
    >>> from sksoft.metrics import maximum_calibration_error
    >>> print(maximum_calibration_error([0, 0, 1, 1], [0.1, 0.25, 0.6, 0.9]))
    0.4
    """
    return expected_calibration_error(
        y_true,
        y_proba,
        n_bins=n_bins,
        strategy=strategy,
        norm="max",
        mode=mode,
        sample_weight=sample_weight,
        labels=labels,
        pos_label=pos_label,
    )


def adaptive_calibration_error(
    y_true,
    y_proba,
    *,
    n_bins=15,
    norm="l1",
    mode="auto",
    debias=False,
    sample_weight=None,
    weight_type="sampling",
    labels=None,
    pos_label=None,
) -> float:
    """Calibration error over bins of equal weight.

    :func:`expected_calibration_error` with ``strategy='quantile'``. The adaptive calibration error of Nixon et
    al. [1]_ is that of ``mode='classwise'``.

    Parameters
    ----------
    y_true, y_proba, n_bins, norm, mode, debias, sample_weight, weight_type, labels, pos_label
        As in :func:`expected_calibration_error`.

    Returns
    -------
    error : float in [0, 1]

    References
    ----------
    .. [1] J. Nixon, M. Dusenberry, L. Zhang, G. Jerfel, D. Tran, "Measuring calibration in deep learning",
       CVPR workshops 2019.

    Examples
    --------
    >>> from sksoft.metrics import adaptive_calibration_error
    >>> print(round(adaptive_calibration_error([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9], n_bins=2), 6))
    0.2
    """
    return expected_calibration_error(
        y_true,
        y_proba,
        n_bins=n_bins,
        strategy="quantile",
        norm=norm,
        mode=mode,
        debias=debias,
        sample_weight=sample_weight,
        weight_type=weight_type,
        labels=labels,
        pos_label=pos_label,
    )


def classwise_calibration_error(
    y_true,
    y_proba,
    *,
    n_bins=15,
    strategy="uniform",
    norm="l1",
    debias=False,
    sample_weight=None,
    weight_type="sampling",
    labels=None,
) -> float:
    """Mean over classes of the calibration error of each class against the rest.

    ``K⁻¹ Σ_k Σ_b W_kb/W |a_kb − c_kb|`` ([1]_, eq. 3): :func:`expected_calibration_error` with
    ``mode='classwise'``. Some tables print the sum over classes: multiply by K.

    Parameters
    ----------
    y_true, y_proba, n_bins, strategy, norm, debias, sample_weight, weight_type, labels
        As in :func:`expected_calibration_error`.

    Returns
    -------
    error : float in [0, 1]

    References
    ----------
    .. [1] M. Kull et al., "Beyond temperature scaling: obtaining well-calibrated multiclass probabilities
       with Dirichlet calibration", NeurIPS 2019.

    Examples
    --------
    >>> from sksoft.metrics import classwise_calibration_error
    >>> proba = [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [0.0, 1.0]]
    >>> print(classwise_calibration_error(["a", "a", "b", "b"], proba, n_bins=4))
    0.25
    """
    return expected_calibration_error(
        y_true,
        y_proba,
        n_bins=n_bins,
        strategy=strategy,
        norm=norm,
        mode="classwise",
        debias=debias,
        sample_weight=sample_weight,
        weight_type=weight_type,
        labels=labels,
    )


def reliability_curve(
    y_true,
    y_proba,
    *,
    n_bins=15,
    strategy="uniform",
    mode="auto",
    sample_weight=None,
    weight_type="sampling",
    labels=None,
    pos_label=None,
    confidence_level=0.95,
    interval="wilson",
) -> pd.DataFrame:
    """Observed rate against mean probability, bin by bin, with intervals.

    Parameters
    ----------
    y_true, y_proba, n_bins, strategy, mode, sample_weight, weight_type, labels, pos_label
        As in :func:`expected_calibration_error`. ``mode='binary'`` with `pos_label` and several columns is
        the curve of that class against the rest.
    confidence_level : float in (0, 1), default=0.95
    interval : {'wilson', 'clopper-pearson'}, default='wilson'
        Interval of the observed rate: Wilson's score interval [1]_, or the exact, wider one; on effective
        rows.

    Returns
    -------
    curve : DataFrame
        One row per bin, per class and bin for ``'classwise'``, per predicted label and bin for
        ``'top_label'`` (then with a first column ``class``): ``bin``, ``bin_low``, ``bin_high`` (bin_low,
        bin_high], ``n`` rows, ``weight`` Σw, ``effective_n``, ``mean_proba``, ``observed_rate``,
        ``rate_low``, ``rate_high``, ``gap`` (observed − mean). Empty bins are kept with weight 0 and NaN
        means.

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
       (1927).

    Examples
    --------
    >>> from sksoft.metrics import reliability_curve
    >>> curve = reliability_curve([0, 0, 1, 1], [0.1, 0.3, 0.6, 0.9], n_bins=2)
    >>> curve[["bin_low", "bin_high", "n", "mean_proba", "observed_rate"]]
       bin_low  bin_high  n  mean_proba  observed_rate
    0      0.0       0.5  2        0.20            0.0
    1      0.5       1.0  2        0.75            1.0
    """
    check_choices(
        n_bins=n_bins,
        strategy=strategy,
        mode=mode,
        weight_type=weight_type,
        interval=interval,
        confidence_level=confidence_level,
    )
    predictions = check_predictions(
        y_true,
        y_proba,
        sample_weight=sample_weight,
        weight_type=weight_type,
        labels=labels,
        pos_label=pos_label,
        device=True,
    )
    sums, _, edges = _binned(predictions, mode, n_bins, strategy, pos_label)
    several = resolved_mode(predictions, mode) in ("classwise", "top_label")
    classes = column_labels(predictions) if several else None
    return curve_from_sums(sums, edges, classes, weight_type, confidence_level, interval)


def curve_from_sums(sums, edges, classes, weight_type, confidence_level, interval) -> pd.DataFrame:
    """The table of :func:`reliability_curve` of sums (rows, n_bins) and inner edges, with a column of the class of each
    row of sums where `classes` is not None."""
    edges = np.broadcast_to(edges, (len(sums.weight), sums.weight.shape[1] - 1))
    frames = [_curve_frame(sums, row, edges[row], weight_type, confidence_level, interval) for row in range(len(edges))]
    if classes is not None:
        for frame, label in zip(frames, classes):
            frame.insert(0, "class", [label] * len(frame))
    return pd.concat(frames, ignore_index=True)


def rate_interval(rate, size, confidence_level=0.95, interval="wilson"):
    """Interval of a binomial rate observed on `size` (effective, not necessarily whole) rows; NaN where size
    is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if interval == "wilson":
            z = ndtri(0.5 + confidence_level / 2)
            centre = (rate + z**2 / (2 * size)) / (1 + z**2 / size)
            half = z / (1 + z**2 / size) * np.sqrt(rate * (1 - rate) / size + z**2 / (4 * size**2))
            low, high = centre - half, centre + half
            low, high = np.where(rate == 0, 0.0, low), np.where(rate == 1, 1.0, high)
        else:
            tail, hits, misses = (1 - confidence_level) / 2, rate * size, (1 - rate) * size
            low = np.where(hits > 0, betaincinv(hits, misses + 1, tail), 0.0)
            high = np.where(misses > 0, betaincinv(hits + 1, misses, 1 - tail), 1.0)
    return np.where(size > 0, low, np.nan), np.where(size > 0, high, np.nan)


def _curve_frame(sums, row, edges, weight_type, confidence_level, interval) -> pd.DataFrame:
    bounded = np.flatnonzero(np.isfinite(edges))
    kept = np.arange(len(bounded) + 1)
    size = sums.size(weight_type)[row, kept]
    rate = sums.rate[row, kept]
    low, high = rate_interval(rate, size, confidence_level, interval)
    return pd.DataFrame(
        {
            "bin": kept,
            "bin_low": np.concatenate([[0.0], edges[bounded]]),
            "bin_high": np.concatenate([edges[bounded], [1.0]]),
            "n": np.rint((sums.weight if weight_type == "frequency" else sums.count)[row, kept]).astype(np.int64),
            "weight": sums.weight[row, kept],
            "effective_n": size,
            "mean_proba": sums.mean_score[row, kept],
            "observed_rate": rate,
            "rate_low": low,
            "rate_high": high,
            "gap": rate - sums.mean_score[row, kept],
        }
    )


def _binned(predictions: Predictions, mode, n_bins, strategy, pos_label):
    """Sums (rows, n_bins), the share of each row in the error, and inner edges (n_bins - 1,) or (rows, n_bins
    - 1)."""
    mode = resolved_mode(predictions, mode)
    weights = predictions.weights
    if mode == "classwise":
        sums, edges = bin_classes(columns(predictions), predictions.codes, n_bins, strategy, weights)
        return sums, np.full(len(sums.weight), 1 / len(sums.weight)), edges
    scores, hits, groups, n_groups = event_rows(predictions, mode, pos_label)
    sums, edges = bin_scores(scores, hits, n_bins, strategy, weights, groups, n_groups)
    totals = sums.weight.sum(axis=1)
    return sums, totals / totals.sum(), edges


def check_choices(**parameters):
    """ValueError for a parameter outside its domain."""
    choices = {
        "strategy": STRATEGIES,
        "norm": NORMS,
        "mode": MODES,
        "weight_type": WEIGHT_TYPES,
        "interval": INTERVALS,
    }
    if parameters.get("strategy") == "sweep":
        raise ValueError(
            f"The 'strategy' parameter must be one of {STRATEGIES}. Got 'sweep' instead: its bins depend on the "
            "outcomes, so it is a function of its own, monotone_sweep_calibration_error."
        )
    for name, value in parameters.items():
        if name in choices and value not in choices[name]:
            raise ValueError(f"The {name!r} parameter must be one of {choices[name]}. Got {value!r} instead.")
    n_bins = parameters.get("n_bins", 1)
    if isinstance(n_bins, bool) or not isinstance(n_bins, Integral) or n_bins < 1:
        raise ValueError(f"The 'n_bins' parameter must be an int >= 1. Got {n_bins!r} instead.")
    level = parameters.get("confidence_level", 0.95)
    if not isinstance(level, Real) or not 0 < float(level) < 1:
        raise ValueError(f"The 'confidence_level' parameter must be a float in (0, 1). Got {level!r} instead.")
