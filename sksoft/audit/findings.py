"""What a check found: a code that stays the same, an outcome, a severity, the evidence and the threshold."""

from dataclasses import asdict, dataclass

FLAGGED, PASSED = "flagged", "passed"
INSUFFICIENT, NOT_APPLICABLE = "insufficient evidence", "not applicable"
OUTCOMES = (FLAGGED, INSUFFICIENT, PASSED, NOT_APPLICABLE)
SEVERITIES = ("none", "low", "medium", "high")


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Parameters
    ----------
    code : str
        ``SKS`` and three digits: 0xx data, 1xx scores, 2xx calibration, 3xx groups, 4xx decisions. A code never
        changes its meaning.
    title : str
    question : str
        What the check asks, in one sentence.
    outcome : {'flagged', 'passed', 'insufficient evidence', 'not applicable'}
        "Insufficient evidence" says that the data could not decide, which is not a pass.
    severity : {'none', 'low', 'medium', 'high'}
        ``'none'`` unless flagged.
    evidence : str
        The numbers that decided.
    threshold : str
        What would have to hold for the check to pass.

    Raises
    ------
    ValueError
        For an unknown outcome or severity, or a severity of what is not flagged.

    Examples
    --------
    >>> from sksoft.audit import Finding
    >>> finding = Finding("SKS101", "Impossible truths", "Any?", "flagged", "high", "3 of 90 rows", "none")
    >>> finding.at_least("medium")
    True
    """

    code: str
    title: str
    question: str
    outcome: str
    severity: str
    evidence: str
    threshold: str

    def __post_init__(self):
        if self.outcome not in OUTCOMES or self.severity not in SEVERITIES:
            raise ValueError(f"unknown outcome or severity: {self.outcome!r}, {self.severity!r}.")
        if (self.outcome == FLAGGED) == (self.severity == "none"):
            raise ValueError("a finding has a severity if and only if it is flagged.")

    def at_least(self, severity: str) -> bool:
        """Whether this is flagged at `severity` or above.

        Parameters
        ----------
        severity : {'low', 'medium', 'high'}

        Returns
        -------
        reached : bool
        """
        return self.outcome == FLAGGED and SEVERITIES.index(self.severity) >= SEVERITIES.index(severity)

    def to_dict(self) -> dict[str, str]:
        """Give the fields as a plain dictionary.

        Returns
        -------
        fields : dict of str -> str
        """
        return asdict(self)


def by_urgency(findings: list[Finding]) -> list[Finding]:
    """Flagged findings first, the most severe on top; then what could not be decided, what passed, and the rest."""
    return sorted(findings, key=lambda f: (OUTCOMES.index(f.outcome), -SEVERITIES.index(f.severity), f.code))
