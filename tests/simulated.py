"""pytest in a process whose CUDA is numba's simulator, repaired, and in one whose CUDA is a device's.

numba reads ``NUMBA_ENABLE_CUDASIM`` when it is imported, and a device is not for the forks of a process that used it.
"""

import os
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from sksoft.kernels.capability import capability

REASON = "numba-cuda is not installed: pip install -e '.[test,cuda-test]'"
ROOT = Path(__file__).resolve().parents[1]


def run_simulated(*arguments: str) -> None:
    """Run tests in the simulator; they must pass, and there must be some."""
    pytest.importorskip("numba_cuda", reason=REASON)
    _run(arguments, NUMBA_ENABLE_CUDASIM="1")


def run_on_device(*arguments: str) -> None:
    """Run them on a device, where there is one."""
    found = capability()
    if not found.usable:
        pytest.skip(f"no CUDA device: {found.reason}")
    _run(arguments, NUMBA_ENABLE_CUDASIM="0")


def repair() -> None:
    """Make the simulator of this process quick, and mend where its threads would disturb each other.

    All threads of a block have the same shared array, one for each place and type that it is asked for at. The
    simulator makes it when the first thread asks, and gives another to a second that asks meanwhile; it does not look
    at the type, so that a device function compiled for two of them gets the first; and it finds the place by a
    traceback with its lines of source, which takes longer than all the rest.
    """
    # it waits for its threads in a loop, which else keeps the interpreter from them for 5 ms at a time
    sys.setswitchinterval(1e-6)
    kernelapi = import_module("numba.cuda.simulator.kernelapi")
    as_dtype = import_module("numba.np.numpy_support").as_dtype
    lock = threading.Lock()

    def array(self, shape, dtype, alignment=None):
        dtype = np.dtype(as_dtype(dtype))
        if shape == 0:  # dynamic shared memory
            return np.frombuffer(self._dynshared.data, dtype, self._dynshared_size // dtype.itemsize)
        caller = sys._getframe(1)
        place = caller.f_code, caller.f_lineno, dtype
        with lock:
            if place not in self._allocations:
                self._allocations[place] = np.empty(shape, dtype)
            return self._allocations[place]

    kernelapi.FakeCUDAShared.array = array


def _run(arguments, **variables) -> None:
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT, timeout=900)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
