"""Bootstrap intervals: of binned calibration errors from sums per bin, of any other metric through its weights."""

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_array

from sksoft.kernels import bins
from sksoft.kernels.blocks import row_blocks
from sksoft.metrics.binned import BinnedSums, inner_edges
from sksoft.metrics.binned_null import class_cells, class_draws, row_blocks_of_draws
from sksoft.metrics.calibration import check_choices
from sksoft.metrics.events import columns, event_rows, resolved_mode
from sksoft.metrics.null_labels import written_out
from sksoft.metrics.predictions import WEIGHT_TYPES, Predictions, check_predictions, checked_weights
from sksoft.metrics.resampling import BLOCK_BYTES, SCALES, draw_seeds, error_interval, inverted_interval, p_values

METHODS = ("basic", "percentile", "centered")


class MetricInterval(NamedTuple):
    """An estimate and the ends of its interval.

    Attributes
    ----------
    estimate, low, high : float
    """

    estimate: float
    low: float
    high: float


def calibration_error_interval(
    y_true,
    y_proba,
    *,
    n_bins=15,
    strategy="uniform",
    norm="l1",
    mode="auto",
    debias=False,
    n_resamples=999,
    confidence_level=0.95,
    sample_weight=None,
    weight_type="sampling",
    labels=None,
    pos_label=None,
    random_state=None,
) -> MetricInterval:
    """Binned calibration error with a bootstrap interval.

    The estimate is :func:`expected_calibration_error`. The interval is for the error of the same bins without noise.

    Parameters
    ----------
    y_true, y_proba, n_bins, strategy
        As in :func:`expected_calibration_error`; the bins stay those of the data in all resamples.
    norm : {'l1', 'l2', 'max'}, default='l1'
    mode : {'auto', 'confidence', 'classwise', 'top_label', 'binary'}, default='auto'
        See :mod:`sksoft.metrics.events`. For ``'classwise'`` a row is drawn for all classes at once.
    debias : bool, default=False
    n_resamples : int >= 1, default=999
    confidence_level : float in (0, 1), default=0.95
    sample_weight, weight_type, labels, pos_label
        As in :func:`expected_calibration_error`; repetitions are drawn one by one.
    random_state : int, RandomState instance or None, default=None
        Draws depend on it, on the resample and on the row; results are the same for any number of threads.

    Returns
    -------
    interval : MetricInterval
        ``estimate``, ``low``, ``high``.

    Raises
    ------
    ValueError
        For invalid labels, probabilities, weights or parameters.

    Notes
    -----
    The wider of two intervals, both from Poisson bootstrap samples of the rows [1]_ and from outcomes drawn with the
    predicted probabilities, on sums per bin. T is the error (the square for l2), T* its replicates and q their
    quantiles. *Bootstrap*: low end ``2T − q`` for plug-in errors and ``T + mean T* − q`` for debiased ones, and 0 where
    "calibrated" is not rejected; high end ``T + mean T* − q``. *Inversion of a test*: all multiples s of the observed
    gaps, up to 2, at which T lies between the quantiles of T*(s), the error of gaps that are s times the observed ones
    with the noise of either kind of draws.

    Simulated coverage of 95 % intervals (uniform probabilities of two classes, and of five; outcomes of slope 1 to 0.5;
    100 to 1000 rows, 300 data sets a cell): 92 to 100 %. O(nB) time for B resamples (O(nKB) for ``'classwise'``),
    O(n + B · bins) memory.

    References
    ----------
    .. [1] J. A. Hanley, B. MacGibbon, "Creating non-parametric bootstrap samples using Poisson frequencies", Computer
       Methods and Programs in Biomedicine 83 (2006).

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft.metrics import calibration_error_interval
    >>> rng = np.random.default_rng(0)
    >>> proba = rng.uniform(size=4000)
    >>> y = rng.uniform(size=4000) < proba**2
    >>> interval = calibration_error_interval(y, proba, norm="l2", debias=True, random_state=0)
    >>> print(*(round(value, 2) for value in interval))
    0.18 0.17 0.19
    """
    check_choices(
        n_bins=n_bins,
        strategy=strategy,
        norm=norm,
        mode=mode,
        weight_type=weight_type,
        confidence_level=confidence_level,
    )
    _check_resamples(n_resamples)
    if debias and norm == "max":
        raise ValueError("norm='max' has no debiased form: pass debias=False, or norm='l1' or 'l2'.")
    predictions = check_predictions(
        y_true, y_proba, sample_weight=sample_weight, weight_type=weight_type, labels=labels, pos_label=pos_label
    )
    if resolved_mode(predictions, mode) == "classwise":
        fixed, blocks = _class_blocks(predictions, n_bins, strategy, weight_type, n_resamples, random_state)
        share = np.full(len(fixed.weight), 1 / len(fixed.weight))
    else:
        cells = _cells(predictions, mode, n_bins, strategy, weight_type, pos_label)
        fixed, share = _sums(cells, cells.table), None
        blocks = _blocks(cells, fixed, n_resamples, random_state)

    statistic = _statistic(norm, debias, weight_type, share)
    plug_in = np.asarray(_statistic(norm, False, weight_type, share)(fixed))
    observed = np.asarray(statistic(fixed))
    scaled = np.concatenate([_scaled(fixed, null, boot, statistic) for null, boot in blocks], axis=2)
    null, replicates = scaled[0, 0], scaled[1, np.flatnonzero(SCALES == 1)[0]]
    p_value = p_values(observed, null)
    if debias:
        # Debiasing has taken the noise of the rows out of the estimate, and that of resampling out of the replicates:
        # what is left of their mean shift is the noise of the rows.
        replicates = replicates - (np.nanmean(replicates) - observed)
    ends = np.maximum([observed, *error_interval(observed, replicates, p_value, confidence_level)], 0.0)
    estimate, low, high = np.sqrt(ends) if norm == "l2" else ends
    plug_in = np.sqrt(plug_in) if norm == "l2" else plug_in
    least, most = inverted_interval(observed[None], plug_in[None], scaled[..., None], confidence_level)
    return MetricInterval(float(estimate), float(min(low, least[0])), float(min(max(high, most[0]), 1.0)))


