"""The sections of the report about groups and all scores at once, gaps less noise, and temperatures of groups."""

import numpy as np
import pandas as pd

from sksoft.audit import figures
from sksoft.audit.formatting import (
    NOTHING,
    count,
    interval,
    number,
    p_value,
    shortened,
    signed,
    three_digits,
    two_digits,
)
from sksoft.audit.markup import Markup, joined, table, tag
from sksoft.audit.report import AuditReport
from sksoft.audit.tables import MOST_ROWS, number_columns, shown_of, text_columns

MOST_DOTS = 36
METRICS = {
    "accuracy": "accuracy",
    "over_confidence": "confidence − accuracy",
    "mean_residual": "predicted − observed",
    "negative_log_likelihood": "log-loss",
    "brier_score": "Brier score",
    "squared_error_debiased": "squared calibration error",
}


def multicalibration(report: AuditReport) -> Markup:
    """Errors of every group over all scores, and gaps between groups less what group sizes make."""
    if "disparities" not in report.frames:
        return joined([])
    parts = []
    cells = report.frames.get("multicalibration")
    if cells is not None:
        about = (
            "Multicalibration asks for every group, and every interval of scores, at once: the error is the largest "
            "sum of predicted − observed over an interval of scores, as a share of the group."
        )
        parts += [tag("p", about), _cells(cells)]
    about = (
        "The largest gap between groups is large by chance alone where groups are small; corrected is what is left "
        "when that is taken out."
    )
    return joined(
        [*parts, tag("h3", "Gaps between groups"), tag("p", about), _disparities(report.frames["disparities"])]
    )


def _cells(frame: pd.DataFrame) -> Markup:
    shown = frame if len(frame) <= MOST_ROWS else frame.loc[sorted(frame.nlargest(MOST_ROWS, "statistic").index)]
    rows: list = []
    feature = None
    for _, r in shown.iterrows():
        if r["level"] != "overall" and r["feature"] != feature:
            feature = r["feature"]
            rows.append(shortened(feature))
        name = "all rows" if r["level"] == "overall" else shortened(r["group"])
        errors = number(r["error"]), number(r["deviation"]), number(r["error_debiased"]), number(r["statistic"], 2)
        rows.append([name, count(r["effective_n"]), *errors, p_value(r["p_value"]), p_value(r["p_value_adjusted"])])
    columns = text_columns("Group") + number_columns(
        "Effective rows", "Error", "Noise (s.d.)", "Less noise", "Error / noise", "p", "Adjusted p"
    )
    caption = "Cumulative error of every group that is large enough; adjusted over all of them (Westfall and Young)."
    return table(caption + shown_of(len(shown), len(frame), "groups"), columns, rows)


def _disparities(frame: pd.DataFrame) -> Markup:
    rows: list = []
    feature = None
    for _, r in frame.head(MOST_ROWS).iterrows():
        if r["feature"] != feature:
            feature = r["feature"]
            rows.append(f"{shortened(feature)}: {count(r['groups'])} groups judged, {count(r['left_out'])} too small")
        judged = r["groups"] > 1
        rows.append(
            [
                METRICS[r["metric"]],
                shortened(str(r["worst_group"])) if judged else tag("span", "insufficient evidence", class_="soft"),
                number(r["worst"]),
                interval(r["worst_low"], r["worst_high"]),
                number(r["gap"]),
                number(r["gap_corrected"]),
                interval(r["gap_low"], r["gap_high"]),
                number(r["ratio_corrected"], 3),
                p_value(r["p_value_holm"]),
            ]
        )
    columns = text_columns("Measure", "Worst group") + number_columns(
        "Worst", "Interval", "Gap", "Corrected", "Interval", "Ratio, corrected", "Adjusted p"
    )
    caption = (
        "Worst group and largest gap of each measure; intervals hold for all groups at once; p of “all groups have the "
        "same value”, adjusted over the table (Holm)."
    )
    return table(caption + shown_of(min(len(frame), MOST_ROWS), len(frame), "rows"), columns, rows)


# --- temperatures ----------------------------------------------------------------------------------------------


def temperatures(report: AuditReport) -> Markup:
    """The temperature of each group, and what they gain over one."""
    if "group_temperatures" not in report.frames:
        return joined([])
    frame, gains = report.frames["group_temperatures"], report.frames["group_temperature_gains"]
    about = (
        "Above 1 the predictions for a group were too sure, below 1 not sure enough. Temperatures of small groups are "
        "drawn towards that of all rows, as strongly as held-out rows ask for; the gain is over one temperature, on "
        "rows not fitted to."
    )
    return joined([tag("p", about), _gains(gains), _temperature_figure(frame, gains), _temperature_table(frame)])


def _gains(gains: pd.DataFrame) -> Markup:
    rows = []
    for _, r in gains.iterrows():
        strength = "one temperature for all" if np.isinf(r["shrinkage"]) else f"λ = {r['shrinkage']:g}"
        values = number(r["temperature"], 3), number(r["one_temperature"], 5), number(r["by_group"], 5)
        ends = interval(r["gain_low"], r["gain_high"], lambda value: signed(value, 5))
        drawn = strength if np.isfinite(r["temperature"]) else NOTHING
        rows.append(
            [
                shortened(r["feature"]),
                count(r["groups"]),
                drawn,
                *values,
                signed(r["gain"], 5),
                ends,
                r["note"] or NOTHING,
            ]
        )
    columns = [
        *text_columns("Feature"),
        *number_columns("Groups"),
        *text_columns("Shrinkage"),
        *number_columns("Temperature", "Log-loss, one", "Log-loss, by group", "Gain", "Paired interval"),
        *text_columns("Note"),
    ]
    return table("Do groups need temperatures of their own? Cross-fitted.", columns, rows)


def _temperature_figure(frame: pd.DataFrame, gains: pd.DataFrame) -> Markup:
    known = frame[(frame["verdict"] == "judged") & np.isfinite(frame["high"])]
    if known.empty:
        return joined([])
    shown = known.loc[sorted(known.nlargest(MOST_DOTS, "effective_n").index)]
    pooled = float(gains["temperature"].dropna().iloc[0])
    panel = figures.Panel(
        "temperature",
        shown["temperature"].to_numpy(),
        shown["low"].to_numpy(),
        shown["high"].to_numpy(),
        marker=pooled,
        show=two_digits,
    )
    caption = "Temperature of each group with its interval; the dashed line is that of all rows."
    note = shown_of(len(shown), len(frame), "groups")
    return figures.figure(figures.dots(shown["group"].tolist(), [panel], width=640), caption + note)


def _temperature_table(frame: pd.DataFrame) -> Markup:
    shown = frame if len(frame) <= MOST_ROWS else frame.loc[sorted(frame.nlargest(MOST_ROWS, "effective_n").index)]
    rows: list = []
    feature = None
    for _, r in shown.iterrows():
        if r["feature"] != feature:
            feature = r["feature"]
            rows.append(shortened(feature))
        ends = interval(r["low"], r["high"], three_digits)
        cells = [shortened(r["group"]), count(r["n"]), number(r["temperature"], 3), number(r["stderr"], 3), ends]
        if r["verdict"] != "judged":
            cells = [tag("span", cell, class_="soft") for cell in cells]
        said = "" if r["verdict"] == "judged" else tag("span", "insufficient", class_="badge insufficient")
        rows.append([*cells, said])
    columns = [
        *text_columns("Group"),
        *number_columns("Rows", "Temperature", "Standard error", "Interval"),
        *text_columns(""),
    ]
    return table("Temperatures of groups." + shown_of(len(shown), len(frame), "groups"), columns, rows)
