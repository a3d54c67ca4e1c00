"""The sections of the report that show numbers; '' where a section has nothing to show."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from sksoft.audit import figures
from sksoft.audit.formatting import (
    NOTHING,
    count,
    interval,
    number,
    one_digit,
    p_value,
    percent,
    shortened,
    signed,
    three_digits,
    two_digits,
    whole_percent,
)
from sksoft.audit.markup import Column, Markup, joined, table, tag
from sksoft.audit.report import AuditReport
from sksoft.metrics.calibration import rate_interval

# More rows would make the page heavy and would not be read; JSON and CSV hold all.
MOST_ROWS = 120
MOST_DOTS = 36
MOST_CLASSES = 12


def _text_columns(*names: str) -> list[Column]:
    return [Column(name, numeric=False) for name in names]


def _number_columns(*names: str) -> list[Column]:
    return [Column(name) for name in names]


def _shown_of(shown: int, total: int, what: str) -> str:
    return f" {count(shown)} of {count(total)} {what} shown; JSON and CSV hold all." if shown < total else ""


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
    caption = "Classes: how often each occurs, and how often it is predicted on average." + _shown_of(
        len(shown), len(frame), "classes"
    )
    columns = _text_columns("Class") + _number_columns(
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
            _text_columns("Reason") + _number_columns("Rows", "Share") + _text_columns("First rows"),
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
        columns = _text_columns("Feature", "Group") + _number_columns("Rows", "Left out", "Share", "Adjusted p")
        parts.append(table(caption + _shown_of(len(shown), len(groups), "groups"), columns, rows))
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
    columns = _text_columns("Score") + _number_columns(
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
        *_text_columns("Score"),
        *_number_columns("Value", "= Miscalibration", "− Discrimination", "+ Uncertainty"),
    ]
    drawn = frame[np.isfinite(frame[list(terms)]).all(axis=1)]
    caption = (
        "Each score from top to bottom: the uncertainty of the base rates, less what the predictions tell apart, "
        "plus what miscalibration costs."
    )
    picture = figures.figure(figures.decomposition(drawn), caption) if len(drawn) else ""
    return joined(
        [
            tag("h3", "What the scores consist of"),
            picture,
            table("Decomposition; the terms add up to the score.", columns + _text_columns("Recalibrated by"), rows),
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
            *(_bins_table(title, curve) for title, curve, _, _ in drawn),
        ]
    )


def _bins_table(title: str, curve: pd.DataFrame) -> Markup:
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
        for _, r in curve[curve["weight"] > 0].iterrows()
    ]
    columns = _text_columns("Bin") + _number_columns(
        "Rows", "Share", "Mean probability", "Observed rate", "Interval", "Observed − mean"
    )
    return table(f"{title}: bins (empty ones left out).", columns, rows)


# --- groups ----------------------------------------------------------------------------------------------------

VERDICTS = {"miscalibrated": "medium", "calibration not rejected": "passed", "insufficient evidence": "insufficient"}


def groups(report: AuditReport) -> Markup:
    """Scores and calibration of every group and intersection."""
    frame = report.frames["groups"]
    if len(frame) < 2:
        return tag("p", "No sensitive features were named, so there are no groups to compare.")
    event = report.summary["positive_class"]
    observed = f"“{shortened(event, 24)}”" if event is not None else "the predicted class being right"
    about = (
        f"Calibration here is about {observed}. The calibration error of a small group is large even if its "
        "predictions are perfectly calibrated, so groups are judged by debiased errors and by tests. Groups below "
        f"{report.settings['min_group_size']} effective rows are shown and not judged."
    )
    shown = _most_telling(frame, MOST_ROWS, frame["ece_debiased"])
    parts = [
        tag("p", about + _shown_of(len(shown), len(frame), "groups")),
        _group_figure(frame, report.settings["confidence_level"]),
        _group_scores(shown),
        _group_calibration(shown, report.settings["limits"]["calibration"][0]),
    ]
    return joined(parts)


def _most_telling(frame: pd.DataFrame, limit: int, measure: pd.Series) -> pd.DataFrame:
    """All rows where they are few enough; else all rows together and the groups judged with the largest measure."""
    if len(frame) <= limit:
        return frame
    small = frame["verdict"] == "insufficient evidence" if "verdict" in frame else frame["n"] < 0
    order = pd.DataFrame({"group": frame["level"] != "overall", "small": small, "size": -measure, "n": -frame["n"]})
    return frame.loc[sorted(order.sort_values(["group", "small", "size", "n"]).index[:limit])]


def _by_feature(frame: pd.DataFrame, cells: Callable) -> list:
    """Rows of a table under the names of their features."""
    rows: list = []
    feature = None
    for _, row in frame.iterrows():
        if row["level"] != "overall" and row["feature"] != feature:
            feature = row["feature"]
            rows.append(shortened(feature))
        name = "all rows" if row["level"] == "overall" else shortened(row["group"])
        rows.append([name, *cells(row)])
    return rows


def _names(frame: pd.DataFrame) -> list[str]:
    return ["all rows" if level == "overall" else name for level, name in zip(frame["level"], frame["group"])]


def _group_figure(frame: pd.DataFrame, level: float) -> Markup:
    shown = _most_telling(frame, MOST_DOTS, frame["ece_debiased"])
    rates = shown["observed_rate"].to_numpy()
    lows, highs = rate_interval(rates, shown["effective_n"].to_numpy(), level)
    error = shown["ece_debiased"].where(shown["verdict"] != "insufficient evidence")
    panels = [
        figures.Panel(
            "observed ● and predicted ◇", rates, lows, highs, others=shown["mean_score"].to_numpy(), show=whole_percent
        ),
        figures.Panel("calibration error, debiased", error, shown["ece_low"], shown["ece_high"], show=two_digits),
    ]
    caption = (
        "Left: observed rate with its interval (Wilson), and mean prediction. Right: debiased calibration error with "
        "its bootstrap interval; nothing is drawn for groups that are too small."
    )
    note = _shown_of(len(shown), len(frame), "groups")
    return figures.figure(figures.dots(_names(shown), panels), caption + note)


def _group_scores(frame: pd.DataFrame) -> Markup:
    def cells(r):
        sizes = count(r["n"]), count(r["effective_n"])
        shares = percent(r["accuracy"]), percent(r["mean_confidence"]), signed(r["over_confidence"])
        return (
            *sizes,
            *shares,
            *(number(r[name]) for name in ("negative_log_likelihood", "brier_score", "mean_entropy")),
        )

    columns = _text_columns("Group") + _number_columns(
        "Rows", "Effective", "Accuracy", "Confidence", "Over-confidence", "Log-loss", "Brier", "Entropy"
    )
    return table("Scores by group (log-loss and entropy in nats).", columns, _by_feature(frame, cells))


def _verdict(row, limit: float) -> Markup:
    """Miscalibration that is clear and smaller than what matters is called so, as the findings do."""
    if row["verdict"] == "miscalibrated" and row["ece_debiased"] < limit:
        return tag("span", f"below {limit:g}", class_="badge na")
    said = row["verdict"].removeprefix("calibration ").removesuffix(" evidence")
    return tag("span", said, class_=f"badge {VERDICTS.get(row['verdict'], 'na')}")


def _group_calibration(frame: pd.DataFrame, limit: float) -> Markup:
    def cells(r):
        errors = number(r["ece"]), number(r["ece_debiased"]), interval(r["ece_low"], r["ece_high"], three_digits)
        tests = p_value(r["p_value"]), p_value(r["p_value_adjusted"]), signed(r["gap"]), p_value(r["gap_p_value_holm"])
        return percent(r["mean_score"]), percent(r["observed_rate"]), *errors, *tests, _verdict(r, limit)

    columns = _text_columns("Group") + _number_columns(
        "Predicted", "Observed", "Error", "Debiased", "Interval", "p", "adjusted", "Gap", "adjusted p"
    )
    caption = (
        "Calibration by group. p of the hypothesis “calibrated”, alone and adjusted over all groups; the gap is "
        "predicted − observed here less the same for all other rows."
    )
    return table(caption, columns + _text_columns("Verdict"), _by_feature(frame, cells))


# --- decisions -------------------------------------------------------------------------------------------------

RATE_NAMES = {
    "selection_rate": "selection rate",
    "true_positive_rate": "true positive rate",
    "false_positive_rate": "false positive rate",
}


def decisions(report: AuditReport) -> Markup:
    """Selection, true and false positive rates by group, and the gaps between groups."""
    if "rates" not in report.frames:
        return joined([])
    rates, gaps = report.frames["rates"], report.frames["gaps"]
    about = (
        "A row is selected where the probability of the positive class reaches the threshold."
        if report.settings["thresholds"]
        else "A row is selected for the class with the largest probability."
    )
    about += (
        " Selection rate: share selected. True positive rate: share selected of those who are of the class. False "
        "positive rate: share selected of those who are not."
    )
    parts = [tag("p", about), _gap_table(gaps)]
    names = list(dict.fromkeys(rates["decision"]))
    budget = max(MOST_ROWS // max(len(names), 1), 10)
    for name in names[:MOST_CLASSES]:
        frame = rates[rates["decision"] == name]
        figure = _rate_figure(frame, report.settings["min_group_size"])
        parts += [tag("h3", shortened(name)), figure, _rate_table(frame, name, budget)]
    if len(names) > MOST_CLASSES:
        parts.append(tag("p", _shown_of(MOST_CLASSES, len(names), "decisions").strip(), class_="soft"))
    return joined(parts)


def _gap_table(gaps: pd.DataFrame) -> Markup:
    shown = gaps if len(gaps) <= MOST_ROWS else gaps.nsmallest(MOST_ROWS, "p_value")
    rows: list = []
    part = None
    for _, r in shown.iterrows():
        if part != (r["decision"], r["feature"]):
            part = (r["decision"], r["feature"])
            rows.append(f"{shortened(r['decision'])}, by {shortened(r['feature'])}")
        rows.append(_gap_cells(r))
    columns = [
        *_text_columns("Rate", "Lowest", "Highest"),
        *_number_columns("Difference", "Interval", "Ratio", "Interval", "Adjusted p", "Judged / small"),
    ]
    caption = "Gaps between groups: the lowest against the highest rate, and the test that all groups have one rate."
    return table(caption + _shown_of(len(shown), len(gaps), "gaps"), columns, rows)


def _gap_cells(r) -> list:
    judged = r["groups"] > 1
    return [
        RATE_NAMES[r["rate"]],
        f"{shortened(str(r['lowest_group']))}: {percent(r['lowest'])}" if judged else "too few groups to judge",
        f"{shortened(str(r['highest_group']))}: {percent(r['highest'])}" if judged else NOTHING,
        three_digits(r["difference"]),
        interval(r["difference_low"], r["difference_high"], three_digits),
        three_digits(r["ratio"]),
        interval(r["ratio_low"], r["ratio_high"], three_digits),
        p_value(r["p_value_holm"]),
        f"{count(r['groups'])} / {count(r['left_out'])}",
    ]


def _rate_figure(frame: pd.DataFrame, min_group_size: int) -> Markup:
    shown = _most_telling(frame, MOST_DOTS, frame["n"])
    judged = frame[(frame["level"] != "overall") & (frame["selection_rate_n"] >= min_group_size)]
    four_fifths = 0.8 * judged["selection_rate"].max() if len(judged) > 1 else None
    panels = [
        figures.Panel(
            title,
            shown[rate].to_numpy(),
            shown[f"{rate}_low"].to_numpy(),
            shown[f"{rate}_high"].to_numpy(),
            marker=four_fifths if rate == "selection_rate" else None,
            show=whole_percent,
        )
        for rate, title in RATE_NAMES.items()
    ]
    caption = (
        "Rates with intervals (Wilson); the dashed line is four fifths of the highest selection rate among groups "
        f"and intersections of {min_group_size} effective rows or more."
    )
    return figures.figure(
        figures.dots(_names(shown), panels, width=1000), caption + _shown_of(len(shown), len(frame), "groups")
    )


def _rate_table(frame: pd.DataFrame, name: str, budget: int) -> Markup:
    def cells(r):
        values = [count(r["n"]), percent(r["base_rate"])]
        for rate in RATE_NAMES:
            values += [percent(r[rate]), interval(100 * r[f"{rate}_low"], 100 * r[f"{rate}_high"], one_digit)]
        return *values, percent(r["false_negative_rate"]), percent(r["precision"])

    shown = _most_telling(frame, budget, frame["n"])
    columns = _text_columns("Group") + _number_columns(
        *("Rows", "Base rate", "Selected", "Interval", "True pos.", "Interval", "False pos.", "Interval"),
        *("False neg.", "Precision"),
    )
    caption = f"{shortened(name)}: rates by group; intervals in percent."
    return table(caption + _shown_of(len(shown), len(frame), "groups"), columns, _by_feature(shown, cells))


# --- recalibration ---------------------------------------------------------------------------------------------


def recalibration(report: AuditReport) -> Markup:
    """Scores before and after cross-fitted temperature scaling."""
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
    columns = _text_columns("Score") + _number_columns("Before", "After", "Gain", "Paired interval")
    positive = report.summary["positive_class"]
    axes = ("mean confidence", "accuracy")
    if positive is not None:
        axes = f"mean probability of {shortened(positive, 24)}", f"observed rate of {shortened(positive, 24)}"
    curves = report.frames["reliability"], report.frames["reliability_after"]
    picture = figures.figure(
        figures.reliability(curves[0], *axes, after=curves[1]), "Before (● with intervals) and after (□)."
    )
    table_after = _bins_table("After recalibration", curves[1])
    return joined([tag("p", about), table("Before and after.", columns, rows), picture, table_after])
