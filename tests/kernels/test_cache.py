"""The disk cache of compiled kernels: keyed by all sources, and not needed.

Each test runs a copy of the package in fresh interpreters, so that nothing here can touch the real cache.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sksoft

CALL = """
import numpy as np, sksoft
from sksoft.kernels._numba import _jit
with sksoft.config_context(backend="numba"):
    print(sksoft.kernels.rowwise.entropy_rows(np.full((1, 4), 0.25))[0])
print(_jit.cache_folder())
"""


@pytest.fixture
def copied(tmp_path):
    """A copy of the package without compiled files."""
    source = Path(sksoft.__file__).parent
    shutil.copytree(source, tmp_path / "sksoft", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(folder, **environment):
    """Entropy of four equal probabilities, and the cache folder, according to the package in `folder`."""
    inherited = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    environment = {**inherited, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    code = "import sksoft.kernels.rowwise\n" + CALL
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=folder)
    assert result.returncode == 0, result.stderr
    value, cache = result.stdout.split()
    return float(value), cache


def compiled_files(folder):
    return set(Path(folder).rglob("*.nbc"))


def test_an_edited_helper_in_another_file_is_seen(copied):
    before, first_cache = run(copied)
    assert before == pytest.approx(1.3862943611198906, rel=1e-15)
    assert compiled_files(first_cache)
    helper = copied / "sksoft" / "kernels" / "_numba" / "exp.py"
    text = helper.read_text(encoding="utf-8")
    edited = text.replace("y = n * LN2_HIGH", "y = 2.0 * n * LN2_HIGH")
    assert edited != text
    helper.write_text(edited, encoding="utf-8")
    after, second_cache = run(copied)
    assert after == pytest.approx(2 * before, rel=1e-6)
    assert second_cache != first_cache


def test_a_second_process_compiles_nothing(copied):
    _, cache = run(copied)
    stamps = {path: path.stat().st_mtime_ns for path in compiled_files(cache)}
    assert run(copied)[1] == cache
    assert {path: path.stat().st_mtime_ns for path in compiled_files(cache)} == stamps


def test_works_where_no_folder_can_be_written(copied):
    """Files stand where the cache folders would be, which stops any user, root included."""
    (copied / "sksoft" / "kernels" / "_numba" / "__pycache__").write_text("in the way")
    blocked = copied / "blocked"
    blocked.write_text("in the way")
    value, cache = run(copied, HOME=str(blocked), USERPROFILE=str(blocked), XDG_CACHE_HOME=str(blocked))
    assert value == pytest.approx(1.3862943611198906, rel=1e-15)
    assert cache == "None"
    assert not compiled_files(copied)


def test_a_folder_given_by_the_environment_is_used(copied, tmp_path):
    _, cache = run(copied, NUMBA_CACHE_DIR=str(tmp_path / "mine"))
    assert Path(cache).parent == tmp_path / "mine"
