"""The sections of the report about calibration as a whole: errors, tests, and the calibrator chosen."""

import numpy as np
import pandas as pd

from sksoft.audit.calibrator_choice import IDENTITY
from sksoft.audit.formatting import NOTHING, count, interval, number, p_value, percent, shortened, signed, three_digits
from sksoft.audit.group_sections import verdict_badge
from sksoft.audit.hypotheses import KERNEL
from sksoft.audit.markup import Markup, joined, table, tag
from sksoft.audit.report import AuditReport
from sksoft.audit.sections import before_and_after
from sksoft.audit.tables import MOST_ROWS, number_columns, shown_of, text_columns

MOST_INTERCEPTS = 12
# Names of candidates as people say them.
CALIBRATORS = {
    "identity": "none: leave the probabilities as they are",
    "temperature": "temperature",
    "platt": "Platt scaling of the log-odds",
    "beta": "beta calibration",
    "quadratic": "quadratic in the log-odds",
    "ensemble_temperature": "ensemble temperature",
    "structured_vector": "vector scaling, regularised",
    "structured": "matrix scaling, regularised (structured)",
}


# --- errors ----------------------------------------------------------------------------------------------------


def errors(report: AuditReport) -> Markup:
    """Calibration errors of several kinds, slope and intercept."""
    event = "of the probability of the positive class" if report.summary["positive_class"] else "of the top label"
    about = (
        f"How far predicted and observed are apart, {event}, measured in several ways: by bins, with a smooth curve, "
        "and accumulated over the scores; the kernel error is of all probabilities, and about 0 when calibrated."
    )
    rows = [
        [
            r["error"],
            r["unit"],
            *_value_and_ends(r, 6 if r["unit"].endswith("²") else 4),
            r["note"] or NOTHING,
        ]
        for _, r in report.frames["calibration_errors"].iterrows()
    ]
    columns = text_columns("Error", "Unit") + number_columns("Value", "Interval") + text_columns("Note")
    caption = "Calibration errors. Binned, smooth, swept and cumulative ones are above 0 in any sample, by noise alone."
    return joined([tag("p", about), table(caption, columns, rows), _slope(report)])


def _value_and_ends(r, digits: int) -> tuple[str, str]:
    return number(r["value"], digits), interval(r["low"], r["high"], lambda value: number(value, digits))


def _slope(report: AuditReport) -> Markup:
    frame = report.frames["calibration_slope"]
    about = (
        "Slope and intercept of the logistic recalibration that the data ask for: a slope below 1 says that "
        "predictions are too extreme, above 1 that they are too timid."
    )
    order = (frame["value"] - frame["calibrated"]).abs().where(frame["term"] != "slope", np.inf)
    shown = frame.loc[sorted(order.sort_values(ascending=False, na_position="last").index[: MOST_INTERCEPTS + 1])]
    rows = [
        [
            r["term"] + (f" of “{shortened(r['class'], 32)}”" if r["class"] else ""),
            number(r["value"], 3),
            number(r["stderr"], 3),
            interval(r["low"], r["high"], three_digits),
            number(r["calibrated"], 0),
        ]
        for _, r in shown.iterrows()
    ]
    columns = text_columns("Term") + number_columns("Value", "Standard error", "Interval", "Calibrated")
    notes = [note for note in dict.fromkeys(frame["note"]) if note]
    caption = "Calibration slope and intercept (Cox)." + shown_of(len(shown), len(frame), "terms")
    said = [tag("p", note, class_="soft") for note in notes]
    return joined([tag("h3", "Slope and intercept"), tag("p", about), table(caption, columns, rows), *said])


# --- tests -----------------------------------------------------------------------------------------------------


