"""Calibration errors and proper scores are computed where the probabilities live."""

import pytest
from simulated import run_on_device, run_simulated


def test_in_the_simulator():
    run_simulated("tests/metrics/device_proba.py")


@pytest.mark.gpu
def test_on_a_device():
    run_on_device("tests/metrics/device_proba.py")
