"""`show_versions` names everything a bug report needs."""

import platform
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

import sksoft
from sksoft import _versions
from sksoft.kernels import capability as capability_module
from sksoft.kernels.capability import Capability


def test_shows_versions_threads_backend_and_cache(capsys):
    with sksoft.config_context(backend="numpy", n_threads=3):
        sksoft.show_versions()
    lines = capsys.readouterr().out.splitlines()
    for expected in (
        f"sksoft: {sksoft.__version__}",
        f"python: {platform.python_version()}",
        f"numpy: {np.__version__}",
        "threads: 3",
        "backend: numpy",
    ):
        assert expected in lines
    assert lines[-1].startswith("kernel cache: ")


def test_a_missing_package_is_said_to_be_missing(monkeypatch):
    def version(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(_versions, "version", version)
    assert _versions.versions()["xgboost"] == "not installed"


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (Capability(True, "a device, 80 GiB"), "cuda: usable: a device, 80 GiB"),
        (Capability(False, "no driver."), "cuda: not usable: no driver."),
    ],
)
def test_says_whether_a_device_is_usable_and_why_not(monkeypatch, capsys, found, line):
    monkeypatch.setattr(capability_module, "capability", lambda: found)
    monkeypatch.setattr(capability_module, "driver", lambda: "580.95.05, for CUDA 13.0")
    sksoft.show_versions()
    lines = capsys.readouterr().out.splitlines()
    assert line in lines
    assert "cuda driver: 580.95.05, for CUDA 13.0" in lines


def test_says_that_nothing_of_cuda_is_installed(monkeypatch, capsys):
    def version(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(capability_module, "version", version)
    monkeypatch.setattr(capability_module, "DRIVER_LIBRARY", "libno_such_driver.so")
    capability_module.capability.cache_clear()
    try:
        sksoft.show_versions()
    finally:
        capability_module.capability.cache_clear()
    lines = capsys.readouterr().out.splitlines()
    assert "cuda driver: none found" in lines
    assert any(line.startswith("cuda: not usable: numba-cuda is not installed: pip install") for line in lines)
