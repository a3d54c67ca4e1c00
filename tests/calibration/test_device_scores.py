"""Calibrators fit and predict where their scores live."""

import pytest
from simulated import run_on_device, run_simulated


def test_in_the_simulator():
    run_simulated("tests/calibration/device_scores.py")


@pytest.mark.gpu
def test_on_a_device():
    run_on_device("tests/calibration/device_scores.py")
