"""`import sksoft` is light, and a small softmax does not start a compiler."""

import json
import subprocess
import sys

import pytest

import sksoft

HEAVY = ("numpy", "numba", "sklearn", "scipy", "pandas", "matplotlib", "xgboost", "dask", "cupy")


def modules_after(code):
    """Top-level modules loaded by `code` in a fresh interpreter."""
    program = f"import sys, json\n{code}\nprint(json.dumps(sorted(name.partition('.')[0] for name in sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_import_loads_nothing_heavy():
    assert modules_after("import sksoft").isdisjoint(HEAVY)


def test_configuring_loads_nothing_heavy():
    assert modules_after("import sksoft; sksoft.set_config(backend='numba')").isdisjoint(HEAVY)


def test_auto_stays_on_numpy_for_small_arrays():
    loaded = modules_after("import sksoft; sksoft.softmax([[0.0, 1.0]]); sksoft.entmax([1.0, 2.0])")
    assert "numpy" in loaded
    assert "numba" not in loaded


def test_auto_takes_numba_for_large_arrays():
    assert "numba" in modules_after("import sksoft, numpy; sksoft.softmax(numpy.zeros((20_000, 10)))")


def test_every_public_name_is_found_and_listed():
    for name in sksoft.__all__:
        assert name in dir(sksoft)
    for name in ("softmax", "entmax", "show_versions", "config_context"):
        assert callable(getattr(sksoft, name))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'softmin'"):
        _ = sksoft.softmin