def _statistic(norm, debias, weight_type, share) -> Callable[[BinnedSums], np.ndarray]:
    """Signed error, the square for l2, of sums (..., groups, bins), as a function of them; `share` (groups,) is that of
    each group, by default its part of the weight."""

    def statistic(sums: BinnedSums):
        errors = sums.debiased_error(norm, weight_type) if debias else sums.error(norm)
        part = sums.weight.sum(axis=-1) if share is None else share
        if norm == "max":
            return np.where(part > 0, errors, 0.0).max(axis=-1)
        with np.errstate(invalid="ignore"):  # a resample that draws nothing
            return np.nansum(errors * part, axis=-1) / part.sum(axis=-1)

    return statistic


def _scaled(fixed: BinnedSums, hit: np.ndarray, boot: BinnedSums, statistic: Callable) -> np.ndarray:
    """The statistic where the gaps are so many times the observed ones, (2, len(SCALES), resamples): with the noise of
    drawn hits (resamples, groups, bins), and with that of a bootstrap."""
    weight, score, squared = (
        np.broadcast_to(part, hit.shape) for part in (fixed.weight, fixed.score, fixed.weight_squared)
    )
    excess, gap = fixed.hit - fixed.score, fixed.gap
    null = [statistic(BinnedSums(weight, score, hit + scale * excess, squared, weight)) for scale in SCALES]
    moved = (replace(boot, score=boot.score + (1 - scale) * gap * boot.weight) for scale in SCALES)
    return np.stack([null, [statistic(sums) for sums in moved]])


class _Cells(NamedTuple):
    """Rows in the order of their cells (group, outcome, bin), and the sums of each."""

    scores: np.ndarray
    weights: np.ndarray | None
    starts: np.ndarray
    shape: tuple[int, int, int]
    table: np.ndarray


def _cells(predictions: Predictions, mode, n_bins, strategy, weight_type, pos_label) -> _Cells:
    scores, hits, groups, n_groups = event_rows(predictions, mode, pos_label)
    weights = predictions.weights
    bin_codes = np.searchsorted(inner_edges(scores, n_bins, strategy, weights), scores, side="left")
    shape = (n_groups, 2, n_bins)
    n_cells = 2 * n_groups * n_bins
    cells = (((0 if groups is None else groups) * 2 + hits) * n_bins + bin_codes).astype(np.min_scalar_type(n_cells))
    order = np.argsort(cells, kind="stable")  # 16 bits are sorted by radix
    if weights is not None and weight_type == "frequency":
        order, weights = np.repeat(order, weights[order].astype(np.intp)), None
    starts = np.concatenate([[0], np.cumsum(np.bincount(cells[order], minlength=n_cells))])
    scores = scores[order].astype(np.float64)
    weights = None if weights is None else weights[order]
    ordered = cells[order]
    one = np.ones(len(order)) if weights is None else weights
    table = np.stack([np.bincount(ordered, column, minlength=n_cells) for column in (one, one * scores, one**2)])
    return _Cells(scores, weights, starts, shape, table)


