"""Displays draw what :mod:`sksoft.metrics` computed; matplotlib is imported when something is drawn."""

from sksoft.displays.reliability import ReliabilityDisplay

__all__ = ["ReliabilityDisplay"]
