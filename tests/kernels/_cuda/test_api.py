"""Calls whose data are on a device, from the call to the kernel."""

import pytest
from simulated import run_on_device, run_simulated


def test_calls_find_their_way_in_the_simulator():
    run_simulated("tests/kernels/_cuda/device_calls.py")


@pytest.mark.gpu
def test_calls_find_their_way_to_a_device():
    run_on_device("tests/kernels/_cuda/device_calls.py")
