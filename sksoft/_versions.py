"""What a bug report needs to say about the machine it comes from."""

import platform
from importlib.metadata import PackageNotFoundError, version

from sksoft._config import effective_n_threads, get_config

REQUIRED = ("numpy", "scipy", "scikit-learn", "pandas", "numba")
OPTIONAL = ("matplotlib", "pyarrow", "rich", "polars", "xgboost", "dask", "numba-cuda", "cupy-cuda12x", "cupy-cuda13x")


def versions() -> dict[str, str]:
    """Versions and settings by name, in the order in which they are shown."""
    from sksoft import __version__
    from sksoft.kernels._numba._jit import cache_folder
    from sksoft.kernels.capability import capability, driver

    found = {"sksoft": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for package in REQUIRED + OPTIONAL:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    found["threads"] = str(effective_n_threads())
    found["backend"] = get_config()["backend"]
    found["cuda driver"] = driver() or "none found"
    found["cuda"] = f"{'usable' if capability().usable else 'not usable'}: {capability().reason}"
    found["kernel cache"] = cache_folder() or "none writable: kernels compile once per process"
    return found


def show_versions() -> None:
    """Print what a bug report needs to say about the machine.

    The versions of sksoft, Python and the packages it uses, the threads, the backend, whether a CUDA device is usable
    and why not, and the kernel cache. Where numba-cuda, CuPy and a driver are installed, one kernel is compiled.

    Examples
    --------
    >>> import sksoft
    >>> sksoft.show_versions()  # doctest: +ELLIPSIS
    sksoft: ...
    """
    print("\n".join(f"{name}: {value}" for name, value in versions().items()))
