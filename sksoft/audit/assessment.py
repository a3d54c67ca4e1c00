"""``audit``: everything this package can say about a set of predictions, measured and judged."""

import hashlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from numbers import Integral

import numpy as np

from sksoft.audit import calibration_checks, group_checks  # noqa: F401  they register their checks
from sksoft.audit.checks import CHECKS, Evidence, Limits
from sksoft.audit.exclusions import Exclusions
from sksoft.audit.findings import by_urgency
from sksoft.audit.measuring import Step, measured_frames
from sksoft.audit.provenance import environment
from sksoft.audit.report import AuditReport
from sksoft.audit.weighted import effective_size
from sksoft.metrics.calibration import check_choices
from sksoft.metrics.decisions import check_thresholds
from sksoft.metrics.predictions import Predictions, check_predictions

# Curves of more bins cannot be read, and would fill the page.
MOST_BINS = 100


def audit(
    y_true,
    y_proba,
    *,
    sensitive_features=None,
    sample_weight=None,
    labels=None,
    pos_label=None,
    thresholds=(0.5,),
    n_bins=15,
    strategy="uniform",
    min_group_size=50,
    n_resamples=999,
    confidence_level=0.95,
    recalibrate=True,
    limits=None,
    exclusions: Exclusions | None = None,
    title="Audit of predicted probabilities",
    provenance=None,
    step: Step | None = None,
    random_state=0,
) -> AuditReport:
    """Audit predicted probabilities: scores, calibration, groups, decisions, and findings with a code each.

    Parameters
    ----------
    y_true : array-like (n,)
        True labels of any one type; at least two different ones.
    y_proba : array-like (n, K) or (n,)
        Probabilities of the K >= 2 classes, rows summing to 1 within 1e-3; or of the positive class. Two columns are
        judged by that of the positive class.
    sensitive_features : Series, DataFrame, dict of arrays, or array-like (n,) or (n, n_features), optional
        Each column gives groups; several also give their intersections. Missing values are the group "(missing)".
    sample_weight : array-like (n,), optional
        Sampling weights: finite, non-negative, not all zero. Zero weight is removal.
    labels : array-like (K,), optional
        Class of each column; by default the sorted labels of `y_true`.
    pos_label : label, optional
        The positive class of two; by default the second.
    thresholds : sequence of floats in [0, 1], default=(0.5,)
        A row is selected where the probability of the positive class is at least the threshold. With more than two
        classes the decision is the most probable class, and thresholds are not used.
    n_bins : int in [1, 100], default=15
    strategy : {'uniform', 'quantile'}, default='uniform'
        Bins of all calibration errors and reliability curves.
    min_group_size : int >= 2, default=50
        Groups of fewer effective rows are shown and not judged.
    n_resamples : int >= 0, default=999
        Draws for intervals and p-values of calibration errors.
    confidence_level : float in (0, 1), default=0.95
        Of all intervals; tests have level 1 minus that.
    recalibrate : bool, default=True
        Compare with cross-fitted temperature scaling, with the calibrator that cross-fitting chooses among several,
        and with temperatures by group.
    limits : Limits, optional
        From when on a difference matters.
    exclusions : Exclusions, optional
        Rows that were left out before, to be reported.
    title : str, optional
        Heading of the report.
    provenance : dict of str, optional
        Added to what the report says about its making, such as ``{'command': ...}``.
    step : callable, optional
        Called with the name of each step; returns a context manager that is open while the step lasts.
    random_state : int in [0, 2**32), default=0
        Seed of resampling and folds; the same seed gives the same report.

    Returns
    -------
    report : AuditReport
        Plain findings and data frames; ``to_html``, ``to_json``, ``to_csv``.

    Raises
    ------
    ValueError
        For labels, probabilities, weights, groups or parameters that cannot be used.

    Notes
    -----
    O(n K log n) time, O(n (K + B/1000)) memory for B resamples; choosing a calibrator fits about twenty, six times.
    Weights are read as sampling weights throughout.

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft.audit import audit
    >>> rng = np.random.default_rng(0)
    >>> proba = rng.uniform(size=4000)
    >>> y = (rng.uniform(size=4000) < proba**2).astype(int)
    >>> report = audit(y, proba, n_resamples=199)
    >>> report.finding("SKS201").outcome, report.finding("SKS201").severity
    ('flagged', 'high')
    """
    thresholds = _check_parameters(thresholds, n_bins, strategy, confidence_level, random_state)
    limits = Limits() if limits is None else limits
    if not isinstance(limits, Limits):
        raise TypeError(f"The 'limits' parameter must be an instance of Limits or None. Got {limits!r} instead.")
    step = step or (lambda name: nullcontext())
    predictions = _judged(y_true, y_proba, sample_weight, labels, pos_label)
    settings = {
        "n_bins": n_bins,
        "strategy": strategy,
        "min_group_size": min_group_size,
        "n_resamples": n_resamples,
        "confidence_level": confidence_level,
        "thresholds": list(thresholds) if predictions.is_binary else [],
        "random_state": int(random_state),
        "limits": asdict(limits),
    }
    frames = measured_frames(predictions, sensitive_features, settings, recalibrate, step)
    if exclusions is not None:
        rows = exclusions.rows.drop(columns="value")  # what stood there may be about a person
        frames |= {
            "exclusions": exclusions.reasons(),
            "excluded_rows": rows,
            "exclusions_by_group": exclusions.by_group,
        }
    evidence = Evidence(predictions, frames, settings, limits, exclusions)
    return AuditReport(
        title=title,
        summary=_summary(predictions, exclusions),
        findings=by_urgency([check(evidence) for check in CHECKS.values()]),
        frames=frames,
        settings=settings,
        provenance=environment() | {"predictions_sha256": _fingerprint(predictions)} | dict(provenance or {}),
    )


