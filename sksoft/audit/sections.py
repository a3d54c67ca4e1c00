"""The sections of the report that show numbers; '' where a section has nothing to show."""

import numpy as np
import pandas as pd

from sksoft.audit import figures
from sksoft.audit.formatting import (
    count,
    interval,
    number,
    p_value,
    percent,
    shortened,
    signed,
)
from sksoft.audit.markup import Markup, joined, table, tag
from sksoft.audit.report import AuditReport
from sksoft.audit.tables import MOST_ROWS, number_columns, shown_of, text_columns

MOST_CLASSES = 12


# --- data ------------------------------------------------------------------------------------------------------


def data(report: AuditReport) -> Markup:
    """Rows, classes, and rows left out with reasons."""
    s = report.summary
    said = f"{count(s['rows_read'])} rows were read and {count(s['rows'])} audited."
    if s["weighted"]:
        said += f" They carry weights and count as {count(s['effective_rows'])} equally weighted rows."
    if s["positive_class"] is not None:
        said += f" The positive class, whose probability is judged, is “{shortened(s['positive_class'])}”."
    return joined([tag("p", said), _class_table(report), _exclusions(report)])


def _class_table(report: AuditReport) -> Markup:
    frame = report.frames["classes"]
    shown = (
        frame
        if len(frame) <= MOST_ROWS
        else frame.loc[frame["gap"].abs().sort_values(ascending=False).index[:MOST_ROWS]]
    )
    rows = [
        [
            shortened(r["class"]),
            count(r["n"]),
            percent(r["rate"], 2),
            percent(r["mean_proba"], 2),
            signed(r["gap"]),
            interval(r["gap_low"], r["gap_high"], signed),
            p_value(r["p_value_holm"]),
        ]
        for _, r in shown.iterrows()
    ]
    caption = "Classes: how often each occurs, and how often it is predicted on average." + shown_of(
        len(shown), len(frame), "classes"
    )
    columns = text_columns("Class") + number_columns(
        "Rows", "Rate", "Mean probability", "Gap", "Interval", "Adjusted p"
    )
    return table(caption, columns, rows)


def _exclusions(report: AuditReport) -> Markup:
    reasons = report.frames.get("exclusions")
    if reasons is None or reasons.empty:
        return joined([])
    parts = [
        tag("h3", "Rows left out"),
        table(
            "Why rows were left out: the first problem of each row; rows are numbered from 1, the header not counted.",
            text_columns("Reason") + number_columns("Rows", "Share") + text_columns("First rows"),
            [[r["reason"], count(r["rows"]), percent(r["share"], 2), r["first_rows"]] for _, r in reasons.iterrows()],
        ),
    ]
    groups = report.frames["exclusions_by_group"]
    if not groups.empty:
        shown = groups if len(groups) <= MOST_ROWS else groups.nsmallest(MOST_ROWS, "p_value")
        rows = [
            [
                shortened(r["feature"]),
                shortened(r["group"]),
                count(r["rows"]),
                count(r["excluded"]),
                percent(r["share"], 2),
                p_value(r["p_value_holm"]),
            ]
            for _, r in shown.iterrows()
        ]
        caption = "Rows left out by group, with Fisher’s test against all other rows, adjusted by Holm."
        columns = text_columns("Feature", "Group") + number_columns("Rows", "Left out", "Share", "Adjusted p")
        parts.append(table(caption + shown_of(len(shown), len(groups), "groups"), columns, rows))
    return joined(parts)


# --- scores ----------------------------------------------------------------------------------------------------


def scores(report: AuditReport) -> Markup:
    """Proper scores with intervals, and their decomposition."""
    rows = []
    for _, r in report.frames["scores"].iterrows():
        show = percent if r["score"] == "accuracy" else number
        rows.append(
            [
                f"{r['score']} ({r['unit']})",
                show(r["value"]),
                interval(r["low"], r["high"], show),
                show(r["base_rates"]),
                show(r["gain"]),
                interval(r["gain_low"], r["gain_high"], show),
            ]
        )
    columns = text_columns("Score") + number_columns(
        "Value", "Interval", "Base rates alone", "Gain", "Interval of the gain"
    )
    about = (
        "Log-loss and Brier score are proper: they are best, on average, for the true probabilities. Lower is "
        "better. The gain is measured against always predicting the base rates."
    )
    return joined(
        [
            tag("p", about),
            table("Scores and what they gain over the base rates.", columns, rows),
            _decomposition(report),
        ]
    )


def _decomposition(report: AuditReport) -> Markup:
    frame = report.frames["decomposition"]
    if frame.empty:
        return joined([])
    terms = ("value", "miscalibration", "discrimination", "uncertainty")
    rows = [[r["score"], *(number(r[term]) for term in terms), r["method"]] for _, r in frame.iterrows()]
    columns = [
        *text_columns("Score"),
        *number_columns("Value", "= Miscalibration", "− Discrimination", "+ Uncertainty"),
    ]
    drawn = frame[np.isfinite(frame[list(terms)]).all(axis=1)].drop_duplicates("score")
    caption = (
        "Each score from top to bottom: the uncertainty of the base rates, less what the predictions tell apart, "
        "plus what miscalibration costs."
    )
    picture = figures.figure(figures.decomposition(drawn), caption) if len(drawn) else ""
    return joined(
        [
            tag("h3", "What the scores consist of"),
            picture,
            table("Decomposition; the terms add up to the score.", columns + text_columns("Recalibrated by"), rows),
        ]
    )


