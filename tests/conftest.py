"""Fixtures shared by the whole suite."""

import os
from pathlib import Path

import pytest

# Before SciPy is imported: scikit-learn's array API checks then run and are not skipped.
os.environ["SCIPY_ARRAY_API"] = "1"

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
if SIMULATED:
    from simulated import repair

    repair()


def pytest_collection_modifyitems(items):
    """What a kernel's operation says of infinities in the simulator, it says in a thread of its own."""
    if SIMULATED:
        for item in items:
            item.add_marker(pytest.mark.filterwarnings("ignore::RuntimeWarning"))


SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data sets with published reference numbers; they are not part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder ../shared/data beside the checkout is missing")
    return SHARED_DATA
