"""Which backend computes, and on how many threads: the only global state of the package.

``set_config`` speaks for the whole process; ``config_context`` for the block it encloses, in its own thread.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from numbers import Integral

BACKENDS = ("auto", "numpy", "numba", "cuda")

_process_wide: dict = {"backend": "auto", "n_threads": None}
_per_thread = threading.local()


def get_config() -> dict:
    """Return the configuration in force here.

    Returns
    -------
    config : dict
        ``{'backend': str, 'n_threads': int or None}``, a copy.

    Examples
    --------
    >>> import sksoft
    >>> sksoft.get_config()
    {'backend': 'auto', 'n_threads': None}
    """
    return {**_process_wide, **getattr(_per_thread, "overrides", {})}


KEEP = "keep"


def set_config(*, backend: str = KEEP, n_threads: int | str | None = KEEP) -> None:
    """Set the configuration of the process; what is not given stays as it is.

    Parameters
    ----------
    backend : {'auto', 'numpy', 'numba', 'cuda'}, optional
        ``'auto'`` keeps small arrays on NumPy, so that nobody waits for a compiler on a toy. A backend that is named
        and cannot compute what is asked raises; there is no silent fallback.
    n_threads : int >= 1 or None, optional
        Threads that one call may use. None, as at the start, means every core available to the process when called
        from its main thread, and one inside workers (joblib, Dask, any other thread). Results are the same bits for
        any number.

    Raises
    ------
    ValueError
        If ``backend`` or ``n_threads`` is not one of the accepted values.
    """
    _process_wide.update(_checked(backend, n_threads))


@contextmanager
def config_context(*, backend: str = KEEP, n_threads: int | str | None = KEEP) -> Iterator[None]:
    """Use another configuration inside a ``with`` block, in this thread only.

    Parameters
    ----------
    backend, n_threads
        As in :func:`set_config`.

    Yields
    ------
    None

    Examples
    --------
    >>> import sksoft
    >>> with sksoft.config_context(backend="numpy"):
    ...     sksoft.get_config()["backend"]
    'numpy'
    """
    before = getattr(_per_thread, "overrides", {})
    _per_thread.overrides = {**before, **_checked(backend, n_threads)}
    try:
        yield
    finally:
        _per_thread.overrides = before


def effective_n_threads() -> int:
    """Threads the next call may use: as configured, else all cores from the main thread and one in a worker."""
    configured = get_config()["n_threads"]
    if configured is not None:
        return configured
    if parent_process() is not None or threading.current_thread() is not threading.main_thread():
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _checked(backend, n_threads) -> dict:
    changes: dict = {}
    if backend != KEEP:
        if backend not in BACKENDS:
            raise ValueError(f"The 'backend' parameter must be one of {BACKENDS}. Got {backend!r} instead.")
        changes["backend"] = backend
    if n_threads != KEEP:
        if n_threads is not None:
            if isinstance(n_threads, bool) or not isinstance(n_threads, Integral) or n_threads < 1:
                raise ValueError(f"The 'n_threads' parameter must be an int >= 1 or None. Got {n_threads!r} instead.")
            n_threads = int(n_threads)
        changes["n_threads"] = n_threads
    return changes
