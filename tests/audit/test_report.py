"""JSON and CSV of a report."""

import json

import numpy as np
import pandas as pd
import pytest

from sksoft.audit import audit
from sksoft.audit.report import SCHEMA_VERSION, defanged


def test_json_is_strict_and_versioned(report):
    content = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (content["schema"], content["schema_version"]) == ("sksoft.audit", SCHEMA_VERSION)
    assert set(content) == {
        *("schema", "schema_version", "title", "severity", "summary", "findings", "frames", "settings", "provenance"),
    }
    assert content == json.loads(json.dumps(report.to_dict()))
    assert len(content["frames"]["groups"]) == len(report.frames["groups"])
    assert set(content["findings"][0]) == {"code", "title", "question", "outcome", "severity", "evidence", "threshold"}


def test_infinite_scores_in_json():
    y = np.arange(200) % 2
    report = audit(y, np.where(np.arange(200) == 1, 0.0, 0.5), n_resamples=0)
    scores = {row["score"]: row for row in json.loads(report.to_json())["frames"]["scores"]}
    assert scores["log-loss"]["value"] == "inf"
    assert scores["log-loss"]["low"] is None


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_formulas_are_defanged(text):
    assert defanged(text) == "'" + text


@pytest.mark.parametrize("value", ["x", "", "1-2", " =1", -1.5, 3, None])
def test_everything_else_is_as_it_is(value):
    assert defanged(value) is value


def test_csv_numbers_are_untouched(report):
    table = pd.read_csv(__import__("io").StringIO(report.to_csv("groups")))
    np.testing.assert_array_equal(table["gap"], report.frames["groups"]["gap"])
    assert (table["gap"] < 0).any()


def test_csv_of_odd_names():
    rng = np.random.default_rng(0)
    report = audit(
        rng.integers(0, 2, 300),
        rng.uniform(size=300),
        sensitive_features={"=f": ["=g", "-h", "+i"] * 100},
        n_resamples=0,
    )
    lines = report.to_csv().splitlines()
    assert lines[2].startswith("group,'=f,'+i,")
    assert lines[3].startswith("group,'=f,'-h,")


def test_csv_of_every_table(report):
    for name in ["findings", *report.frames]:
        assert report.to_csv(name).count("\n") >= 1
    with pytest.raises(ValueError, match="'table' parameter must be one of"):
        report.to_csv("nothing")


def test_lookup(report):
    assert report.finding("SKS201").title == "Calibration overall"
    with pytest.raises(KeyError):
        report.finding("SKS999")
    assert report.to_frame().shape == (len(report.findings), 7)
    assert report.flagged == [f for f in report.findings if f.outcome == "flagged"]
