"""Whether this machine can compute on a CUDA device: found out once, by compiling and running a kernel.

What may be missing, in the order in which it is looked for: numba-cuda, a NumPy that it can compile beside, CuPy, a
driver, a driver that is new enough, a device, memory on it.
"""

import ctypes
import os
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from sksoft._warnings import warn

# Why the CPU computes what a device had no room for.
FULL = "the device is out of memory."
EXTRAS = "pip install 'sksoft[cuda12]' or 'sksoft[cuda13]'"
# numba-cuda 0.30 compiles with names that NumPy 2.5 no longer has.
LAST_NUMPY = (2, 4)
DRIVERS = "CUDA 12 needs driver 525 or newer, CUDA 13 driver 580"
DRIVER_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
# Where the driver of Linux says which one it is.
KERNEL_MODULE = Path("/proc/driver/nvidia/version")

_warned: set[str] = set()


@dataclass(frozen=True)
class Capability:
    """What was found.

    Attributes
    ----------
    usable : bool
    reason : str
        Why not, or the device's name, compute capability, driver and free memory.
    missing_package : bool
        Whether an installation would help.
    """

    usable: bool
    reason: str
    missing_package: bool = False

    def require(self, what: str) -> None:
        """Raise unless a device is usable."""
        if not self.usable:
            error = ImportError if self.missing_package else RuntimeError
            raise error(f"{what} cannot run on backend='cuda': {self.reason}")


class CudaFallbackWarning(UserWarning):
    """Data on a device were computed on by the CPU, for the reason given; said once for each reason.

    Examples
    --------
    >>> import sksoft, warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", sksoft.CudaFallbackWarning)  # rather fail than wait for the CPU
    """


@cache
def capability() -> Capability:
    """Compile and run one kernel, the first time; remembered."""
    unfit = _unfit_packages()
    if unfit:
        return unfit
    try:
        from sksoft.kernels._cuda import _api, probe

        _api.xp.ndarray  # noqa: B018, imports CuPy
        if not _api.SIMULATED and driver() is None:
            return Capability(False, f"no NVIDIA driver was found ({DRIVER_LIBRARY}); {DRIVERS}.")
        return Capability(True, probe.run())
    except ImportError as error:
        said = _one_line(error)
        return Capability(False, said if EXTRAS in said else f"{said}: {EXTRAS}.", missing_package=True)
    except Exception as error:  # whatever a driver, a compiler or a device says is the reason
        hint = f" ({DRIVERS})" if re.search("driver|ptx", str(error), re.IGNORECASE) else ""
        return Capability(False, f"{type(error).__name__}: {_one_line(error)}{hint}")


if hasattr(os, "register_at_fork"):
    # What was found holds for the process that found it: a driver does not serve the forks of a process it serves.
    os.register_at_fork(after_in_child=capability.cache_clear)


def driver() -> str | None:
    """The driver's own version, where it tells, and that of the newest CUDA it knows; None without a driver.

    Asks the driver without starting it, so that no device is touched.
    """
    try:
        library = ctypes.CDLL(DRIVER_LIBRARY)
        number = ctypes.c_int()
        failed = library.cuDriverGetVersion(ctypes.byref(number))
    except (OSError, AttributeError):
        return None
    newest = "of unknown CUDA" if failed else f"for CUDA {number.value // 1000}.{number.value % 1000 // 10}"
    try:
        own = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", KERNEL_MODULE.read_text())
    except OSError:
        own = None
    return f"{own[1]}, {newest}" if own else newest


def warn_once(reason: str) -> None:
    """Say once why the CPU computes on data of a device."""
    if reason not in _warned:
        _warned.add(reason)
        warn(f"The data are on a CUDA device, and the CPU computes: {reason}", CudaFallbackWarning)


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the device's memory is full; CuPy's sorts and cuBLAS have words of their own."""
    if type(error).__name__ == "OutOfMemoryError":
        return True
    said = str(error).upper().replace(" ", "_")
    return any(words in said for words in ("OUT_OF_MEMORY", "STD::BAD_ALLOC", "CUBLAS_STATUS_ALLOC_FAILED"))


def _unfit_packages() -> Capability | None:
    """What is known without importing anything: no numba-cuda, or one that cannot compile beside this NumPy."""
    try:
        numba_cuda = version("numba-cuda")
    except PackageNotFoundError:  # numba itself has a numba.cuda, which is not maintained
        return Capability(False, f"numba-cuda is not installed: {EXTRAS}.", missing_package=True)
    numpy_version = tuple(int(part) for part in np.__version__.split(".")[:2])
    if numba_cuda.startswith("0.30.") and numpy_version > LAST_NUMPY:
        return Capability(
            False, f"numba-cuda {numba_cuda} does not work beside NumPy {np.__version__}: pip install 'numpy<2.5'."
        )
    return None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
