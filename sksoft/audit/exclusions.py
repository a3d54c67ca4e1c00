"""Rows that cannot be used: which, why, and whether leaving them out would hit one group more than another.

H0 of the test: a row's being left out does not depend on its group. For each group, the rows left out inside and
outside it form a 2 × 2 table; its two-sided Fisher test [1]_ is adjusted by Holm over the groups.

.. [1] R. A. Fisher, "Statistical methods for research workers", 5th edition 1934, section 21.02.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from sksoft.metrics.multiplicity import holm

FIRST_ROWS = 5


@dataclass(frozen=True)
class Exclusions:
    """Rows left out of a file.

    Parameters
    ----------
    n_rows : int
        Data rows of the file.
    rows : DataFrame
        One row per row left out: ``row`` (1-based data row), ``column``, ``reason`` (a short phrase to count by),
        ``value`` (as found, quoted).
    by_group : DataFrame
        Result of :func:`exclusion_shares`; no rows where there is no sensitive feature.

    Examples
    --------
    >>> import pandas as pd
    >>> from sksoft.audit import Exclusions
    >>> rows = pd.DataFrame({"row": [7], "column": ["p"], "reason": ["NaN"], "value": ["'nan'"]})
    >>> Exclusions(10, rows, pd.DataFrame()).reasons()
      reason  rows  share first_rows
    0    NaN     1    0.1          7
    """

    n_rows: int
    rows: pd.DataFrame
    by_group: pd.DataFrame

    def reasons(self) -> pd.DataFrame:
        """Count rows by reason, the most frequent first.

        Returns
        -------
        table : DataFrame
            ``reason``, ``rows``, ``share`` of all rows of the file, ``first_rows`` (numbers of the first few).
        """
        by_reason = self.rows.groupby("reason", sort=True)["row"]
        table = by_reason.agg(rows="size", first_rows=lambda rows: ", ".join(map(str, sorted(rows)[:FIRST_ROWS])))
        table = table.sort_values("rows", ascending=False, kind="stable").reset_index()
        return table.assign(share=table["rows"] / self.n_rows)[["reason", "rows", "share", "first_rows"]]


COLUMNS = ["feature", "group", "rows", "excluded", "share", "p_value", "p_value_holm"]


def exclusion_shares(features: pd.DataFrame, excluded: np.ndarray) -> pd.DataFrame:
    """Share of rows left out in each group, with Fisher tests against all other rows.

    Parameters
    ----------
    features : DataFrame (n, n_features) of text
        Groups of all rows of the file, those left out included.
    excluded : ndarray (n,) bool

    Returns
    -------
    table : DataFrame
        ``feature``, ``group``, ``rows``, ``excluded``, ``share``, ``p_value``, ``p_value_holm`` (over all groups).
    """
    total, lost = len(excluded), int(excluded.sum())
    frames = []
    for feature in features.columns:
        counts = pd.DataFrame({"group": features[feature].to_numpy(), "out": excluded}).groupby("group")["out"]
        rows, out = counts.size(), counts.sum().astype(np.int64)
        frames.append(
            pd.DataFrame(
                {
                    "feature": feature,
                    "group": rows.index,
                    "rows": rows.to_numpy(),
                    "excluded": out.to_numpy(),
                    "share": out.to_numpy() / rows.to_numpy(),
                    "p_value": fisher_p_values(out.to_numpy(), rows.to_numpy(), lost, total),
                }
            )
        )
    if not frames:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.concat(frames, ignore_index=True)
    return table.assign(p_value_holm=holm(table["p_value"]))


def fisher_p_values(inside: np.ndarray, sizes: np.ndarray, lost: int, total: int) -> np.ndarray:
    """Two-sided Fisher tests of `inside` lost rows in groups of `sizes`, `lost` of `total` being lost overall.

    Sums the probabilities of all tables that are not more probable than the one seen. O(lost) per different group.
    """
    different, where = np.unique(np.stack([inside, sizes], axis=1), axis=0, return_inverse=True)
    values = np.empty(len(different))
    for i, (seen, size) in enumerate(different):
        possible = np.arange(max(0, size - (total - lost)), min(size, lost) + 1)
        probability = hypergeom.pmf(possible, total, lost, size)
        reached = hypergeom.pmf(seen, total, lost, size) * (1 + 1e-7)
        values[i] = min(probability[probability <= reached].sum(), 1.0)
    return values[where.reshape(-1)]
