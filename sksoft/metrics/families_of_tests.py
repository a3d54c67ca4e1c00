"""Calibration tests of many groups and classes, adjusted for their number."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from sksoft.kernels.splitmix import STEP
from sksoft.metrics.events import column_labels, columns
from sksoft.metrics.hypothesis_tests import CalibrationTest, check_test_options, run_test
from sksoft.metrics.multiplicity import benjamini_hochberg, holm
from sksoft.metrics.null_labels import seed_of
from sksoft.metrics.predictions import Predictions, check_predictions
from sksoft.metrics.sensitive import partition_rows

ADJUSTMENTS = ("holm", "bh", "none")
COLUMNS = ("level", "feature", "group", "class", "n", "effective_n", "statistic", "pvalue", "pvalue_adjusted", "note")


def calibration_tests(
    y_true,
    y_proba,
    *,
    sensitive_features=None,
    by_class=False,
    method="bootstrap",
    mode="auto",
    adjust="holm",
    min_group_size=50,
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
) -> pd.DataFrame:
    """Test the calibration of all rows, of every group and of every class, with adjusted p-values.

    Parameters
    ----------
    y_true, y_proba
        As in :func:`calibration_test`; a class that a group does not show is no error.
    sensitive_features : Series, DataFrame, dict of arrays, or array-like (n,) or (n, n_features), optional
        Each column gives its groups; several also give their intersections. Missing values are ``"(missing)"``.
    by_class : bool, default=False
        Test each class against the rest, too, of two columns the second (nothing for a one-dimensional `y_proba`).
    method, mode
        As in :func:`calibration_test`. Classes are tested by ``mode='binary'``.
    adjust : {'holm', 'bh', 'none'}, default='holm'
        Over all tests of the table: Holm's control of the family-wise error, Benjamini and Hochberg's of the false
        discovery rate (for positive dependence, as of groups and their unions), or none.
    min_group_size : int >= 2, default=50
        Groups of fewer effective rows are listed and not tested.
    null, n_resamples, n_bins, strategy, norm, statistic, estimator, kernel, bandwidth
        As in :func:`calibration_test`.
    sample_weight, weight_type, labels, pos_label, random_state
        As in :func:`calibration_test`.

    Returns
    -------
    table : DataFrame
        ``level`` ('overall', 'group', 'intersection'), ``feature``, ``group``, ``class`` (None where all are judged
        together), ``n``, ``effective_n``, ``statistic``, ``pvalue``, ``pvalue_adjusted``, and ``note``: why there is no
        test, or what it warns of.

    Raises
    ------
    ValueError
        For invalid input, or if the test of all rows is not defined. One that is not defined for a group is NaN with a
        note.

    Notes
    -----
    As many tests as groups times (1 + classes). With B draws no p-value is below 1/(B + 1): for Holm over m tests to
    find anything at level 0.05, B must exceed 20 m. Each test has draws of its own. :func:`group_calibration` adjusts
    binned tests over joint draws instead.

    Examples
    --------
    >>> import numpy as np
    >>> from sksoft.metrics import calibration_tests
    >>> rng = np.random.default_rng(1)
    >>> proba, sex = rng.uniform(size=2000), rng.choice(["f", "m"], size=2000)
    >>> y = rng.uniform(size=2000) < np.where(sex == "f", proba, proba**2)
    >>> table = calibration_tests(y, proba, sensitive_features=sex, method="cox")
    >>> print(table.loc[table["pvalue_adjusted"] < 0.05, "group"].tolist())
    ['overall', 'm']
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
    if adjust not in ADJUSTMENTS:
        raise ValueError(f"The 'adjust' parameter must be one of {ADJUSTMENTS}. Got {adjust!r} instead.")
    if isinstance(min_group_size, bool) or not isinstance(min_group_size, Integral) or min_group_size < 2:
        raise ValueError(f"The 'min_group_size' parameter must be an int >= 2. Got {min_group_size!r} instead.")
    predictions = check_predictions(
        y_true, y_proba, sample_weight=sample_weight, weight_type=weight_type, labels=labels, pos_label=pos_label
    )
    rows: list[dict] = []
    seed = seed_of(random_state)
    for place, selected in _groups(predictions, sensitive_features):
        group = predictions.rows(selected)
        size = sizes(group, weight_type)
        enough = size["effective_n"] >= min_group_size
        for label, judged, its_mode in _questions(group, mode, by_class):
            own = options | ({"pos_label": None} if label is not None else {})
            stream = (seed + len(rows) * int(STEP)) % 2**64
            small = f"fewer than {min_group_size} effective rows"
            call = partial(run_test, judged, method, its_mode, own, stream)
            if place["level"] == "overall" and label is None:
                result, note = call(), ""
            else:
                result, note = noted(call, _nothing()) if enough else (_nothing(), small)
            rows.append(place | {"class": label} | size | result._asdict() | {"note": note})
    table = pd.DataFrame(rows)
    table["class"] = pd.Series([row["class"] for row in rows], dtype=object)  # a str column has no None
    table["pvalue_adjusted"] = adjusted(table["pvalue"], adjust)
    return table[list(COLUMNS)]


def adjusted(p_values, adjust: str) -> np.ndarray:
    """p-values adjusted by one of ``ADJUSTMENTS``."""
    if adjust == "none":
        return np.array(p_values, dtype=np.float64)
    return holm(p_values) if adjust == "holm" else benjamini_hochberg(p_values)


def _groups(predictions: Predictions, features) -> Iterator[tuple[dict, np.ndarray | slice]]:
    """Where each group stands in the table, and its rows."""
    if features is None:
        yield {"level": "overall", "feature": "", "group": "overall"}, slice(None)
        return
    n_rows = len(predictions.codes) if predictions.kept is None else len(predictions.kept)
    partition = partition_rows(features, n_rows, predictions.kept)
    for level in partition.levels:
        members = level.members[partition.codes]
        for number, group in enumerate(level.groups):
            yield {"level": level.kind, "feature": level.feature, "group": group}, members == number


def _questions(group: Predictions, mode: str, by_class: bool) -> Iterator[tuple[object, Predictions, str]]:
    """Label (None for all together), predictions and mode of every test of a group."""
    yield None, group, mode
    if by_class and not group.is_binary:
        proba, labels = columns(group), column_labels(group)
        for k in range(1 if len(labels) == 2 else 0, len(labels)):  # of two classes both tests are the same
            hits = (group.codes == k).astype(np.intp)
            yield labels[k], Predictions(np.array([0, 1]), hits, proba[:, k], group.weights), "binary"


def noted(compute: Callable, otherwise) -> tuple[Any, str]:
    """What `compute()` gives and what it warns of; or, where it is not defined for these rows, `otherwise` and why."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        try:
            found = compute()
        except ValueError as error:
            return otherwise, str(error)
    return found, " ".join(str(each.message) for each in caught)


def _nothing() -> CalibrationTest:
    return CalibrationTest(float("nan"), float("nan"))


def sizes(group: Predictions, weight_type: str) -> dict:
    """``n`` rows, or repetitions, and ``effective_n``: (Σw)²/Σw² or repetitions."""
    n_rows, weights = len(group.codes), group.weights
    if weights is None:
        return {"n": n_rows, "effective_n": float(n_rows)}
    if weight_type == "frequency":
        return {"n": int(weights.sum()), "effective_n": float(weights.sum())}
    relative = weights / weights.max()
    return {"n": n_rows, "effective_n": float(relative.sum() ** 2 / (relative @ relative))}
