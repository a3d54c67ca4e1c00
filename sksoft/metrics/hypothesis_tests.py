"""Tests of "these predictions are calibrated", for two classes and for more, one by one and in families.

Null hypothesis, by mode:

============== ==================================================================================================
mode           calibrated are
============== ==================================================================================================
``canonical``  whole vectors: P(y = k | p) = p_k for all k
``classwise``  the probabilities of each class (the global null hypothesis over classes)
``confidence`` the largest probabilities
``top_label``  the largest probabilities, given each predicted label (the global null hypothesis over labels)
``binary``     the probabilities of the positive class
============== ==================================================================================================

Drawn labels follow the predictions as whole vectors. For ``'classwise'``, whose classes are tested jointly, the
p-values from draws hence are exact under canonical calibration; for the other modes each event alone is drawn, or
labels independent given the predictions.
"""

from collections.abc import Callable
from numbers import Integral
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from sksoft.kernels import pairs
from sksoft.metrics.binned_null import binned_test
from sksoft.metrics.calibration import check_choices
from sksoft.metrics.cox import cox_statistic, fit_cox
from sksoft.metrics.cumulative import STATISTICS, cumulative_statistics, ks_p_value, kuiper_p_value
from sksoft.metrics.events import Event, events
from sksoft.metrics.kernel_null import kernel_test
from sksoft.metrics.null_labels import monte_carlo_p_value, null_predictions, seed_of, written_out
from sksoft.metrics.predictions import Predictions, check_predictions
from sksoft.metrics.spiegelhalter import canonical_statistic, event_statistic

# The modes of each method, the first being 'auto' of several columns; of one column it is 'binary'.
METHODS = {
    "bootstrap": ("confidence", "classwise", "top_label", "binary"),
    "skce": ("canonical", "confidence", "classwise", "binary"),
    "spiegelhalter": ("canonical", "confidence", "classwise", "top_label", "binary"),
    "cox": ("canonical", "confidence", "classwise", "top_label", "binary"),
    "cumulative": ("confidence", "classwise", "top_label", "binary"),
}
NULLS = ("auto", "asymptotic", "resampling")
ESTIMATORS = ("unbiased", "linear")


class CalibrationTest(NamedTuple):
    """What :func:`calibration_test` returns.

    Attributes
    ----------
    statistic : float
    pvalue : float in [0, 1]
    """

    statistic: float
    pvalue: float


