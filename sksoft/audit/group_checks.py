"""Checks of groups that ask for all scores at once, or for a temperature of each group."""

import numpy as np

from sksoft.audit.checks import NO_GROUPS, Evidence, Outcome, check, severity_of
from sksoft.audit.findings import FLAGGED, INSUFFICIENT, NOT_APPLICABLE, PASSED
from sksoft.audit.formatting import count, equals_p, interval, names, number, percent, signed


@check("SKS304", "Temperatures of groups", needs_rows=True)
def group_temperatures(evidence: Evidence) -> Outcome:
    """Are all groups over- or under-confident to the same degree, so that one temperature serves them?"""
    limit = evidence.limits.recalibration[0]
    threshold = f"log-loss of rows not fitted to not clearly lowered by {percent(limit)} or more"
    if "gaps" not in evidence.frames:
        return Outcome(NOT_APPLICABLE, NO_GROUPS, threshold)
    if "group_temperature_gains" not in evidence.frames:
        return Outcome(NOT_APPLICABLE, "recalibration was not asked for", threshold)
    gains = evidence.frames["group_temperature_gains"]
    gains = gains[gains["gain"].notna()]
    if gains.empty:
        return Outcome(INSUFFICIENT, "no feature has several groups, and few enough of them", threshold)
    shares = (gains["gain"] / gains["one_temperature"].where(gains["one_temperature"] > 0)).fillna(0.0)
    worst = gains.loc[shares.idxmax()]
    said = (
        f"a temperature for each group of {names([worst['feature']])} instead of {number(worst['temperature'], 3)}: "
        f"log-loss {number(worst['one_temperature'])} → {number(worst['by_group'])}, gain {signed(worst['gain'], 5)} "
        f"{interval(worst['gain_low'], worst['gain_high'], lambda value: signed(value, 5))}"
    )
    if np.isnan(worst["gain_low"]):
        return Outcome(INSUFFICIENT, said, threshold)
    severity = severity_of(shares.max(), evidence.limits.recalibration)
    if worst["gain_low"] > 0 and severity != "none":
        return Outcome(FLAGGED, said, threshold, severity)
    return Outcome(PASSED, said, threshold)


@check("SKS305", "Multicalibration")
def multicalibration(evidence: Evidence) -> Outcome:
    """Is every group calibrated at every score, all asked at once?"""
    low, medium, _ = evidence.limits.calibration
    threshold = (
        f"in every group: largest error over an interval of scores, less noise, below {low:g}, or below {medium:g} "
        f"with adjusted p > {evidence.alpha:g}"
    )
    if "gaps" not in evidence.frames:
        return Outcome(NOT_APPLICABLE, NO_GROUPS, threshold)
    table = evidence.frames.get("multicalibration")
    if table is None or table["p_value"].isna().all():
        return Outcome(INSUFFICIENT, "no group is large enough, or no test", threshold)
    clear = table[(table["p_value_adjusted"] <= evidence.alpha) & (table["error_debiased"] >= low)]
    worst = (table if clear.empty else clear).loc[lambda found: [found["error_debiased"].idxmax()]].iloc[0]
    group = "all rows" if worst["level"] == "overall" else names([worst["group"]])
    said = (
        f"{count(len(clear))} of {count(len(table))} (all rows and the groups); largest {group}: error "
        f"{number(worst['error'])}, less noise {number(worst['error_debiased'])}, adjusted "
        f"{equals_p(worst['p_value_adjusted'])}"
    )
    if len(clear):
        return Outcome(FLAGGED, said, threshold, severity_of(worst["error_debiased"], evidence.limits.calibration))
    return Outcome(INSUFFICIENT if worst["error_debiased"] >= medium else PASSED, said, threshold)
