"""Calls whose data are on a device, from the call to the kernel."""

from simulated import run_simulated


def test_calls_find_their_way_to_a_device():
    run_simulated("tests/kernels/_cuda/device_calls.py")