def calibration_test(
    y_true,
    y_proba,
    *,
    method="bootstrap",
    mode="auto",
    null="auto",
    n_resamples=999,
    n_bins=15,
    strategy="uniform",
    norm="l1",
    statistic="ks",
    estimator="unbiased",
    kernel="total_variation",
    bandwidth="median",
    sample_weight=None,
    weight_type="sampling",
    labels=None,
    pos_label=None,
    random_state=None,
) -> CalibrationTest:
    """Test whether predictions are calibrated.

    Parameters
    ----------
    y_true : array-like (n,)
        True labels of any type.
    y_proba : array-like (n, K) or (n,)
        Class probabilities, rows summing to 1; or the probability of the positive class.
    method : {'bootstrap', 'skce', 'spiegelhalter', 'cox', 'cumulative'}, default='bootstrap'
        ``'bootstrap'``: the binned :func:`expected_calibration_error` against that of labels drawn from the predictions
        [1]_. ``'skce'``: :func:`kernel_calibration_error` [2]_. ``'spiegelhalter'``: is the Brier score what it
        should be [3]_, two-sided; blind to errors that leave it alone. ``'cox'``: likelihood ratio of
        :func:`cox_calibration`. ``'cumulative'``: :func:`cumulative_calibration_error` [4]_.
    mode : {'auto', 'canonical', 'classwise', 'confidence', 'top_label', 'binary'}, default='auto'
        What should be calibrated, see :mod:`sksoft.metrics.hypothesis_tests`. ``'auto'`` is ``'binary'`` for a
        one-dimensional `y_proba`; else ``'canonical'`` for the methods that have it (``'skce'``, ``'spiegelhalter'``,
        ``'cox'``) and ``'confidence'`` for the others. ``'skce'`` has no ``'top_label'``.
    null : {'auto', 'asymptotic', 'resampling'}, default='auto'
        ``'resampling'``: p = (1 + #{T* >= T}) / (B + 1) over labels drawn from the predictions, exact for any n.
        ``'asymptotic'``: from the limiting distribution; several classes are then combined by Bonferroni, which rare
        classes do not bear: one surprise among few rows is no normal variable. ``'auto'`` is ``'asymptotic'`` where
        there is one event or whole vectors of ``'spiegelhalter'``, ``'cox'``, ``'cumulative'`` and the linear
        ``'skce'``, else ``'resampling'``.
    n_resamples : int >= 1, default=999
        B.
    n_bins, strategy, norm
        For ``'bootstrap'``, as in :func:`expected_calibration_error`.
    statistic : {'ks', 'kuiper'}, default='ks'
        For ``'cumulative'``.
    estimator : {'unbiased', 'linear'}, default='unbiased'
        For ``'skce'``: all pairs; or the pairs of rows (1, 2), (3, 4), …, for a one-sided normal test, fast and weak.
    kernel, bandwidth
        For ``'skce'``, as in :func:`kernel_calibration_error`.
    sample_weight : array-like (n,), optional
        Non-negative. Zero weight is removal.
    weight_type : {'sampling', 'frequency'}, default='sampling'
        ``'sampling'``: statistics are weighted, and each row is one draw of a label, whatever its weight. For ``'cox'``
        n = (Σw)²/Σw². ``'frequency'``: weights are whole numbers, and the test is that of the repeated rows.
    labels : array-like (K,), optional
        Class of each column, in the order of the columns; by default the sorted labels of `y_true`.
    pos_label : label, optional
        The positive class.
    random_state : int, RandomState instance or None, default=None
        One 64-bit seed is drawn from it; draws are a function of seed, resample and row.

    Returns
    -------
    result : CalibrationTest
        ``(statistic, pvalue)``. The statistic is the calibration error (``'bootstrap'``, ``'skce'``), Z
        (``'spiegelhalter'``), twice the log-likelihood ratio (``'cox'``) or error / σ (``'cumulative'``); of several
        classes the one that is farthest out.

    Raises
    ------
    ValueError
        For invalid input, and where a test is not defined: ``'spiegelhalter'`` where every probability is 1/2, and,
        without resampling, ``'cox'`` of one class or of predictions that are all the same.

    Warns
    -----
    ConvergenceWarning
        ``'cox'`` without resampling, as :func:`cox_calibration`.

    Notes
    -----
    Cost, with B draws: ``'bootstrap'`` O(nK + nB); ``'skce'`` O(n² (K + B)) for whole vectors and O(n² B) for each
    event, in O(nK) memory plus 100 MB (linear: O(nK)); the others O(nK) (cumulative O(n log n), cox O(nK²)), times B
    with ``null='resampling'``. The unbiased ``'skce'`` of 10 000 rows of 10 classes takes 2.5 s with B = 199 (one
    core): of many more rows prefer ``estimator='linear'``. A prediction of exactly 0 that comes true is impossible
    under the null hypothesis: draws never show it.
    In simulations with 200 and 1000 rows (``benchmarks/calibration_tests.py``) all reject calibrated predictions at
    level 0.05 in 5 % of samples, to Monte-Carlo error; the linear ``'skce'`` in 4.3 %.

    References
    ----------
    .. [1] J. Bröcker, L. A. Smith, "Increasing the reliability of reliability diagrams", Weather and Forecasting 22
       (2007).
    .. [2] D. Widmann, F. Lindsten, D. Zachariah, "Calibration tests in multi-class classification: a unifying
       framework", NeurIPS 2019.
    .. [3] D. J. Spiegelhalter, "Probabilistic prediction in patient management and clinical trials", Statistics in
       Medicine 5 (1986).
    .. [4] I. Arrieta-Ibarra et al., "Metrics of calibration for probabilistic predictions", JMLR 23 (2022).

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft.metrics import calibration_test
    >>> rng = np.random.default_rng(0)
    >>> proba = rng.dirichlet(np.ones(3), 1000)
    >>> y = (proba.cumsum(axis=1) < rng.random((1000, 1))).sum(axis=1)
    >>> print(round(calibration_test(y, proba, random_state=0).pvalue, 2))
    0.58
    >>> sharper = proba**2 / (proba**2).sum(axis=1, keepdims=True)
    >>> print(calibration_test(y, sharper, random_state=0).pvalue)
    0.001
    """
    options = {
        "null": null,
        "n_resamples": n_resamples,
        "n_bins": n_bins,
        "strategy": strategy,
        "norm": norm,
        "statistic": statistic,
        "estimator": estimator,
        "kernel": kernel,
        "bandwidth": bandwidth,
        "weight_type": weight_type,
        "pos_label": pos_label,
    }
    check_test_options(method, mode, options)
    predictions = check_predictions(
        y_true, y_proba, sample_weight=sample_weight, weight_type=weight_type, labels=labels, pos_label=pos_label
    )
    return run_test(predictions, method, mode, options, seed_of(random_state))


def run_test(predictions: Predictions, method: str, mode: str, options: dict, seed: int) -> CalibrationTest:
    """:func:`calibration_test` of validated predictions and parameters, with a seed in [0, 2⁶⁴)."""
    if mode == "auto":
        mode = "binary" if predictions.is_binary else METHODS[method][0]
    if method == "bootstrap":
        return CalibrationTest(*binned_test(predictions, mode, options, seed, options["n_resamples"]))
    if method == "skce":
        return CalibrationTest(*kernel_test(predictions, mode, options, seed, options["n_resamples"]))
    null = options["null"]
    if null == "auto":
        null = "resampling" if mode in ("classwise", "top_label") else "asymptotic"
    if null == "asymptotic":
        return CalibrationTest(*_combined(_parts(predictions, method, mode, options), options))
    if options["weight_type"] == "frequency":
        predictions = written_out(predictions)
        options = options | {"weight_type": "sampling"}

    statistics = _cox_statistics if method == "cox" else _asymptotic_statistics

    def farthest(predictions) -> float:
        return max(statistics(predictions, method, mode, options), key=abs)

    observed = farthest(predictions)
    drawn = [abs(farthest(each)) for each in null_predictions(predictions, seed, options["n_resamples"])]
    return CalibrationTest(observed, monte_carlo_p_value(abs(observed), np.array(drawn)))


