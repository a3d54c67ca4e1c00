"""Calibration errors and proper scores are computed where the probabilities live."""

from simulated import run_simulated


def test_in_the_simulator():
    run_simulated("tests/metrics/device_proba.py")
