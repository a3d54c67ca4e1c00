"""Trees of softmaxes fit and predict where their data live."""

from simulated import run_simulated


def test_in_the_simulator():
    run_simulated("tests/hierarchical/device_nodes.py")