# --- reliability -----------------------------------------------------------------------------------------------


def reliability(report: AuditReport) -> Markup:
    """Reliability curves of the positive class or of every class, and of the top label."""
    frames, positive = report.frames, report.summary["positive_class"]
    about = (
        "Points on the diagonal are calibrated: of the rows given probability p, the share p came true. Bars are "
        "intervals of the observed rate (Wilson)."
    )
    if positive is not None:
        name = shortened(positive, 24)
        drawn = [
            (
                f"Probability of “{name}”",
                frames["reliability"],
                f"mean probability of {name}",
                f"observed rate of {name}",
            ),
            ("Predicted class", frames["reliability_top_label"], "mean confidence", "accuracy"),
        ]
    else:
        drawn = [("Predicted class (top label)", frames["reliability"], "mean confidence", "accuracy")]
        by_class = frames["reliability_by_class"]
        weights = frames["classes"].assign(order=-frames["classes"]["gap"].abs()).sort_values("order")
        kept = set(weights["class"][:MOST_CLASSES])
        for label, curve in by_class.groupby("class", sort=False):
            if label in kept:
                drawn.append((f"Class “{shortened(label, 24)}”", curve, "mean probability", "observed rate"))
    total = len(report.summary["classes"])
    note = (
        f" The {MOST_CLASSES} of {count(total)} classes with the largest gap are shown."
        if positive is None and total > MOST_CLASSES
        else ""
    )
    size = 300 if len(drawn) <= 2 else 220
    pictures = [
        figures.figure(figures.reliability(curve, xlabel, ylabel, size=size), "", title)
        for title, curve, xlabel, ylabel in drawn
    ]
    return joined(
        [
            tag("p", about + note),
            tag("div", joined(pictures), class_="row" if len(drawn) <= 2 else "row many"),
            *(_bins_table(title, curve, MOST_ROWS // min(len(drawn), 6)) for title, curve, _, _ in drawn),
        ]
    )


def _bins_table(title: str, curve: pd.DataFrame, most: int = MOST_ROWS) -> Markup:
    full = curve[curve["weight"] > 0]
    shown = full.loc[full["weight"].nlargest(most).index.sort_values()]
    rows = [
        [
            f"{number(r['bin_low'], 3)} – {number(r['bin_high'], 3)}",
            count(r["n"]),
            percent(r["weight"] / curve["weight"].sum()),
            number(r["mean_proba"]),
            number(r["observed_rate"]),
            interval(r["rate_low"], r["rate_high"]),
            signed(r["gap"]),
        ]
        for _, r in shown.iterrows()
    ]
    columns = text_columns("Bin") + number_columns(
        "Rows", "Share", "Mean probability", "Observed rate", "Interval", "Observed − mean"
    )
    return table(f"{title}: bins (empty ones left out)." + shown_of(len(shown), len(full), "bins"), columns, rows)


# --- recalibration ---------------------------------------------------------------------------------------------


def recalibration(report: AuditReport) -> Markup:
    """Before and after one cross-fitted temperature."""
    frame = report.frames.get("recalibration")
    if frame is None:
        return joined([])
    temperatures = report.settings["temperatures"]
    about = (
        f"One temperature, fitted on {len(temperatures) - 1} of {len(temperatures)} parts of the rows and applied to "
        f"other: {number(min(temperatures), 3)} to {number(max(temperatures), 3)}. Above 1 the predictions were too "
        "sure, below 1 not sure enough. Decisions by the largest probability do not change."
    )
    if report.settings["temperature_at_bound"]:
        about += " At least one temperature ran into its bound: the best would be zero or infinite."
    curves = report.frames["reliability"], report.frames["reliability_after"]
    return joined([tag("p", about), before_and_after(frame, curves, report.summary["positive_class"])])


def before_and_after(frame: pd.DataFrame, curves: tuple[pd.DataFrame, pd.DataFrame], positive: str | None) -> Markup:
    """Scores before and after, both reliability curves in one figure, and the bins of the second."""
    rows = [
        [
            r["score"],
            number(r["before"]),
            number(r["after"]),
            signed(r["gain"], 5),
            interval(r["gain_low"], r["gain_high"], lambda v: signed(v, 5)),
        ]
        for _, r in frame.iterrows()
    ]
    columns = text_columns("Score") + number_columns("Before", "After", "Gain", "Paired interval")
    axes = ("mean confidence", "accuracy")
    if positive is not None:
        axes = f"mean probability of {shortened(positive, 24)}", f"observed rate of {shortened(positive, 24)}"
    picture = figures.figure(
        figures.reliability(curves[0], *axes, after=curves[1]), "Before (● with intervals) and after (□)."
    )
    table_after = _bins_table("After recalibration", curves[1])
    return joined([table("Before and after.", columns, rows), picture, table_after])
