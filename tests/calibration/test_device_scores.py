"""Calibrators fit and predict where their scores live."""

from simulated import run_simulated


def test_in_the_simulator():
    run_simulated("tests/calibration/device_scores.py")
