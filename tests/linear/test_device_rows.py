"""Softmax regression fits and predicts where its data live."""

from simulated import run_simulated


def test_in_the_simulator():
    run_simulated("tests/linear/device_rows.py")
