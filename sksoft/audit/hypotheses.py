"""Tests of "these predictions are calibrated", from several sides, and class by class.

Each test looks for something else, so several are asked and adjusted by Holm for being several; what each looks for is
said in :mod:`sksoft.metrics.hypothesis_tests`. Classes are tested by the cumulative test, whose p-values are no coarser
for being many.
"""

import numpy as np
import pandas as pd

from sksoft.metrics import calibration_tests, cumulative_calibration_error, expected_calibration_error
from sksoft.metrics.families_of_tests import noted
from sksoft.metrics.hypothesis_tests import METHODS, CalibrationTest, calibration_test
from sksoft.metrics.multiplicity import holm
from sksoft.metrics.predictions import Predictions
from sksoft.metrics.report import MOST_CELLS_IN_PAIRS

KERNEL = "kernel error (SKCE)"
# name -> options of `calibration_test`; those in DRAWN need resamples.
TESTS = {
    "binned error (bootstrap)": {"method": "bootstrap"},
    "binned error by class (bootstrap)": {"method": "bootstrap", "mode": "classwise"},
    "cumulative (Kolmogorov–Smirnov)": {"method": "cumulative", "statistic": "ks"},
    "cumulative (Kuiper)": {"method": "cumulative", "statistic": "kuiper"},
    "Brier score (Spiegelhalter)": {"method": "spiegelhalter"},
    "slope and intercept (Cox)": {"method": "cox"},
    KERNEL: {"method": "skce"},
}
DRAWN = ("bootstrap", "skce")
FEW = "insufficient evidence"


def calibration_test_table(predictions: Predictions, settings: dict) -> pd.DataFrame:
    """Test all rows from every side.

    Returns
    -------
    table : DataFrame
        ``test``, ``judges`` (what should be calibrated), ``n`` (rows looked at), ``statistic``, ``p_value``,
        ``p_value_holm`` over this table, and ``note``: why there is no test, or what it warns of.
    """
    rows = []
    for name, options in TESTS.items():
        mode = options.get("mode", "auto")
        if mode == "classwise" and predictions.is_binary:
            continue
        of = sampled(predictions, settings["random_state"]) if options["method"] == "skce" else predictions
        result, note = _tested(of, options, settings)
        if len(of.codes) < len(predictions.codes):
            note = f"{note} a random sample of the rows".strip()
        judged = "binary" if predictions.is_binary else METHODS[options["method"]][0]
        judges = mode if mode != "auto" else judged
        rows.append((name, judges.replace("canonical", "all probabilities"), len(of.codes), *result, note))
    table = pd.DataFrame(rows, columns=["test", "judges", "n", "statistic", "p_value", "note"])
    table.insert(5, "p_value_holm", holm(table["p_value"]))
    return table


def sampled(predictions: Predictions, seed: int) -> Predictions:
    """As many rows, at random, as have n² pairs times columns within ``MOST_CELLS_IN_PAIRS``."""
    n_columns = 1 if predictions.is_binary else predictions.proba.shape[1]
    most = int((MOST_CELLS_IN_PAIRS / n_columns) ** 0.5)
    if len(predictions.codes) <= most:
        return predictions
    chosen = np.random.default_rng(seed).choice(len(predictions.codes), size=most, replace=False)
    return predictions.rows(np.sort(chosen))


def class_test_table(predictions: Predictions, settings: dict) -> pd.DataFrame:
    """Test the probabilities of each of more than two classes against the rest.

    Returns
    -------
    table : DataFrame
        ``class``, ``n`` (rows of the class), ``expected`` (its mean probability times all rows), ``ks`` (cumulative
        error), ``ece_debiased``, ``statistic``, ``p_value`` and ``p_value_holm`` over the classes, ``verdict``: classes
        of fewer rows, seen or expected, than the limit are not tested.
    """
    names, few = [str(label) for label in predictions.classes], settings["limits"]["class_rows"]
    share = predictions.mean if predictions.weights is not None else np.mean
    found = calibration_tests(
        predictions.codes,
        predictions.proba,
        labels=np.arange(len(names)),
        sample_weight=predictions.weights,
        by_class=True,
        method="cumulative",
        adjust="none",
    )
    found = found[found["class"].notna()].reset_index(drop=True)
    rows = []
    for k, name in enumerate(names):
        hits, proba = predictions.codes == k, predictions.proba[:, k]
        options = {"labels": [False, True], "sample_weight": predictions.weights}
        binned = {"n_bins": settings["n_bins"], "strategy": settings["strategy"], "debias": True}
        clipped = np.clip(proba, 0.0, 1.0)
        errors = (
            cumulative_calibration_error(hits, clipped, **options),
            expected_calibration_error(hits, clipped, **binned, **options),
        )
        rows.append((name, int(hits.sum()), float(share(proba)) * len(hits), *errors))
    table = pd.DataFrame(rows, columns=["class", "n", "expected", "ks", "ece_debiased"])
    enough = (table[["n", "expected"]].min(axis=1) >= few) & (
        found["effective_n"] >= settings["min_group_size"]
    )  # one surprise among few rows is no normal variable
    p_values = found["pvalue"].where(enough).to_numpy(dtype=np.float64)
    adjusted = holm(p_values)
    alpha = 1 - settings["confidence_level"]
    verdict = np.where(adjusted <= alpha, "miscalibrated", "calibration not rejected")
    table = table.assign(statistic=found["statistic"], p_value=p_values, p_value_holm=adjusted)
    return table.assign(verdict=np.where(np.isnan(p_values), FEW, verdict))


def _tested(predictions: Predictions, options: dict, settings: dict) -> tuple[CalibrationTest, str]:
    """Result and note; NaN where there is no test."""
    nothing = CalibrationTest(float("nan"), float("nan"))
    drawn = options["method"] in DRAWN
    if drawn and not settings["n_resamples"]:
        return nothing, "no draws were asked for"
    labels = np.arange(2 if predictions.is_binary else predictions.proba.shape[1])

    def compute() -> CalibrationTest:
        return calibration_test(
            predictions.codes,
            predictions.proba,
            labels=labels,
            sample_weight=predictions.weights,
            n_bins=settings["n_bins"],
            strategy=settings["strategy"],
            random_state=settings["random_state"],
            **options,
            **({"n_resamples": settings["n_resamples"]} if drawn else {}),
        )

    result, note = noted(compute, nothing)
    return result, note
