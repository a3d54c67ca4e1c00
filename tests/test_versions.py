"""`show_versions` names everything a bug report needs."""

import platform
from importlib.metadata import PackageNotFoundError

import numpy as np

import sksoft
from sksoft import _versions


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
