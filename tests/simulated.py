"""pytest in a process whose CUDA is numba's simulator, and one whose CUDA is a device's.

numba reads ``NUMBA_ENABLE_CUDASIM`` when it is imported, and a device is not for the forks of a process that used it.
"""

import os
import subprocess
import sys
from pathlib import Path

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


def _run(arguments, **variables) -> None:
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT, timeout=900)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