def _sums(cells: _Cells, table: np.ndarray) -> BinnedSums:
    """Sums by group and bin from weight, weight·score and weight² of the cells, (3, ..., n_cells)."""
    table = table.reshape(*table.shape[:-1], *cells.shape)
    weight, score, squared = table.sum(axis=-2)
    return BinnedSums(weight, score, table[0][..., 1, :], squared, weight)


def _blocks(cells: _Cells, fixed: BinnedSums, n_resamples, random_state):
    """Hits of calibrated draws and sums of bootstrap samples, (resamples, groups, bins), some resamples at a time."""
    null_seed, seed = draw_seeds(random_state)
    # One block after the other: the kernels use the threads.
    for block in row_blocks(n_resamples, cells.starts.size * 24, BLOCK_BYTES):
        draw = {"resamples": range(block.start, block.stop), "weights": cells.weights}
        drawn = bins.null_hit_sums(cells.scores, cells.starts, seed=null_seed, **draw)
        weight, score = bins.bootstrap_sums(cells.scores, cells.starts, seed=seed, **draw)
        squared = weight
        if cells.weights is not None:
            squared = bins.bootstrap_sums(cells.weights, cells.starts, seed=seed, **draw)[1]
        yield drawn.reshape(-1, *cells.shape).sum(axis=-2), _sums(cells, np.stack([weight, score, squared]))


def _class_blocks(predictions: Predictions, n_bins, strategy, weight_type, n_resamples, random_state):
    """Sums of every class (K, bins), and blocks as those of :func:`_blocks`: a row is drawn for all classes at once."""
    if weight_type == "frequency":
        predictions = written_out(predictions)
    null_seed, seed = draw_seeds(random_state)
    fixed, cells = class_cells(predictions, n_bins, strategy)
    blocks = row_blocks_of_draws(fixed, n_resamples)
    null = class_draws(predictions, cells, n_bins, null_seed, blocks)
    return fixed, zip(null, _class_replicates(predictions, cells, fixed, seed, blocks))


def _class_replicates(predictions: Predictions, cells, fixed: BinnedSums, seed, blocks):
    """Bootstrap sums (resamples, K, bins), by block: products of sparse rows, K cells each, with the numbers drawn."""
    proba, weights, (n_rows, n_classes) = columns(predictions), predictions.weights, cells.shape
    one = np.ones(n_rows) if weights is None else weights
    hits = predictions.codes[:, None] == np.arange(n_classes)
    values = [np.repeat(one, n_classes), (one[:, None] * proba).ravel(), (one[:, None] * hits).ravel()]
    values += [] if weights is None else [np.repeat(weights**2, n_classes)]
    places = cells.ravel().astype(np.int32), np.arange(0, cells.size + 1, n_classes)
    tables = [csc_array((value, *places), shape=(fixed.weight.size, n_rows)) for value in values]
    for block in blocks:
        sums = []
        for part in row_blocks(block.stop - block.start, 8 * n_rows, BLOCK_BYTES):
            resamples = range(block.start + part.start, block.start + part.stop)
            drawn = np.stack([_poisson_one(seed, resample, n_rows) for resample in resamples], axis=1)
            sums.append(np.stack([(table @ drawn).T for table in tables]))
        found = np.concatenate(sums, axis=1).reshape(len(tables), -1, *fixed.weight.shape)
        weight, score, hit = found[:3]
        yield BinnedSums(weight, score, hit, found[-1] if weights is not None else weight, weight)


