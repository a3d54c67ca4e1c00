"""Figures put numbers where they belong."""

import re

import numpy as np
import pandas as pd
import pytest

from sksoft.audit import figures


def test_axis():
    axis = figures.Axis(0, 2, 100, 300)
    assert [axis(v) for v in (0, 1, 2, -1, 9)] == [100, 200, 300, 100, 300]
    assert figures.Axis(1, 1, 0, 10)(1) == 0


def test_ticks_are_round_and_enclose_everything():
    ticks = figures._ticks(figures.Panel("t", [0.31], [0.12], [0.47]))
    np.testing.assert_allclose(ticks, [0, 0.1, 0.2, 0.3, 0.4, 0.5])
    ticks = figures._ticks(figures.Panel("t", [np.nan], [np.nan], [np.nan]))
    assert ticks[0] == 0
    assert ticks[-1] > 0
    assert figures._ticks(figures.Panel("t", [0.1], [-0.05], [0.2]))[0] <= -0.05
    assert figures._ticks(figures.Panel("t", [0.1], [0.1], [0.1], marker=0.9))[-1] >= 0.9


def curve(shares=(1.0, 3.0)):
    return pd.DataFrame(
        {
            "bin_low": [0.0, 0.5],
            "bin_high": [0.5, 1.0],
            "weight": shares,
            "mean_proba": [0.2, 0.7],
            "observed_rate": [0.25, 0.6],
            "rate_low": [0.1, 0.5],
            "rate_high": [0.4, 0.7],
        }
    )


def test_reliability_draws_one_point_per_bin_that_holds_something():
    assert figures.reliability(curve(), "x", "y").count("<circle") == 2
    assert figures.reliability(curve((0.0, 3.0)), "x", "y").count("<circle") == 1
    both = figures.reliability(curve(), "x", "y", after=curve())
    assert both.count('fill="#fff"') == 2
    first = re.search(r'<circle cx="([\d.]+)" cy="([\d.]+)"', figures.reliability(curve(), "x", "y"))
    assert float(first[1]) == pytest.approx(48 + 0.2 * 300, abs=0.1)
    assert float(first[2]) == pytest.approx(12 + 0.75 * 300, abs=0.1)


def test_dots_leave_out_what_is_not_known():
    panel = figures.Panel("t", [0.5, np.nan], [0.4, np.nan], [0.6, np.nan], others=[np.nan, 0.2])
    svg = figures.dots(["a", "<b>"], [panel])
    assert svg.count("<circle") == 1
    assert svg.count("<polygon") == 1
    assert "&lt;b&gt;" in svg
    assert "nan" not in svg


def test_decomposition_bars():
    rows = pd.DataFrame(
        {"score": ["s"], "value": [0.2], "miscalibration": [0.05], "discrimination": [0.1], "uncertainty": [0.25]}
    )
    svg = figures.decomposition(rows)
    widths = [float(w) for w in re.findall(r'<rect [^>]*width="([\d.]+)"', svg)]
    np.testing.assert_allclose(np.array(widths) / widths[0], [1, 0.4, 0.2, 0.8], atol=2e-3)
