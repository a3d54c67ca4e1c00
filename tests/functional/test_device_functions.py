"""Functions of arrays compute where their first array lives."""

import pytest
from simulated import run_on_device, run_simulated


def test_in_the_simulator():
    run_simulated("tests/functional/device_functions.py")


@pytest.mark.gpu
def test_on_a_device():
    run_on_device("tests/functional/device_functions.py")
