"""Fixtures shared by the whole suite."""

import os
from pathlib import Path

import pytest

# Before SciPy is imported: scikit-learn's array API checks then run and are not skipped.
os.environ["SCIPY_ARRAY_API"] = "1"

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data sets with published reference numbers; they are not part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder ../shared/data beside the checkout is missing")
    return SHARED_DATA
