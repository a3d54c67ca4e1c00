"""pytest in a process whose CUDA is numba's simulator: numba reads ``NUMBA_ENABLE_CUDASIM`` when it is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REASON = "numba-cuda is not installed: pip install -e '.[test,cuda-test]'"
ROOT = Path(__file__).resolve().parents[1]


def run_simulated(*arguments: str) -> None:
    """Run tests there; they must pass, and there must be some."""
    pytest.importorskip("numba_cuda", reason=REASON)
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT, timeout=900)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
