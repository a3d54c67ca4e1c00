"""Audits of predicted probabilities: ``audit(...)`` in Python, ``sksoft audit`` on the command line.

Measured by :mod:`sksoft.metrics`, judged by the checks of :mod:`sksoft.audit.checks`, told in one HTML page.
"""

from importlib import import_module
from typing import TYPE_CHECKING

# public name -> module that defines it; loaded on first use, so that the command line answers at once
_HOMES = {
    "AuditReport": "report",
    "Exclusions": "exclusions",
    "Finding": "findings",
    "Limits": "checks",
    "audit": "assessment",
}

__all__ = ["AuditReport", "Exclusions", "Finding", "Limits", "audit"]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'sksoft.audit' has no attribute {name!r}")
    value = getattr(import_module(f"sksoft.audit.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(__all__))


if TYPE_CHECKING:
    from sksoft.audit.assessment import audit
    from sksoft.audit.checks import Limits
    from sksoft.audit.exclusions import Exclusions
    from sksoft.audit.findings import Finding
    from sksoft.audit.report import AuditReport
