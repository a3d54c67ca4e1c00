"""Findings are consistent in themselves and come in order of urgency."""

import pytest

from sksoft.audit.findings import Finding, by_urgency


def finding(outcome, severity="none", code="SKS001"):
    return Finding(code, "Title", "Question?", outcome, severity, "evidence", "threshold")


@pytest.mark.parametrize(
    ("outcome", "severity"), [("flagged", "none"), ("passed", "low"), ("fine", "none"), ("flagged", "dire")]
)
def test_contradictions_are_refused(outcome, severity):
    with pytest.raises(ValueError):
        finding(outcome, severity)


def test_at_least():
    assert finding("flagged", "medium").at_least("low")
    assert finding("flagged", "medium").at_least("medium")
    assert not finding("flagged", "medium").at_least("high")
    assert not finding("insufficient evidence").at_least("low")


def test_order():
    given = [finding("passed"), finding("not applicable"), finding("flagged", "low"), finding("insufficient evidence")]
    given += [finding("flagged", "high", "SKS301"), finding("flagged", "high", "SKS101")]
    found = [(f.outcome, f.severity, f.code) for f in by_urgency(given)]
    assert found == [
        ("flagged", "high", "SKS101"),
        ("flagged", "high", "SKS301"),
        ("flagged", "low", "SKS001"),
        ("insufficient evidence", "none", "SKS001"),
        ("passed", "none", "SKS001"),
        ("not applicable", "none", "SKS001"),
    ]
    assert finding("passed").to_dict()["code"] == "SKS001"
