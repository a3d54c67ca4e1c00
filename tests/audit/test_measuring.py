"""Frames that are measured here: classes, and groups at all scores."""

import numpy as np
import pytest

from sksoft.audit.measuring import class_table
from sksoft.metrics.predictions import check_predictions


def test_class_table_by_hand():
    table = class_table(check_predictions(["a", "b", "b", "b"], [0.4, 0.8, 0.6, 0.6], pos_label="b"), 0.95).set_index(
        "class"
    )
    assert table.loc["b", ["n", "rate"]].tolist() == [3, 0.75]
    assert table.loc["b", "mean_proba"] == pytest.approx(0.6)
    assert table.loc["b", "gap"] == pytest.approx(-0.15)
    residuals = np.array([0.4, -0.2, -0.4, -0.4])
    half = 1.959964 * residuals.std(ddof=1) / 2
    assert table.loc["b", "gap_low"] == pytest.approx(-0.15 - half, abs=1e-6)
    assert table["p_value"].nunique() == 1
