"""Fisher's test of rows left out by group, against SciPy's own."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from sksoft.audit.exclusions import Exclusions, exclusion_shares, fisher_p_values


@pytest.mark.parametrize(
    ("seen", "size", "lost", "total"), [(3, 20, 5, 100), (0, 50, 5, 100), (5, 5, 5, 9), (0, 4, 0, 9), (7, 10, 9, 30)]
)
def test_p_values(seen, size, lost, total):
    table = [[seen, size - seen], [lost - seen, total - size - lost + seen]]
    expected = fisher_exact(table).pvalue
    found = fisher_p_values(np.array([seen, seen]), np.array([size, size]), lost, total)
    np.testing.assert_allclose(found, [expected, expected], rtol=1e-9)


def test_shares_by_group():
    features = pd.DataFrame({"sex": ["F", "M"] * 50, "site": ["a"] * 100})
    excluded = np.zeros(100, dtype=bool)
    excluded[1:30:2] = True
    table = exclusion_shares(features, excluded)
    assert table["group"].tolist() == ["F", "M", "a"]
    assert table["excluded"].tolist() == [0, 15, 15]
    assert table["share"].tolist() == [0.0, 0.3, 0.15]
    assert table["p_value_holm"][0] < 0.001
    assert table["p_value"][2] == pytest.approx(1.0)


def test_no_features_and_no_rows():
    assert exclusion_shares(pd.DataFrame(), np.zeros(3, dtype=bool)).empty
    rows = pd.DataFrame({"row": [1, 2, 5], "column": "p", "reason": ["x", "z", "z"], "value": "v"})
    reasons = Exclusions(10, rows, pd.DataFrame()).reasons()
    assert reasons.to_numpy().tolist() == [["z", 2, 0.2, "2, 5"], ["x", 1, 0.1, "1"]]