def _asymptotic_statistics(predictions: Predictions, method: str, mode: str, options: dict) -> list[float]:
    return [statistic for statistic, _ in _parts(predictions, method, mode, options)]


def _cox_statistics(predictions: Predictions, method: str, mode: str, options: dict) -> list[float]:
    """Suprema, without a word where drawn labels have no maximum."""
    if mode == "canonical":
        return [cox_statistic(predictions)]
    return [cox_statistic(_event_predictions(event)) for event in events(predictions, mode, options["pos_label"])]


def _combined(parts: list, options: dict) -> tuple[float, float]:
    """The most significant of several tests, its p-value times their number: valid whatever their dependence."""
    statistic, p_value = min(parts, key=lambda part: (part[1], -abs(part[0])))
    return statistic, min(1.0, len(parts) * p_value)


def _parts(predictions: Predictions, method: str, mode: str, options: dict) -> list[tuple[float, float]]:
    """Statistic and asymptotic p-value of each event, or of whole vectors."""
    if mode == "canonical":
        if method == "cox":
            fit = fit_cox(predictions, options["weight_type"])
            return [(fit.statistic, fit.pvalue)]
        if predictions.is_binary:
            mode = "binary"
        else:
            z = canonical_statistic(predictions, options["weight_type"])
            return [(z, _two_sided(z))]
    test = EVENT_TESTS[method]
    return [test(event, options) for event in events(predictions, mode, options["pos_label"])]


def _spiegelhalter(event: Event, options: dict) -> tuple[float, float]:
    z = event_statistic(event.scores, event.hits, event.weights, options["weight_type"])
    return z, _two_sided(z)


def _cumulative(event: Event, options: dict) -> tuple[float, float]:
    found = cumulative_statistics(event.scores, event.hits, event.weights, options["weight_type"])
    error = found.ks if options["statistic"] == "ks" else found.kuiper
    if found.sigma == 0.0:  # all scores are 0 or 1: one that was wrong is impossible
        scaled = float("inf") if error > 1e-12 else 0.0
    else:
        scaled = error / found.sigma
    p_value = ks_p_value if options["statistic"] == "ks" else kuiper_p_value
    return scaled, float(p_value(scaled))


def _cox(event: Event, options: dict) -> tuple[float, float]:
    fit = fit_cox(_event_predictions(event), options["weight_type"])
    return fit.statistic, fit.pvalue


def _event_predictions(event: Event) -> Predictions:
    return Predictions(np.array([0, 1]), np.asarray(event.hits).astype(np.intp), event.scores, event.weights)


EVENT_TESTS: dict[str, Callable[[Event, dict], tuple[float, float]]] = {
    "spiegelhalter": _spiegelhalter,
    "cumulative": _cumulative,
    "cox": _cox,
}


def _two_sided(z: float) -> float:
    return float(2.0 * ndtr(-abs(z)))


def check_test_options(method: str, mode: str, options: dict) -> None:
    """ValueError for what is no option, or none of the method."""
    check_choices(**{name: options[name] for name in ("n_bins", "strategy", "norm", "weight_type")})
    for name, value, choices in (
        ("method", method, tuple(METHODS)),
        ("mode", mode, ("auto", *METHODS.get(method, ()))),
        ("null", options["null"], NULLS),
        ("statistic", options["statistic"], STATISTICS),
        ("estimator", options["estimator"], ESTIMATORS),
        ("kernel", options["kernel"], pairs.KINDS),
    ):
        if value not in choices:
            of = f" with method={method!r}" if name == "mode" else ""
            raise ValueError(f"The {name!r} parameter must be one of {choices}{of}. Got {value!r} instead.")
    n_resamples = options["n_resamples"]
    if isinstance(n_resamples, bool) or not isinstance(n_resamples, Integral) or n_resamples < 1:
        raise ValueError(f"The 'n_resamples' parameter must be an int >= 1. Got {n_resamples!r} instead.")
    drawn = method == "bootstrap" or (method == "skce" and options["estimator"] == "unbiased")
    if drawn and options["null"] == "asymptotic":
        raise ValueError(f"null='asymptotic' is not known for method={method!r}: pass null='resampling'.")
    if method == "skce" and options["estimator"] == "linear" and options["null"] == "resampling":
        raise ValueError("null='resampling' is for estimator='unbiased': pass null='asymptotic' for 'linear'.")
