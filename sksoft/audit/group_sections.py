"""The sections of the report about groups: their scores and calibration, and decisions about them."""

from collections.abc import Callable

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
from sksoft.audit.markup import Markup, joined, table, tag
from sksoft.audit.report import AuditReport
from sksoft.audit.tables import MOST_ROWS, number_columns, shown_of, text_columns
from sksoft.metrics.calibration import rate_interval

MOST_DOTS = 36
MOST_DECISIONS = 12

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
        tag("p", about + shown_of(len(shown), len(frame), "groups")),
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
    note = shown_of(len(shown), len(frame), "groups")
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

    columns = text_columns("Group") + number_columns(
        "Rows", "Effective", "Accuracy", "Confidence", "Over-confidence", "Log-loss", "Brier", "Entropy"
    )
    return table("Scores by group (log-loss and entropy in nats).", columns, _by_feature(frame, cells))


def verdict_badge(row, limit: float) -> Markup:
    """Miscalibration that is clear and smaller than what matters is called so, as the findings do."""
    if row["verdict"] == "miscalibrated" and row["ece_debiased"] < limit:
        return tag("span", f"below {limit:g}", class_="badge na")
    said = row["verdict"].removeprefix("calibration ").removesuffix(" evidence")
    return tag("span", said, class_=f"badge {VERDICTS.get(row['verdict'], 'na')}")


def _group_calibration(frame: pd.DataFrame, limit: float) -> Markup:
    def cells(r):
        errors = number(r["ece"]), number(r["ece_debiased"]), interval(r["ece_low"], r["ece_high"], three_digits)
        tests = p_value(r["p_value"]), p_value(r["p_value_adjusted"]), signed(r["gap"]), p_value(r["gap_p_value_holm"])
        return percent(r["mean_score"]), percent(r["observed_rate"]), *errors, *tests, verdict_badge(r, limit)

    columns = text_columns("Group") + number_columns(
        "Predicted", "Observed", "Error", "Debiased", "Interval", "p", "adjusted", "Gap", "adjusted p"
    )
    caption = (
        "Calibration by group. p of the hypothesis “calibrated”, alone and adjusted over all groups; the gap is "
        f"predicted − observed here less the same for all other rows. “Below {limit:g}” is miscalibration that is "
        "statistically clear and too small to be flagged."
    )
    return table(caption, columns + text_columns("Verdict"), _by_feature(frame, cells))


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
    for name in names[:MOST_DECISIONS]:
        frame = rates[rates["decision"] == name]
        figure = _rate_figure(frame, report.settings["min_group_size"])
        parts += [tag("h3", shortened(name)), figure, _rate_table(frame, name, budget)]
    if len(names) > MOST_DECISIONS:
        parts.append(tag("p", shown_of(MOST_DECISIONS, len(names), "decisions").strip(), class_="soft"))
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
        *text_columns("Rate", "Lowest", "Highest"),
        *number_columns("Difference", "Interval", "Ratio", "Interval", "Adjusted p", "Judged / small"),
    ]
    caption = "Gaps between groups: the lowest against the highest rate, and the test that all groups have one rate."
    return table(caption + shown_of(len(shown), len(gaps), "gaps"), columns, rows)


def _gap_cells(r) -> list:
    judged = r["groups"] > 1
    return [
        RATE_NAMES[r["rate"]],
        _group_and_rate(r["lowest_group"], r["lowest"]) if judged else "too few groups to judge",
        _group_and_rate(r["highest_group"], r["highest"]) if judged else NOTHING,
        three_digits(r["difference"]),
        interval(r["difference_low"], r["difference_high"], three_digits),
        three_digits(r["ratio"]),
        interval(r["ratio_low"], r["ratio_high"], three_digits),
        p_value(r["p_value_holm"]),
        f"{count(r['groups'])} / {count(r['left_out'])}",
    ]


def _group_and_rate(group, rate) -> Markup:
    """Isolated, or a name written from right to left would pull the number and its sign apart."""
    return joined([tag("bdi", shortened(str(group))), f": {percent(rate)}"])


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
        figures.dots(_names(shown), panels, width=1000), caption + shown_of(len(shown), len(frame), "groups")
    )


def _rate_table(frame: pd.DataFrame, name: str, budget: int) -> Markup:
    def cells(r):
        values = [count(r["n"]), percent(r["base_rate"])]
        for rate in RATE_NAMES:
            values += [percent(r[rate]), interval(100 * r[f"{rate}_low"], 100 * r[f"{rate}_high"], one_digit)]
        return *values, percent(r["false_negative_rate"]), percent(r["precision"])

    shown = _most_telling(frame, budget, frame["n"])
    columns = text_columns("Group") + number_columns(
        *("Rows", "Base rate", "Selected", "Interval", "True pos.", "Interval", "False pos.", "Interval"),
        *("False neg.", "Precision"),
    )
    caption = f"{shortened(name)}: rates by group; intervals in percent."
    return table(caption + shown_of(len(shown), len(frame), "groups"), columns, _by_feature(shown, cells))
