"""Whether this machine can compute on a CUDA device: found out once, by compiling and running a kernel.

What may be missing, in the order in which it is looked for: numba-cuda and CuPy, a NumPy that numba-cuda can compile
beside, a driver, a driver that is new enough, a device, memory on it.
"""

import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np

EXTRAS = "pip install 'sksoft[cuda12]' or 'sksoft[cuda13]'"
# numba-cuda 0.30 compiles with names that NumPy 2.5 no longer has.
LAST_NUMPY = (2, 4)

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
    """Data on a device were computed on by the CPU, for the reason given; said once for each reason."""


@cache
def capability() -> Capability:
    """Compile and run one kernel, the first time; remembered."""
    unfit = _unfit_numpy()
    if unfit:
        return Capability(False, unfit)
    try:
        from sksoft.kernels._cuda import probe
    except ImportError as error:
        return Capability(False, f"{error}: {EXTRAS}.", missing_package=True)
    try:
        return Capability(True, probe.run())
    except ImportError as error:
        return Capability(False, str(error), missing_package=True)
    except Exception as error:  # whatever a driver, a compiler or a device says is the reason
        return Capability(False, f"{type(error).__name__}: {' '.join(str(error).split())}")


def warn_once(reason: str) -> None:
    """Say once why the CPU computes on data of a device."""
    if reason not in _warned:
        _warned.add(reason)
        warnings.warn(
            f"The data are on a CUDA device, and the CPU computes: {reason}", CudaFallbackWarning, stacklevel=3
        )


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the device's memory is full."""
    if type(error).__name__ == "OutOfMemoryError":
        return True
    return "OUT_OF_MEMORY" in str(error).upper().replace(" ", "_")


def _unfit_numpy() -> str | None:
    """Why numba-cuda 0.30 cannot compile beside this NumPy, or None."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        numba_cuda = version("numba-cuda")
    except PackageNotFoundError:
        return None
    numpy_version = tuple(int(part) for part in np.__version__.split(".")[:2])
    if numba_cuda.startswith("0.30.") and numpy_version > LAST_NUMPY:
        return f"numba-cuda {numba_cuda} does not work beside NumPy {np.__version__}: pip install 'numpy<2.5'."
    return None
