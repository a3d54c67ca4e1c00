"""Trees of softmaxes fit and predict where their data live."""

import pytest
from simulated import run_on_device, run_simulated


def test_in_the_simulator():
    run_simulated("tests/hierarchical/device_nodes.py")


@pytest.mark.gpu
def test_on_a_device():
    run_on_device("tests/hierarchical/device_nodes.py")
