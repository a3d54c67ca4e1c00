"""Configuration: per process, per thread, and what it refuses."""

import threading

import pytest

import sksoft
from sksoft._config import effective_n_threads
from sksoft.kernels import registry
from sksoft.kernels.capability import Capability


@pytest.fixture
def restored():
    """The configuration of the process, put back afterwards."""
    from sksoft import _config

    before = dict(_config._process_wide)
    yield
    _config._process_wide.clear()
    _config._process_wide.update(before)


def test_a_context_holds_inside_only_and_nests():
    before = sksoft.get_config()
    with sksoft.config_context(backend="numpy"), sksoft.config_context(n_threads=3):
        assert sksoft.get_config() == {"backend": "numpy", "n_threads": 3}
    assert sksoft.get_config() == before


def test_a_context_ends_with_an_exception_too():
    before = sksoft.get_config()
    with pytest.raises(KeyError), sksoft.config_context(backend="numba"):
        raise KeyError
    assert sksoft.get_config() == before


def test_a_context_is_of_its_thread_and_the_process_setting_of_all(restored):
    sksoft.set_config(n_threads=5)
    seen = []
    with sksoft.config_context(n_threads=2):
        worker = threading.Thread(target=lambda: seen.append(sksoft.get_config()["n_threads"]))
        worker.start()
        worker.join()
    assert seen == [5]


def test_workers_use_one_thread_unless_told():
    seen = []
    worker = threading.Thread(target=lambda: seen.append(effective_n_threads()))
    worker.start()
    worker.join()
    assert seen == [1]
    assert effective_n_threads() >= 1


@pytest.mark.parametrize("n_threads", [0, -1, 1.0, True, "2"])
def test_a_bad_number_of_threads_is_named(n_threads):
    with pytest.raises(ValueError, match=r"'n_threads' parameter must be an int >= 1 or None\. Got"):
        sksoft.set_config(n_threads=n_threads)


def test_a_bad_backend_is_named():
    with (
        pytest.raises(ValueError, match=r"'backend' parameter must be one of .*'numba'.* Got 'torch'"),
        sksoft.config_context(backend="torch"),
    ):
        pass


def test_a_backend_that_cannot_compute_is_an_error_and_no_silent_fallback(monkeypatch):
    monkeypatch.setattr(registry, "capability", lambda: Capability(False, "no driver."))
    with (
        sksoft.config_context(backend="cuda"),
        pytest.raises(RuntimeError, match=r"'softmax_rows' cannot run on backend='cuda': no driver"),
    ):
        sksoft.softmax([0.0, 1.0])