def _check_parameters(thresholds, n_bins, strategy, confidence_level, random_state) -> Sequence[float]:
    check_choices(n_bins=n_bins, strategy=strategy, confidence_level=confidence_level)
    if n_bins > MOST_BINS:
        raise ValueError(f"The 'n_bins' parameter must be an int in [1, {MOST_BINS}]. Got {n_bins!r} instead.")
    thresholds = check_thresholds(thresholds)
    if isinstance(random_state, bool) or not isinstance(random_state, Integral) or not 0 <= int(random_state) < 2**32:
        raise ValueError(f"The 'random_state' parameter must be an int in [0, 2**32). Got {random_state!r} instead.")
    return thresholds


def _judged(y_true, y_proba, sample_weight, labels, pos_label) -> Predictions:
    """Validated predictions; two columns become the probability of the positive class."""
    predictions = check_predictions(y_true, y_proba, sample_weight=sample_weight, labels=labels, pos_label=pos_label)
    if len(np.unique(predictions.codes)) < 2:
        raise ValueError("y_true must hold at least two classes: with one, nothing can be judged. Got 1 class instead.")
    if predictions.is_binary or len(predictions.classes) > 2:
        return predictions
    negative, positive = predictions.classes.tolist()
    if pos_label is not None and pos_label == negative:
        negative, positive = positive, negative
    elif pos_label is not None and pos_label != positive:
        raise ValueError(
            f"pos_label={pos_label!r} is not a valid label: it should be one of {predictions.classes.tolist()}."
        )
    column = predictions.classes.tolist().index(positive)
    return check_predictions(
        y_true,
        np.clip(np.asarray(y_proba, dtype=np.float64)[:, column], 0.0, 1.0),
        sample_weight=sample_weight,
        labels=np.array([negative, positive], dtype=predictions.classes.dtype),
        pos_label=positive,
    )


def _summary(predictions: Predictions, exclusions: Exclusions | None) -> dict:
    n = len(predictions.codes)
    return {
        "rows": n,
        "effective_rows": effective_size(predictions.weights, n),
        "weighted": predictions.weights is not None,
        "rows_read": n if exclusions is None else exclusions.n_rows,
        "rows_left_out": 0 if exclusions is None else len(exclusions.rows),
        "classes": [str(label) for label in predictions.classes],
        "positive_class": str(predictions.classes[-1]) if predictions.is_binary else None,
    }


def _fingerprint(predictions: Predictions) -> str:
    """SHA-256 of codes, probabilities and weights as audited."""
    digest = hashlib.sha256()
    for array in (predictions.codes, predictions.proba, predictions.weights):
        if array is not None:
            digest.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return digest.hexdigest()