def tests(report: AuditReport) -> Markup:
    """Tests of all rows and of each class."""
    about = (
        "Each test asks from another side whether the outcomes could have come from the predicted probabilities. A "
        "small p-value says that they hardly could, not that the difference matters: see the errors above for its size."
    )
    rows = [
        [
            r["test"],
            r["judges"],
            count(r["n"]),
            number(r["statistic"], 6 if r["test"] == KERNEL else 4),
            p_value(r["p_value"]),
            p_value(r["p_value_holm"]),
            r["note"] or NOTHING,
        ]
        for _, r in report.frames["calibration_tests"].iterrows()
    ]
    columns = [
        *text_columns("Test", "Of"),
        *number_columns("Rows", "Statistic", "p", "Adjusted p"),
        *text_columns("Note"),
    ]
    caption = "Tests of “the predictions are calibrated”, p-values alone and adjusted over the table (Holm)."
    return joined([tag("p", about), table(caption, columns, rows), _class_tests(report)])


def _class_tests(report: AuditReport) -> Markup:
    frame = report.frames.get("class_tests")
    if frame is None:
        return joined([])
    shown = frame
    if len(frame) > MOST_ROWS:
        small = frame["p_value"].isna()
        order = pd.DataFrame({"small": small, "p": frame["p_value"], "size": -frame["ece_debiased"]})
        shown = frame.loc[sorted(order.sort_values(["small", "p", "size"]).index[:MOST_ROWS])]
    rows, limit = [], report.settings["limits"]["calibration"][0]
    for _, r in shown.iterrows():
        cells = [count(r["n"]), count(r["expected"]), number(r["ks"]), number(r["ece_debiased"])]
        cells += [number(r["statistic"], 2) if np.isfinite(r["p_value"]) else NOTHING]
        cells += [p_value(r["p_value"]), p_value(r["p_value_holm"])]
        rows.append([shortened(r["class"]), *cells, verdict_badge(r, limit)])
    columns = [
        *text_columns("Class"),
        *number_columns("Rows", "Expected", "Cumulative", "Debiased", "Statistic", "p", "Adjusted p"),
        *text_columns("Verdict"),
    ]
    caption = "Each class against the rest: the cumulative test, adjusted over the classes (Holm), and errors."
    return joined(
        [tag("h3", "Class by class"), table(caption + shown_of(len(shown), len(frame), "classes"), columns, rows)]
    )


# --- the calibrator chosen -------------------------------------------------------------------------------------


def calibrators(report: AuditReport) -> Markup:
    """Candidates side by side, and before and after of the one chosen."""
    frame = report.frames.get("calibrators")
    if frame is None:
        return joined([])
    chosen = report.settings["calibrator"]
    said = "to leave the probabilities as they are" if chosen == IDENTITY else f"“{CALIBRATORS.get(chosen, chosen)}”"
    about = (
        "Several calibrators were fitted on a part of the rows and compared on the others; one is recommended only if "
        f"its gain is above its standard error. Recommended is {said}."
    )
    rows = report.settings["calibrator_rows"]
    if rows < report.summary["rows"]:
        about += f" All of this was done on a random sample of {count(rows)} rows."
    nested = (
        "Before and after: for the rows of each fold a calibrator was chosen and fitted anew on the other folds, so "
        "that no row judges its own correction."
    )
    curves = report.frames["reliability_chosen_before"], report.frames["reliability_chosen_after"]
    after = before_and_after(report.frames["recalibration_chosen"], curves, report.summary["positive_class"])
    return joined([tag("p", about), _candidates(frame), tag("p", nested), after])


def _candidates(frame: pd.DataFrame) -> Markup:
    rows = [
        [
            CALIBRATORS.get(r["method"], r["method"]),
            number(r["log_loss"], 5),
            signed(r["gain"], 5),
            number(r["gain_stderr"], 5),
            percent(r["gain"] / frame["log_loss"].iloc[0] if frame["log_loss"].iloc[0] > 0 else 0.0, 2),
            f"{count(r['folds'])} of {count(frame['folds'].sum())}",
            tag("span", "recommended", class_="badge passed") if r["chosen"] else "",
        ]
        for _, r in frame.iterrows()
    ]
    columns = [
        *text_columns("Calibrator"),
        *number_columns("Held-out log-loss", "Gain", "Standard error", "Share", "Chosen in folds"),
        *text_columns(""),
    ]
    return table("Candidates: log-loss of rows not fitted to, and the gain over no calibration.", columns, rows)
