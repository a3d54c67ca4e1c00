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


@pytest.mark.parametrize("module", MODULES)
def test_contracts_hold_in_the_simulator(module):
    names = [name for name, kernel in REGISTRY.items() if kernel.reference.__module__.endswith(f".{module}")]
    run_simulated("tests/kernels/test_contracts.py", "-k", " or ".join(f"[{name}-" for name in names))
