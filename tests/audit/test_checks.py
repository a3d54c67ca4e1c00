"""Every check can be flagged, can pass, and knows when it cannot say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sksoft.audit import Exclusions, Limits, audit
from sksoft.audit.checks import CHECKS, check, severity_of

RNG = np.random.default_rng(6)
N = 4000
P = RNG.uniform(0.02, 0.98, size=N)
Y = (RNG.uniform(size=N) < P).astype(int)
SEX = RNG.choice(["F", "M"], N)


QUICK = {"n_resamples": 0, "recalibrate": False}


def outcomes(y=Y, p=P, **options):
    report = audit(y, p, **{"n_resamples": 99, **options})
    return {f.code: (f.outcome, f.severity) for f in report.findings}


def exclusions(n_rows, by_group):
    n = sum(out for _, _, out, _ in by_group)
    rows = pd.DataFrame({"row": range(1, n + 1), "column": "p", "reason": "NaN", "value": "'nan'"})
    table = pd.DataFrame(
        [("sex", g, size, out, out / size, p, p) for g, size, out, p in by_group],
        columns=["feature", "group", "rows", "excluded", "share", "p_value", "p_value_holm"],
    )
    return Exclusions(n_rows, rows, table)


def test_codes_are_stable():
    assert sorted(CHECKS) == [
        *("SKS001", "SKS002", "SKS003", "SKS004", "SKS101", "SKS102"),
        *("SKS201", "SKS202", "SKS203", "SKS204", "SKS205", "SKS206", "SKS207"),
        *("SKS301", "SKS302", "SKS303", "SKS304", "SKS305", "SKS401", "SKS402", "SKS403"),
    ]
    with pytest.raises(ValueError, match="SKS001 is taken"):
        check("SKS001", "Again")(lambda evidence: None)
    assert all(entry.question.endswith("?") for entry in CHECKS.values())


def test_calibrated_and_fair_passes():
    found = outcomes(sensitive_features=SEX)
    not_applicable = {"SKS001", "SKS002", "SKS004", "SKS206"}
    assert {code for code, (outcome, _) in found.items() if outcome == "not applicable"} == not_applicable
    assert {outcome for code, (outcome, _) in found.items() if code not in not_applicable} <= {
        "passed",
        "insufficient evidence",
    }


def test_without_groups_their_checks_do_not_apply():
    found = outcomes()
    for code in ("SKS301", "SKS302", "SKS303", "SKS304", "SKS305", "SKS401", "SKS402", "SKS403"):
        assert found[code] == ("not applicable", "none")
    found = outcomes(recalibrate=False, sensitive_features=SEX)
    assert [found[code] for code in ("SKS204", "SKS207", "SKS304")] == [("not applicable", "none")] * 3


def test_rows_left_out():
    even = exclusions(N + 20, [("F", 2000, 10, 1.0), ("M", 2020, 10, 1.0)])
    found = outcomes(exclusions=even, **QUICK)
    assert (found["SKS001"][0], found["SKS002"][0]) == ("passed", "passed")
    uneven = exclusions(N + 100, [("F", 2000, 99, 1e-9), ("M", 2100, 1, 1e-9)])
    found = outcomes(exclusions=uneven, **QUICK)
    assert (found["SKS001"], found["SKS002"]) == (("flagged", "medium"), ("flagged", "high"))
    assert outcomes(exclusions=exclusions(N + 900, [("F", 4900, 900, 1.0)]), **QUICK)["SKS001"] == ("flagged", "high")


def test_rare_class_is_insufficient_evidence():
    assert outcomes(np.r_[np.zeros(3990), np.ones(10)], np.full(N, 0.0025), **QUICK)["SKS003"] == (
        "insufficient evidence",
        "none",
    )


def test_concentrated_weights():
    assert outcomes(sample_weight=np.ones(N), **QUICK)["SKS004"][0] == "passed"
    assert outcomes(sample_weight=np.r_[np.full(50, 1000.0), np.ones(N - 50)], **QUICK)["SKS004"] == ("flagged", "low")


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_impossible_truth(columns):
    p = P.copy()
    row = np.flatnonzero(Y == 1)[0]
    p[row] = 0.0
    proba = [p, np.column_stack([1 - p, p]), np.column_stack([1 - p, p, np.zeros(N)])][columns - 1]
    found = outcomes(Y, proba, labels=[0, 1, 2][: max(columns, 2)], n_resamples=0)
    assert found["SKS101"] == ("flagged", "high")
    assert found["SKS204"][0] == "not applicable"


def test_worse_than_base_rates():
    assert outcomes(Y, 1 - P, **QUICK)["SKS102"] == ("flagged", "high")
    assert outcomes(Y, np.full(N, Y.mean()), **QUICK)["SKS102"][0] == "insufficient evidence"


def test_miscalibrated_and_over_confident():
    sharp = P**3 / (P**3 + (1 - P) ** 3)
    found = outcomes(Y, sharp)
    assert found["SKS201"] == ("flagged", "high")
    assert found["SKS202"] == ("flagged", "high")
    assert found["SKS204"][0] == "flagged"
    assert outcomes(Y, P**1.5)["SKS203"] == ("flagged", "high")


def test_under_confidence_is_called_so():
    flat = P**0.3 / (P**0.3 + (1 - P) ** 0.3)
    assert audit(Y, flat, n_resamples=0).finding("SKS202").evidence.startswith("under-confident")


def test_one_group_miscalibrated():
    p = np.where(SEX == "F", P, P**1.6)
    found = outcomes(Y, p, sensitive_features=SEX)
    assert found["SKS301"] == ("flagged", "high")
    assert found["SKS302"] == ("flagged", "high")


def test_small_groups_are_not_judged():
    group = np.array(["rare"] * 20 + ["common"] * (N - 20))
    found = outcomes(sensitive_features=group, **QUICK)
    assert found["SKS303"] == ("insufficient evidence", "none")
    assert found["SKS401"][0] == "insufficient evidence"


def test_decision_gaps():
    group = np.where(np.arange(N) % 2 == 0, "A", "B")
    p = np.where(group == "A", P, P * 0.5)
    found = outcomes(Y, p, sensitive_features=group, **QUICK)
    assert found["SKS401"] == ("flagged", "high")
    assert found["SKS402"] == ("flagged", "high")
    generous = outcomes(Y, p, sensitive_features=group, limits=Limits(rate_gap=0.99, selection_ratio=0.0), **QUICK)
    assert (generous["SKS401"][0], generous["SKS402"][0]) == ("passed", "passed")


def test_beyond_the_limit_without_being_clear_is_insufficient_evidence():
    group = np.array(["A"] * 55 + ["B"] * 55)
    y, p = np.arange(110) % 2, np.r_[np.repeat([0.9, 0.1], [20, 35]), np.repeat([0.9, 0.1], [26, 29])]
    finding = audit(y, p, sensitive_features=group, n_resamples=49).finding("SKS401")
    assert (finding.outcome, finding.severity) == ("insufficient evidence", "none")
    assert "ratio 0.769" in finding.evidence


def test_gaps_that_are_large_and_not_clear_do_not_pass():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.02, 0.98, size=900)
    y = (rng.uniform(size=900) < p).astype(int)
    report = audit(y, p, sensitive_features=np.arange(900) % 15, n_resamples=199, recalibrate=False)
    groups = report.frames["groups"].iloc[1:]
    assert groups["gap"].abs().max() > 0.02
    assert groups["ece_debiased"].max() > 0.02
    for code in ("SKS301", "SKS302"):
        assert report.finding(code).outcome == "insufficient evidence"
        assert "“" in report.finding(code).evidence
    # Calibrated predictions of many rows pass, in every group.
    p = np.repeat([0.25, 0.75], 40_000)
    y = (np.arange(80_000) % 4 < np.repeat([1, 3], 40_000)).astype(int)
    report = audit(y, p, sensitive_features=np.arange(80_000) // 8 % 2, n_resamples=49, recalibrate=False)
    for code in ("SKS203", "SKS301", "SKS302"):
        assert report.finding(code).outcome == "passed"


def test_what_a_check_says_it_passes_with_is_enough():
    for finding in audit(Y, P, n_resamples=49, sensitive_features=SEX).findings:
        if finding.code in ("SKS203", "SKS302", "SKS401", "SKS402", "SKS403"):
            assert "adjusted p" not in finding.threshold


def test_few_rows_decide_nothing():
    found = outcomes([0, 1, 0, 1], [0.2, 0.7, 0.4, 0.9])
    for code in ("SKS102", "SKS201", "SKS202", "SKS203", "SKS204", "SKS205", "SKS207"):
        assert found[code] == ("insufficient evidence", "none")


def test_severity_of():
    assert [severity_of(x, (1, 2, 3)) for x in (0.9, 1, 2.5, 3)] == ["none", "low", "medium", "high"]


def test_tests_are_flagged_where_clear_and_large():
    found = outcomes(Y, P**1.5, recalibrate=False)
    assert found["SKS205"] == ("flagged", "high")
    assert outcomes(Y, P, recalibrate=False, limits=Limits(calibration=(0.2, 0.3, 0.4)))["SKS205"][0] == "passed"
    # Clear beyond doubt, and too small to matter.
    generous = outcomes(Y, P**1.5, recalibrate=False, limits=Limits(calibration=(0.2, 0.3, 0.4)))
    assert generous["SKS205"][0] == "passed"


def three_classes(power, n=4000):
    rng = np.random.default_rng(2)
    proba = rng.dirichlet(np.ones(3), n)
    y = (rng.uniform(size=(n, 1)) > proba.cumsum(axis=1)).sum(axis=1)
    sharper = proba**power
    return y, sharper / sharper.sum(axis=1, keepdims=True)


def test_classes_are_judged_one_by_one():
    y, proba = three_classes(1.0)
    wrong = proba.copy()
    moved = 0.3 * wrong[:, 0]
    wrong[:, 0] -= moved
    wrong[:, 1] += moved
    finding = audit(y, wrong, **QUICK).finding("SKS206")
    assert (finding.outcome, finding.severity) == ("flagged", "high")
    assert finding.evidence.startswith("2 of the 3 classes tested")
    assert outcomes(y, proba, **QUICK)["SKS206"][0] in ("passed", "insufficient evidence")
    rare = outcomes([0, 1, 2] * 10, np.full((30, 3), 1 / 3), **QUICK)
    assert rare["SKS206"] == ("insufficient evidence", "none")


def test_a_calibrator_is_recommended_with_its_gain():
    y, proba = three_classes(2.0, 1500)
    report = audit(y, proba, n_resamples=0)
    finding = report.finding("SKS207")
    assert finding.outcome == "flagged"
    assert finding.evidence.startswith(f"recommended: {report.settings['calibrator'].replace('_', ' ')}; log-loss")
    report = audit(*three_classes(1.0, 1500), n_resamples=0)
    assert report.settings["calibrator"] == "identity"
    assert report.finding("SKS207").outcome == "passed"
    assert report.finding("SKS207").evidence.startswith("leave the probabilities as they are; log-loss")


def test_temperatures_of_groups():
    p = np.where(SEX == "F", P, P**3 / (P**3 + (1 - P) ** 3))
    report = audit(Y, p, sensitive_features={"sex": SEX, "half": np.arange(N) % 2}, n_resamples=0)
    finding = report.finding("SKS304")
    assert finding.outcome == "flagged"
    assert "“sex”" in finding.evidence
    assert audit(Y, P, sensitive_features=SEX, n_resamples=0).finding("SKS304").outcome == "passed"


def test_multicalibration_finds_what_cancels_over_all_rows():
    p = np.where(SEX == "F", np.clip(P + 0.08, 0, 1), np.clip(P - 0.08, 0, 1))
    finding = audit(Y, p, sensitive_features=SEX, n_resamples=99, recalibrate=False).finding("SKS305")
    assert (finding.outcome, finding.severity) == ("flagged", "high")
    assert outcomes(sensitive_features=SEX, **QUICK)["SKS305"] == ("insufficient evidence", "none")


def test_the_guide_lists_every_check():
    guide = (Path(__file__).resolve().parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    for code, entry in CHECKS.items():
        assert f"| {code} | {entry.title} | {entry.question} |" in guide
    assert guide.count("| SKS") == len(CHECKS)
