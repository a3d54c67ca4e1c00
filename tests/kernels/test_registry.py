"""Which implementation a call resolves to."""

import numpy as np
import pytest

from sksoft import config_context
from sksoft.kernels import registry, rowwise
from sksoft.kernels.capability import Capability
from sksoft.kernels.registry import REGISTRY, Kernel, backend_for


@pytest.fixture
def probe():
    """A kernel of threshold 10 that says which implementation ran."""
    kernel = Kernel(lambda array: "numpy", auto_size=10)
    kernel.__name__ = "probe"
    kernel.implement("numba")(lambda array: "numba")
    return kernel


def test_auto_takes_numba_from_its_size_on(probe):
    assert probe(np.zeros(9)) == "numpy"
    assert probe(np.zeros(10)) == "numba"


def test_a_forced_backend_is_taken_at_any_size(probe):
    with config_context(backend="numba"):
        assert probe(np.zeros(1)) == "numba"
    with config_context(backend="numpy"):
        assert probe(np.zeros(100)) == "numpy"


@pytest.mark.parametrize(("missing_package", "error"), [(True, ImportError), (False, RuntimeError)])
def test_a_device_that_cannot_compute_is_an_error_with_its_reason(monkeypatch, missing_package, error):
    monkeypatch.setattr(registry, "capability", lambda: Capability(False, "no driver.", missing_package))
    with pytest.raises(error, match="'softmax_rows' cannot run on backend='cuda': no driver"):
        rowwise.softmax_rows.on("cuda")


def test_a_module_without_the_kernel_is_an_error(monkeypatch):
    reference = lambda array: array  # noqa: E731
    reference.__module__ = "sksoft.kernels.rowwise"
    orphan = Kernel(reference, auto_size=1)
    orphan.__name__ = "orphan"
    with pytest.raises(ValueError, match="'orphan' has no implementation for backend='numba'"):
        orphan.on("numba")


def test_a_kernel_keeps_the_docstring_of_its_contract():
    assert "row by row" in rowwise.softmax_rows.__doc__
    assert REGISTRY["softmax_rows"] is rowwise.softmax_rows


@pytest.mark.parametrize(("size", "expected"), [(1, "numpy"), (registry.AUTO_SIZE, "numba")])
def test_a_backend_decided_for_a_whole_holds_for_its_blocks(probe, size, expected):
    with backend_for(size)():
        assert probe(np.zeros(1)) == expected


def test_a_kernel_may_have_a_size_of_its_own():
    kernel = Kernel(lambda *arrays: "numpy", auto_size=10, size=lambda a, b: len(a) * len(b))
    kernel.__name__ = "pairs"
    kernel.implement("numba")(lambda *arrays: "numba")
    assert kernel(np.zeros(3), np.zeros(3)) == "numpy"
    assert kernel(np.zeros(2), np.zeros(5)) == "numba"
