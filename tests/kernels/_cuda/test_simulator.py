"""Every kernel of the registry keeps its contract on simulated devices: threads, warps, shared memory, barriers.

One process for each module of kernels, because numba reads ``NUMBA_ENABLE_CUDASIM`` when it is imported. Threads run
one at a time there, so the inputs are the smallest cases.
"""

import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import sksoft.kernels
from sksoft.kernels.registry import REGISTRY

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed: pip install -e '.[test,cuda-test]'")

HERE = Path(__file__).parent
for found in pkgutil.iter_modules(sksoft.kernels.__path__):
    if not found.name.startswith("_"):
        importlib.import_module(f"sksoft.kernels.{found.name}")
MODULES = sorted({kernel.reference.__module__.rpartition(".")[2] for kernel in REGISTRY.values()})


def run_simulated(*arguments, timeout=900):
    """pytest in a process whose CUDA is numba's simulator."""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=timeout, check=False, cwd=HERE.parents[2]
    )


@pytest.mark.parametrize("module", MODULES)
def test_contracts_hold_in_the_simulator(module):
    names = [name for name, kernel in REGISTRY.items() if kernel.reference.__module__.endswith(f".{module}")]
    done = run_simulated("tests/kernels/test_contracts.py", "-k", " or ".join(f"[{name}-" for name in names))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"[{names[0]}" in done.stdout or " passed" in done.stdout
