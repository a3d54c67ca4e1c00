"""Calls whose data are on a device, from the call to the kernel."""

import numpy as np
import pytest
from simulated import REASON, run_on_device, run_simulated


def test_calls_find_their_way_in_the_simulator():
    run_simulated("tests/kernels/_cuda/device_calls.py")


@pytest.mark.gpu
def test_calls_find_their_way_to_a_device():
    run_on_device("tests/kernels/_cuda/device_calls.py")


def test_launches_of_few_blocks_are_no_warning():
    pytest.importorskip("numba_cuda", reason=REASON)
    from numba import config

    from sksoft.kernels._cuda import _api, probe

    before = config.CUDA_LOW_OCCUPANCY_WARNINGS
    _api.configured(probe.doubled.of(np.float32), 1, 64, 0, 0)  # warnings are errors here
    assert before == config.CUDA_LOW_OCCUPANCY_WARNINGS
