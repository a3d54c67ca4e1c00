"""The checks of an audit: one function per code, each turning measured evidence into one finding.

A difference is flagged where it is both statistically clear (adjusted p at most 1 − confidence level) and large enough
to matter (:class:`Limits`). What is beyond a limit without being clear, and what the data are too few to rule out, is
"insufficient evidence", which is not a pass.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sksoft.audit.exclusions import Exclusions
from sksoft.audit.findings import FLAGGED, INSUFFICIENT, NOT_APPLICABLE, PASSED, Finding
from sksoft.audit.formatting import count, equals_p, interval, names, number, percent, signed, three_digits
from sksoft.audit.weighted import effective_size, mean_estimate
from sksoft.metrics.predictions import Predictions


@dataclass(frozen=True)
class Limits:
    """From when on a difference matters.

    Parameters
    ----------
    calibration : (low, medium, high)
        Calibration errors and gaps, as probabilities, from which a finding has that severity.
    recalibration : (low, medium, high)
        Share of the log-loss that one temperature takes away.
    selection_ratio : float
        Lowest over highest selection rate: the four-fifths rule of the US Uniform Guidelines, 29 CFR 1607.4 D.
    rate_gap : float
        Difference of true or false positive rates.
    excluded : float
        Share of rows left out.
    effective_share : float
        Effective over actual number of rows.
    class_rows : int
        Rows that a class should have.

    Examples
    --------
    >>> from sksoft.audit import Limits
    >>> Limits(selection_ratio=0.9).rate_gap
    0.1
    """

    calibration: tuple[float, float, float] = (0.01, 0.02, 0.05)
    recalibration: tuple[float, float, float] = (0.005, 0.02, 0.1)
    selection_ratio: float = 0.8
    rate_gap: float = 0.1
    excluded: float = 0.01
    effective_share: float = 0.5
    class_rows: int = 50


@dataclass(frozen=True)
class Evidence:
    """Everything that was measured."""

    predictions: Predictions
    frames: dict[str, pd.DataFrame]
    settings: dict
    limits: Limits
    exclusions: Exclusions | None

    @property
    def alpha(self) -> float:
        """Level of all tests."""
        return 1 - self.settings["confidence_level"]

    @property
    def effective_rows(self) -> float:
        """(Σ w)² / Σ w²."""
        return effective_size(self.predictions.weights, len(self.predictions.codes))

    @property
    def too_few(self) -> bool:
        """Whether all rows together are fewer than a group must have."""
        return self.effective_rows < self.settings["min_group_size"]


@dataclass(frozen=True)
class Outcome:
    """What a check says; the registry adds code, title and question."""

    outcome: str
    evidence: str
    threshold: str
    severity: str = "none"


@dataclass(frozen=True)
class Check:
    """An entry of the registry."""

    code: str
    title: str
    question: str
    judge: Callable[[Evidence], Outcome]
    needs_rows: bool = False

    def __call__(self, evidence: Evidence) -> Finding:
        said = self.judge(evidence)
        if self.needs_rows and evidence.too_few and said.outcome in (FLAGGED, PASSED):
            few = f"{count(evidence.effective_rows)} effective rows are too few; {said.evidence}"
            said = Outcome(INSUFFICIENT, few, said.threshold)
        return Finding(self.code, self.title, self.question, said.outcome, said.severity, said.evidence, said.threshold)


CHECKS: dict[str, Check] = {}


def check(code: str, title: str, *, needs_rows: bool = False):
    """Register a function; its docstring is the question it asks.

    With `needs_rows` it decides nothing on fewer effective rows than a group must have: the normal intervals it reads
    would mean little.
    """

    def register(judge):
        if code in CHECKS:
            raise ValueError(f"the code {code} is taken.")
        CHECKS[code] = Check(code, title, " ".join(judge.__doc__.split()), judge, needs_rows)
        return judge

    return register


def severity_of(size: float, limits: tuple[float, float, float]) -> str:
    """'none', 'low', 'medium' or 'high': how many of the limits `size` reaches."""
    return ("none", "low", "medium", "high")[sum(size >= limit for limit in limits)]


# --- 0xx: data -------------------------------------------------------------------------------------------------


@check("SKS001", "Rows left out")
def rows_left_out(evidence: Evidence) -> Outcome:
    """Could nearly all rows of the file be used?"""
    threshold = f"at most {percent(evidence.limits.excluded)} of the rows left out"
    exclusions = evidence.exclusions
    if exclusions is None:
        return Outcome(NOT_APPLICABLE, "the data did not come from a file", threshold)
    lost = len(exclusions.rows)
    if lost == 0:
        return Outcome(PASSED, f"all {count(exclusions.n_rows)} rows were used", threshold)
    share = lost / exclusions.n_rows
    said = f"{count(lost)} of {count(exclusions.n_rows)} rows ({percent(share, 2)}) were left out"
    if share <= evidence.limits.excluded:
        return Outcome(PASSED, said, threshold)
    return Outcome(FLAGGED, said, threshold, "high" if share > 10 * evidence.limits.excluded else "medium")


@check("SKS002", "Rows left out, by group")
def rows_left_out_by_group(evidence: Evidence) -> Outcome:
    """Did every group lose no more than its share of the rows left out?"""
    threshold = f"no group with more rows left out than elsewhere (Fisher, Holm-adjusted p > {evidence.alpha:g})"
    exclusions = evidence.exclusions
    if exclusions is None or exclusions.rows.empty or exclusions.by_group.empty:
        return Outcome(NOT_APPLICABLE, "no rows were left out, or there are no groups", threshold)
    overall = len(exclusions.rows) / exclusions.n_rows
    table = exclusions.by_group
    hit = table[(table["p_value_holm"] <= evidence.alpha) & (table["share"] > overall)].sort_values("p_value")
    if hit.empty:
        return Outcome(PASSED, f"{percent(overall, 2)} of the rows were left out; no group clearly more", threshold)
    worst = hit.iloc[0]
    others = f"; also {names(hit['group'].iloc[1:])}" if len(hit) > 1 else ""
    said = (
        f"{names([worst['group']])} lost {percent(worst['share'], 2)} of its rows, all groups together "
        f"{percent(overall, 2)} (adjusted {equals_p(worst['p_value_holm'])}){others}"
    )
    return Outcome(FLAGGED, said, threshold, "high")


@check("SKS003", "Rows per class")
def rows_per_class(evidence: Evidence) -> Outcome:
    """Does every class have enough rows to be judged?"""
    threshold = f"at least {evidence.limits.class_rows} rows of every class"
    table = evidence.frames["classes"]
    rare = table[table["n"] < evidence.limits.class_rows].sort_values("n")
    if rare.empty:
        return Outcome(PASSED, f"the rarest of {len(table)} classes has {count(table['n'].min())} rows", threshold)
    said = f"{len(rare)} of {len(table)} classes have fewer: {names(rare['class'])} ({count(rare['n'].min())} rows)"
    return Outcome(INSUFFICIENT, said, threshold)


@check("SKS004", "Concentration of weights")
def weight_concentration(evidence: Evidence) -> Outcome:
    """Is the weight spread over the rows, so that they count for about as many as they are?"""
    threshold = f"effective rows at least {percent(evidence.limits.effective_share, 0)} of the rows"
    weights, n = evidence.predictions.weights, len(evidence.predictions.codes)
    if weights is None:
        return Outcome(NOT_APPLICABLE, "there are no weights", threshold)
    effective = effective_size(weights, n)
    said = f"{count(n)} rows count as {count(effective)} ({percent(effective / n)})"
    if effective >= evidence.limits.effective_share * n:
        return Outcome(PASSED, said, threshold)
    return Outcome(FLAGGED, said, threshold, "low")


# --- 1xx: scores -----------------------------------------------------------------------------------------------


@check("SKS101", "True classes called impossible")
def impossible_truths(evidence: Evidence) -> Outcome:
    """Did every class that came true have a probability above zero?"""
    threshold = "no row with probability 0 for its true class (the log-loss is infinite otherwise)"
    predictions = evidence.predictions
    if predictions.is_binary:
        impossible = predictions.proba == 1 - predictions.codes
    else:
        impossible = predictions.proba[np.arange(len(predictions.codes)), predictions.codes] == 0
    rows = int(impossible.sum())
    said = f"{count(rows)} of {count(len(impossible))} rows ({percent(rows / len(impossible), 2)})"
    return Outcome(FLAGGED, said, threshold, "high") if rows else Outcome(PASSED, said, threshold)


@check("SKS102", "Better than the base rates", needs_rows=True)
def better_than_base_rates(evidence: Evidence) -> Outcome:
    """Are the probabilities better than always predicting how often each class occurs?"""
    threshold = "Brier score below that of the base rates, the whole interval of the gain above 0"
    brier = evidence.frames["scores"].set_index("score").loc["Brier score"]
    said = (
        f"Brier score {number(brier['value'])}, of the base rates {number(brier['base_rates'])}: gain "
        f"{signed(brier['gain'])} {interval(brier['gain_low'], brier['gain_high'])}"
    )
    if brier["gain_low"] > 1e-12:  # not rounding
        return Outcome(PASSED, said, threshold)
    if brier["gain_high"] > -1e-12 or np.isnan(brier["gain_high"]):
        return Outcome(INSUFFICIENT, said, threshold)
    return Outcome(FLAGGED, said, threshold, "high")


# --- 2xx: calibration ------------------------------------------------------------------------------------------


@check("SKS201", "Calibration overall")
def overall_calibration(evidence: Evidence) -> Outcome:
    """Do predicted probabilities come true as often as they say, over all rows?"""
    low, medium, _ = evidence.limits.calibration
    threshold = (
        f"debiased calibration error below {low:g}, or p > {evidence.alpha:g}; and errors of {medium:g} ruled out"
    )
    row = evidence.frames["groups"].iloc[0]
    said = (
        f"calibration error {number(row['ece'])}, debiased {number(row['ece_debiased'])} "
        f"{interval(row['ece_low'], row['ece_high'])}, {equals_p(row['p_value'])} for “calibrated”"
    )
    if np.isnan(row["p_value"]):
        return Outcome(INSUFFICIENT, f"{count(row['effective_n'])} effective rows are too few, or no test", threshold)
    severity = severity_of(row["ece_debiased"], evidence.limits.calibration)
    if row["p_value"] <= evidence.alpha and severity != "none":
        return Outcome(FLAGGED, said, threshold, severity)
    return Outcome(INSUFFICIENT if row["ece_high"] >= medium else PASSED, said, threshold)


@check("SKS202", "Over-confidence", needs_rows=True)
def over_confidence(evidence: Evidence) -> Outcome:
    """Is the predicted class right as often as its probability promises, on average?"""
    limit = evidence.limits.calibration[0]
    ruled_out = evidence.limits.calibration[1]
    threshold = f"mean confidence within {limit:g} of the accuracy, or not clearly apart; and {ruled_out:g} ruled out"
    predictions = evidence.predictions
    top_codes, confidence = predictions.top_label
    residuals = confidence - (top_codes == predictions.codes)
    gap = mean_estimate(residuals, predictions.weights, evidence.settings["confidence_level"])
    direction = "over-confident" if gap.value > 0 else "under-confident"
    said = f"confidence − accuracy = {signed(gap.value)} {interval(gap.low, gap.high, signed)}"
    if np.isnan(gap.low):
        return Outcome(INSUFFICIENT, said, threshold)
    severity = severity_of(abs(gap.value), evidence.limits.calibration)
    if severity != "none" and (gap.low > 0 or gap.high < 0):
        return Outcome(FLAGGED, f"{direction}: {said}", threshold, severity)
    return Outcome(PASSED if max(abs(gap.low), abs(gap.high)) < ruled_out else INSUFFICIENT, said, threshold)


@check("SKS203", "Calibration in the large, by class", needs_rows=True)
def classes_in_the_large(evidence: Evidence) -> Outcome:
    """Does every class occur as often as it is predicted on average?"""
    limit = evidence.limits.calibration[0]
    threshold = f"mean probability within {limit:g} of the rate of every class"
    table = evidence.frames["classes"]
    clear = table[(table["p_value_holm"] <= evidence.alpha) & (table["gap"].abs() >= limit)]
    worst = table.loc[table["gap"].abs().idxmax()]
    if not clear.empty:
        worst = clear.loc[clear["gap"].abs().idxmax()]
    said = (
        f"largest gap: {names([worst['class']])} predicted {number(worst['mean_proba'])}, observed "
        f"{number(worst['rate'])} (gap {signed(worst['gap'])}, adjusted {equals_p(worst['p_value_holm'])})"
    )
    if clear.empty:
        return Outcome(INSUFFICIENT if abs(worst["gap"]) >= limit else PASSED, said, threshold)
    return Outcome(FLAGGED, said, threshold, severity_of(abs(worst["gap"]), evidence.limits.calibration))


@check("SKS204", "Room for recalibration", needs_rows=True)
def room_for_recalibration(evidence: Evidence) -> Outcome:
    """Would one temperature, fitted on other rows, have made the probabilities better?"""
    limit = evidence.limits.recalibration[0]
    threshold = f"log-loss not clearly lowered by {percent(limit)} or more"
    table = evidence.frames.get("recalibration")
    if table is None:
        return Outcome(NOT_APPLICABLE, "recalibration was not asked for", threshold)
    row = table.set_index("score").loc["log-loss"]
    said = (
        f"log-loss {number(row['before'])} → {number(row['after'])}: gain {signed(row['gain'], 5)} "
        f"{interval(row['gain_low'], row['gain_high'], lambda v: signed(v, 5))}"
    )
    if np.isinf(row["before"]):
        return Outcome(NOT_APPLICABLE, "the log-loss is infinite", threshold)
    if np.isnan(row["gain_low"]):
        return Outcome(INSUFFICIENT, said, threshold)
    severity = severity_of(row["gain"] / row["before"] if row["before"] > 0 else 0.0, evidence.limits.recalibration)
    if row["gain_low"] > 0 and severity != "none":
        return Outcome(FLAGGED, said, threshold, severity)
    return Outcome(PASSED, said, threshold)


# --- 3xx: groups -----------------------------------------------------------------------------------------------


def _groups(evidence: Evidence) -> pd.DataFrame:
    table = evidence.frames["groups"]
    return table[table["level"] != "overall"]


NO_GROUPS = "no sensitive features were named"


@check("SKS301", "Calibration by group")
def group_calibration(evidence: Evidence) -> Outcome:
    """Do predicted probabilities come true as often as they say in every group and intersection?"""
    low, medium, _ = evidence.limits.calibration
    threshold = (
        f"in every group: debiased calibration error below {low:g}, or below {medium:g} with adjusted "
        f"p > {evidence.alpha:g}"
    )
    groups = _groups(evidence)
    if groups.empty:
        return Outcome(NOT_APPLICABLE, NO_GROUPS, threshold)
    tested = groups[groups["p_value_adjusted"].notna()]
    if tested.empty:
        return Outcome(INSUFFICIENT, f"none of {count(len(groups))} groups is large enough, or no test", threshold)
    clear = tested[(tested["p_value_adjusted"] <= evidence.alpha) & (tested["ece_debiased"] >= low)]
    table = tested if clear.empty else clear
    worst = table.loc[table["ece_debiased"].idxmax()]
    said = (
        f"{count(len(clear))} of the {count(len(tested))} groups tested; largest {names([worst['group']])}: debiased "
        f"error {number(worst['ece_debiased'])} {interval(worst['ece_low'], worst['ece_high'])}, adjusted "
        f"{equals_p(worst['p_value_adjusted'])}"
    )
    if clear.empty:
        return Outcome(INSUFFICIENT if worst["ece_debiased"] >= medium else PASSED, said, threshold)
    return Outcome(FLAGGED, said, threshold, severity_of(worst["ece_debiased"], evidence.limits.calibration))


@check("SKS302", "Calibration gap between groups")
def calibration_gap(evidence: Evidence) -> Outcome:
    """Are probabilities too high in one group while they are too low in others?"""
    limit = evidence.limits.calibration[1]
    threshold = f"predicted − observed within {limit:g} of that of all other rows, in every group compared"
    groups = _groups(evidence)
    if groups.empty:
        return Outcome(NOT_APPLICABLE, NO_GROUPS, threshold)
    tested = groups[groups["gap_p_value_holm"].notna()]
    if tested.empty:
        return Outcome(INSUFFICIENT, f"none of {count(len(groups))} groups can be compared with others", threshold)
    clear = tested[(tested["gap_p_value_holm"] <= evidence.alpha) & (tested["gap"].abs() >= limit)]
    worst = (tested if clear.empty else clear).loc[lambda table: [table["gap"].abs().idxmax()]].iloc[0]
    said = (
        f"{count(len(clear))} of the {count(len(tested))} groups compared; largest {names([worst['group']])}: "
        f"{signed(worst['gap'])}, adjusted {equals_p(worst['gap_p_value_holm'])}"
    )
    if clear.empty:
        return Outcome(INSUFFICIENT if abs(worst["gap"]) >= limit else PASSED, said, threshold)
    return Outcome(FLAGGED, said, threshold, severity_of(abs(worst["gap"]), evidence.limits.calibration))


@check("SKS303", "Groups too small to judge")
def small_groups(evidence: Evidence) -> Outcome:
    """Is every group and intersection large enough to be judged?"""
    smallest = evidence.settings["min_group_size"]
    threshold = f"at least {smallest} effective rows in every group"
    groups = _groups(evidence)
    if groups.empty:
        return Outcome(NOT_APPLICABLE, NO_GROUPS, threshold)
    small = groups[groups["effective_n"] < smallest]
    if small.empty:
        return Outcome(PASSED, f"all {count(len(groups))} groups are large enough", threshold)
    said = f"{count(len(small))} of {count(len(groups))} groups are smaller: {names(small['group'])}"
    return Outcome(INSUFFICIENT, said, threshold)


# --- 4xx: decisions --------------------------------------------------------------------------------------------


@check("SKS401", "Selection rates (four-fifths rule)")
def selection_ratio(evidence: Evidence) -> Outcome:
    """Is the group selected least often selected at least four fifths as often as the group selected most often?"""
    limit = evidence.limits.selection_ratio
    threshold = f"lowest over highest selection rate at least {limit:g}"
    return _rate_outcome(
        evidence,
        "selection_rate",
        threshold,
        lambda gaps: limit - gaps["ratio"],
        lambda gaps: gaps["ratio_high"] < limit,
    )


@check("SKS402", "True positive rates (equal opportunity)")
def true_positive_gap(evidence: Evidence) -> Outcome:
    """Are rows of the class found equally often in all groups?"""
    return _difference_outcome(evidence, "true_positive_rate")


@check("SKS403", "False positive rates")
def false_positive_gap(evidence: Evidence) -> Outcome:
    """Are rows not of the class mistaken for it equally often in all groups?"""
    return _difference_outcome(evidence, "false_positive_rate")


def _difference_outcome(evidence: Evidence, rate: str) -> Outcome:
    limit = evidence.limits.rate_gap
    threshold = f"rates of groups within {limit:g} of each other"
    return _rate_outcome(
        evidence, rate, threshold, lambda gaps: gaps["difference"] - limit, lambda gaps: gaps["difference_low"] > limit
    )


def _rate_outcome(evidence: Evidence, rate: str, threshold: str, excess, certain) -> Outcome:
    """Worst gap of one rate over decisions and features; high where the whole interval is beyond the limit."""
    gaps = evidence.frames.get("gaps")
    if gaps is None or gaps.empty:
        return Outcome(NOT_APPLICABLE, NO_GROUPS, threshold)
    gaps = gaps[(gaps["rate"] == rate) & gaps["difference"].notna()]
    gaps = gaps.assign(excess=excess(gaps)).dropna(subset="excess") if len(gaps) else gaps
    if gaps.empty:
        return Outcome(INSUFFICIENT, "fewer than two groups are large enough to compare", threshold)
    beyond = gaps[gaps["excess"] > 0]
    clear = beyond[beyond["p_value_holm"] <= evidence.alpha]
    table = next(part for part in (clear, beyond, gaps) if len(part))
    worst = table.loc[table["excess"].idxmax()]
    difference, ratio = (
        f"{three_digits(worst[name])} {interval(worst[f'{name}_low'], worst[f'{name}_high'], three_digits)}"
        for name in ("difference", "ratio")
    )
    said = (
        f"{worst['decision']}: {names([worst['lowest_group']])} {percent(worst['lowest'])}, "
        f"{names([worst['highest_group']])} {percent(worst['highest'])}; difference {difference}, ratio {ratio}, "
        f"adjusted {equals_p(worst['p_value_holm'])}"
    )
    if not clear.empty:
        sure = clear[certain(clear)]
        return Outcome(FLAGGED, said, threshold, "medium" if sure.empty else "high")
    return Outcome(INSUFFICIENT if len(beyond) else PASSED, said, threshold)
