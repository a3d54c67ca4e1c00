"""Checks of calibration by tests, class by class, and of what the best of several calibrators would gain."""

import numpy as np
import pandas as pd

from sksoft.audit.calibrator_choice import IDENTITY
from sksoft.audit.checks import Evidence, Outcome, check, severity_of
from sksoft.audit.findings import FLAGGED, INSUFFICIENT, NOT_APPLICABLE, PASSED
from sksoft.audit.formatting import count, equals_p, interval, names, number, percent, signed


@check("SKS205", "Tests of calibration", needs_rows=True)
def tests_of_calibration(evidence: Evidence) -> Outcome:
    """Do predictions pass the tests of being calibrated, each of which looks from another side?"""
    low, medium, _ = evidence.limits.calibration
    threshold = (
        f"no test with Holm-adjusted p ≤ {evidence.alpha:g}, or debiased calibration errors below {low:g}; and errors "
        f"of {medium:g} ruled out"
    )
    tests = evidence.frames["calibration_tests"]
    tested = tests[tests["p_value"].notna()]
    if tested.empty:
        return Outcome(INSUFFICIENT, "no test is defined for these predictions", threshold)
    size, what = _largest_error(evidence)
    clear = tested[tested["p_value_holm"] <= evidence.alpha]
    least = tested.loc[tested["p_value_holm"].idxmin()]
    said = (
        f"{count(len(clear))} of {count(len(tested))} tests reject; most clearly {least['test']}, adjusted "
        f"{equals_p(least['p_value_holm'])}; debiased error {number(size)}{what}"
    )
    if len(clear) and severity_of(size, evidence.limits.calibration) != "none":
        return Outcome(FLAGGED, said, threshold, severity_of(size, evidence.limits.calibration))
    high = evidence.frames["groups"].iloc[0]["ece_high"]
    # without an interval, what the tests themselves could not tell apart from none
    ruled_out = high < medium if np.isfinite(high) else len(clear) or size < low
    return Outcome(PASSED if ruled_out else INSUFFICIENT, said, threshold)


def _largest_error(evidence: Evidence) -> tuple[float, str]:
    """The debiased error of all rows, or of a class where that is larger, and which it is."""
    size = float(evidence.frames["groups"].iloc[0]["ece_debiased"])
    classes = _tested_classes(evidence)
    if len(classes):
        worst = classes.loc[classes["ece_debiased"].idxmax()]
        if worst["ece_debiased"] > size:
            return float(worst["ece_debiased"]), f" of class {names([worst['class']])}"
    return size, ""


def _tested_classes(evidence: Evidence) -> pd.DataFrame:
    classes = evidence.frames.get("class_tests")
    return pd.DataFrame() if classes is None else classes[classes["p_value_holm"].notna()]


@check("SKS206", "Calibration of every class")
def calibration_of_classes(evidence: Evidence) -> Outcome:
    """Does each of several classes come true as often as its probability says, wherever that is high or low?"""
    low, medium, _ = evidence.limits.calibration
    threshold = (
        f"of every class: debiased calibration error below {low:g}, or below {medium:g} with adjusted "
        f"p > {evidence.alpha:g}"
    )
    table = evidence.frames.get("class_tests")
    if table is None:
        return Outcome(NOT_APPLICABLE, "there are two classes, judged as one", threshold)
    tested = _tested_classes(evidence)
    if tested.empty:
        return Outcome(INSUFFICIENT, f"none of {count(len(table))} classes has enough rows", threshold)
    clear = tested[(tested["p_value_holm"] <= evidence.alpha) & (tested["ece_debiased"] >= low)]
    worst = (tested if clear.empty else clear).loc[lambda found: [found["ece_debiased"].idxmax()]].iloc[0]
    said = (
        f"{count(len(clear))} of the {count(len(tested))} classes tested; largest {names([worst['class']])}: debiased "
        f"error {number(worst['ece_debiased'])}, cumulative {number(worst['ks'])}, adjusted "
        f"{equals_p(worst['p_value_holm'])}"
    )
    if len(clear):
        return Outcome(FLAGGED, said, threshold, severity_of(worst["ece_debiased"], evidence.limits.calibration))
    return Outcome(INSUFFICIENT if worst["ece_debiased"] >= medium else PASSED, said, threshold)


@check("SKS207", "Recommended calibrator", needs_rows=True)
def recommended_calibrator(evidence: Evidence) -> Outcome:
    """Would the calibrator that held-out rows choose among several have made the probabilities better?"""
    limit = evidence.limits.recalibration[0]
    threshold = f"log-loss of rows not used for choosing or fitting not clearly lowered by {percent(limit)} or more"
    table = evidence.frames.get("recalibration_chosen")
    if table is None:
        return Outcome(NOT_APPLICABLE, "recalibration was not asked for", threshold)
    row = table.set_index("score").loc["log-loss"]
    chosen = evidence.settings["calibrator"]
    named = "leave the probabilities as they are" if chosen == IDENTITY else f"recommended: {chosen.replace('_', ' ')}"
    said = (
        f"{named}; log-loss {number(row['before'])} → {number(row['after'])}: gain {signed(row['gain'], 5)} "
        f"{interval(row['gain_low'], row['gain_high'], lambda value: signed(value, 5))}"
    )
    if np.isinf(row["before"]):
        return Outcome(NOT_APPLICABLE, f"{named}; the log-loss is infinite", threshold)
    if np.isnan(row["gain_low"]):
        return Outcome(INSUFFICIENT, said, threshold)
    share = row["gain"] / row["before"] if row["before"] > 0 else 0.0
    severity = severity_of(share, evidence.limits.recalibration)
    if chosen != IDENTITY and row["gain_low"] > 0 and severity != "none":
        return Outcome(FLAGGED, said, threshold, severity)
    return Outcome(PASSED, said, threshold)
