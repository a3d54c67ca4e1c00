"""Attention over training rows on a device: bandwidths are searched and rows answered where they live."""

import pytest
from simulated import run_on_device, run_simulated


def test_in_the_simulator():
    run_simulated("tests/attention/device_memory.py")


@pytest.mark.gpu
def test_on_a_device():
    run_on_device("tests/attention/device_memory.py")
