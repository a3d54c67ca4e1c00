"""Softmax regression fits and predicts where its data live."""

import pytest
from simulated import run_on_device, run_simulated


def test_in_the_simulator():
    run_simulated("tests/linear/device_rows.py")


@pytest.mark.gpu
def test_on_a_device():
    run_on_device("tests/linear/device_rows.py")
