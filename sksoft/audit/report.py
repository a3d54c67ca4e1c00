"""The result of an audit: findings, data frames and provenance, and its forms as HTML, JSON and CSV."""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sksoft.audit.findings import FLAGGED, SEVERITIES, Finding

# Raised when a field changes its meaning or goes away; new fields do not raise it.
SCHEMA_VERSION = 1
SCHEMA = "sksoft.audit"
# What a spreadsheet would take for a formula at the beginning of a text (OWASP, "CSV injection").
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class AuditReport:
    """What an audit found.

    Parameters
    ----------
    title : str
    summary : dict
        ``rows``, ``effective_rows``, ``weighted``, ``rows_read``, ``rows_left_out``, ``classes``, ``positive_class``.
    findings : list of Finding
        Flagged ones first, the most severe on top.
    frames : dict of str -> DataFrame
        ``scores``, ``decomposition``, ``classes``, ``reliability``, ``calibration_errors``, ``calibration_slope``,
        ``calibration_tests``, ``groups`` (its first row is all rows) and, where they apply, ``class_tests``,
        ``reliability_top_label``, ``reliability_by_class``, ``reliability_after``, ``recalibration``, ``calibrators``,
        ``recalibration_chosen``, ``reliability_chosen_before``, ``reliability_chosen_after``, ``multicalibration``,
        ``disparities``, ``group_temperatures``, ``group_temperature_gains``, ``rates``, ``gaps``, ``exclusions``,
        ``excluded_rows``, ``exclusions_by_group``.
    settings : dict
        The parameters of the audit, the temperatures of the folds, and the calibrator recommended.
    provenance : dict of str -> str
        Versions, time, hashes.

    Examples
    --------
    >>> from sksoft.audit import audit
    >>> report = audit([0, 1, 0, 1], [0.2, 0.7, 0.4, 0.9], n_resamples=0)
    >>> report.severity, report.finding("SKS101").outcome
    ('none', 'passed')
    >>> print(report.to_csv("decomposition").splitlines()[0])
    score,value,miscalibration,discrimination,uncertainty,method
    """

    title: str
    summary: dict[str, Any]
    findings: list[Finding]
    frames: dict[str, pd.DataFrame]
    settings: dict[str, Any]
    provenance: dict[str, str]

    def finding(self, code: str) -> Finding:
        """Look up a finding.

        Parameters
        ----------
        code : str
            Such as ``'SKS201'``.

        Returns
        -------
        finding : Finding

        Raises
        ------
        KeyError
            If there is no such code.
        """
        for finding in self.findings:
            if finding.code == code:
                return finding
        raise KeyError(code)

    @property
    def severity(self) -> str:
        """The highest severity of all findings, 'none' where nothing is flagged."""
        return max((f.severity for f in self.findings), key=SEVERITIES.index, default="none")

    @property
    def flagged(self) -> list[Finding]:
        """The findings that are flagged."""
        return [finding for finding in self.findings if finding.outcome == FLAGGED]

    def to_frame(self) -> pd.DataFrame:
        """Give the findings as a data frame.

        Returns
        -------
        frame : DataFrame
            One row each, with the fields of :class:`Finding`.
        """
        return pd.DataFrame([finding.to_dict() for finding in self.findings])

    def to_html(self) -> str:
        """Render one page that needs nothing from elsewhere.

        Returns
        -------
        html : str
            No script, no remote asset; everything from the data escaped.
        """
        from sksoft.audit.page import render

        return render(self)

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain dictionaries, lists, text and numbers.

        Returns
        -------
        content : dict
            With ``schema`` and ``schema_version``; NaN is None, infinity the text "inf" or "-inf".
        """
        return {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "title": self.title,
            "severity": self.severity,
            "summary": _plain(self.summary),
            "findings": [finding.to_dict() for finding in self.findings],
            "frames": {name: _plain(frame.to_dict("records")) for name, frame in self.frames.items()},
            "settings": _plain(self.settings),
            "provenance": _plain(self.provenance),
        }

    def to_json(self) -> str:
        """Give :meth:`to_dict` as JSON.

        Returns
        -------
        json : str
            RFC 8259: without NaN and Infinity.
        """
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=1) + "\n"

    def to_csv(self, table: str = "groups") -> str:
        """Give one table as CSV that a spreadsheet does not take for formulas.

        Parameters
        ----------
        table : str, default='groups'
            ``'findings'`` or a name in :attr:`frames`. Text that begins with ``= + - @``, a tab or a carriage return
            gets a ``'`` in front; numbers are as they are.

        Returns
        -------
        csv : str

        Raises
        ------
        ValueError
            If there is no such table.
        """
        frames = {"findings": self.to_frame()} | self.frames
        if table not in frames:
            raise ValueError(f"The 'table' parameter must be one of {sorted(frames)}. Got {table!r} instead.")
        frame = frames[table]
        texts = {name: frame[name].map(defanged) for name in frame.columns if frame[name].dtype.kind not in "biuf"}
        return frame.assign(**texts).to_csv(index=False, lineterminator="\n")


def defanged(value):
    """Text that a spreadsheet shows instead of running it; anything else as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _plain(value):
    """Python's own types, as JSON has them."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return None if pd.isna(value) else str(value)