def bootstrap_interval(
    metric,
    y_true,
    y_proba,
    *,
    n_resamples=999,
    confidence_level=0.95,
    method="basic",
    sample_weight=None,
    weight_type="sampling",
    random_state=None,
    **options,
) -> MetricInterval:
    """Bootstrap interval of any metric that takes `sample_weight`.

    In each resample row i has the weight ``w_i N_i`` with N_i ~ Poisson(1), or N_i ~ Poisson(w_i) where weights are
    repetitions [1]_.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, y_proba, sample_weight=..., **options) -> float``: any of this package or of scikit-learn.
    y_true : array-like (n,)
    y_proba : array-like (n, K) or (n,)
    n_resamples : int >= 1, default=999
    confidence_level : float in (0, 1), default=0.95
    method : {'basic', 'percentile', 'centered'}, default='basic'
        With T the estimate, T* the replicates and q their quantiles: ``2T − q``, which takes out once the bias that
        resampling shows; ``q``; or ``T + mean T* − q``, for the mean of the estimator at this number of rows: for
        calibration errors that are not debiased, the noise included.
    sample_weight : array-like (n,), optional
    weight_type : {'sampling', 'frequency'}, default='sampling'
    random_state : int, RandomState instance or None, default=None
        Draws depend on it, on the resample and on the row.
    **options
        Further keyword arguments of `metric`, such as `labels`.

    Returns
    -------
    interval : MetricInterval
        ``estimate``, ``low``, ``high``.

    Raises
    ------
    ValueError
        For parameters out of range, for fewer than two rows, and what `metric` raises.
    TypeError
        If `metric` is not callable, or returns something else than a number.

    Notes
    -----
    B + 1 calls of `metric`. An error of calibrated predictions lies at the edge of what it can be, where no bootstrap
    of rows is exact: test that by :func:`calibration_test`; for binned errors prefer
    :func:`calibration_error_interval`.

    References
    ----------
    .. [1] J. A. Hanley, B. MacGibbon, "Creating non-parametric bootstrap samples using Poisson frequencies", Computer
       Methods and Programs in Biomedicine 83 (2006).

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft.metrics import bootstrap_interval, brier_score
    >>> rng = np.random.default_rng(0)
    >>> proba = rng.uniform(size=1000)
    >>> y = rng.uniform(size=1000) < proba
    >>> print(*(round(value, 2) for value in bootstrap_interval(brier_score, y, proba, random_state=0)))
    0.17 0.15 0.18
    """
    check_choices(confidence_level=confidence_level)
    _check_resamples(n_resamples)
    for name, value, accepted in (("method", method, METHODS), ("weight_type", weight_type, WEIGHT_TYPES)):
        if value not in accepted:
            raise ValueError(f"The {name!r} parameter must be one of {accepted}. Got {value!r} instead.")
    if not callable(metric):
        raise TypeError(f"The 'metric' parameter must be callable. Got {metric!r} instead.")
    y_true, y_proba = np.asarray(y_true), np.asarray(y_proba)
    n_rows = len(y_true) if y_true.ndim else 0
    if n_rows < 2:
        raise ValueError(f"A bootstrap interval needs at least two rows. Got y_true of shape {y_true.shape}.")
    weights = checked_weights(sample_weight, y_true, weight_type)
    given = {} if weights is None else {"sample_weight": weights}

    def number(**given) -> float:
        value = metric(y_true, y_proba, **given, **options)
        if np.ndim(value) or not isinstance(value, Real):
            raise TypeError(f"The 'metric' parameter must return a float. Got {type(value).__name__} instead.")
        return float(value)

    estimate = number(**given)
    draws = row_weights(n_rows, weights, weight_type, draw_seeds(random_state)[1])
    replicates = np.array([number(sample_weight=next(draws)) for _ in range(n_resamples)])
    tail = (1 - confidence_level) / 2
    lower, upper = np.quantile(replicates, [tail, 1 - tail])
    centre = {"basic": 2 * estimate, "centered": estimate + replicates.mean(), "percentile": lower + upper}[method]
    return MetricInterval(estimate, float(centre - upper), float(centre - lower))


def row_weights(n_rows, weights, weight_type, seed):
    """Weights of the rows in one resample after the other; one that draws nothing is drawn again."""
    resample = 0
    while True:
        if weights is None or weight_type == "sampling":
            drawn = _poisson_one(seed, resample, n_rows)
            drawn = drawn if weights is None else drawn * weights
        else:
            drawn = _poisson(weights, bins.uniforms(seed, resample, n_rows))
        resample += 1
        if drawn.any():
            yield drawn


def _poisson_one(seed, resample, n_rows) -> np.ndarray:
    """How often each row is drawn: Poisson numbers of mean 1."""
    return np.searchsorted(bins.POISSON, bins.uniforms(seed, resample, n_rows), side="right").astype(np.float64)


def _poisson(mean, uniforms) -> np.ndarray:
    """Poisson numbers of these means by inversion."""
    from scipy.stats import poisson  # slow to import

    return np.maximum(poisson.ppf(uniforms, mean), 0.0)


def _check_resamples(n_resamples):
    if isinstance(n_resamples, bool) or not isinstance(n_resamples, Integral) or n_resamples < 1:
        raise ValueError(f"The 'n_resamples' parameter must be an int >= 1. Got {n_resamples!r} instead.")
