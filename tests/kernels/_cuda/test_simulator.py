"""Every kernel of the registry keeps its contract on simulated devices: threads, warps, shared memory, barriers.

Threads run one at a time there, so the inputs are the smallest cases (``tests/kernels/test_contracts.py``).
"""

import importlib
import pkgutil

import pytest
from simulated import run_simulated

import sksoft.kernels
from sksoft.kernels.registry import REGISTRY

for found in pkgutil.iter_modules(sksoft.kernels.__path__):
    if not found.name.startswith("_"):
        importlib.import_module(f"sksoft.kernels.{found.name}")
MODULES = sorted({kernel.reference.__module__.rpartition(".")[2] for kernel in REGISTRY.values()})


# Modules share processes: each builds all inputs to see which are small.
N_PROCESSES = 4


@pytest.mark.parametrize("number", range(N_PROCESSES))
def test_contracts_hold_in_the_simulator(number):
    modules = MODULES[number::N_PROCESSES]
    names = [name for name, kernel in REGISTRY.items() if kernel.reference.__module__.rpartition(".")[2] in modules]
    run_simulated("tests/kernels/test_contracts.py", "-k", " or ".join(f"[{name}-" for name in names))
