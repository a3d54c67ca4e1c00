"""Warnings that point at the user's line, through however many frames of ours and of scikit-learn's."""

import sys
import warnings

# Packages whose frames lie between the user's line and what it warns of.
BETWEEN = {"sksoft", "sklearn", "joblib"}


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the innermost line outside the packages between: a filter by module is for the user's modules."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
