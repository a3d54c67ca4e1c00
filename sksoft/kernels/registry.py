"""One name, one contract, many backends.

``@kernel`` wraps a NumPy reference. The reference *is* the contract: its docstring states shapes, dtypes and edge
cases, and every other backend is tested against it over :data:`REGISTRY`. A backend adds itself in the module of the
same name under ``sksoft.kernels._numba``::

    # sksoft/kernels/rowwise.py                       # sksoft/kernels/_numba/rowwise.py
    @kernel()                                         @rowwise.softmax_rows.implement("numba")
    def softmax_rows(scores, ...): ...                def softmax_rows(scores, ...): ...

and is imported only when a call first resolves to it.

Resolution of a call: where its first array lives, for data on a CUDA device are computed on there; then the backend
the user forced, where one that cannot compute is an error and never a silent fallback; under ``auto``, numba from
:attr:`Kernel.auto_size` elements on, NumPy below. Arrays of the host are moved to a device only when the user forces
``cuda``. Where the device cannot compute on data that are there, ``auto`` says so once and the CPU computes.
"""

from collections.abc import Callable
from functools import update_wrapper, wraps
from importlib import import_module

import numpy as np

from sksoft._config import config_context, get_config
from sksoft.kernels import placement
from sksoft.kernels.capability import FULL, capability, out_of_memory, warn_once
from sksoft.kernels.moves import call_elsewhere

# Elements from which compiled code repays its compilation, measured on a row softmax: below, NumPy takes under 2 ms.
AUTO_SIZE = 1 << 17

REGISTRY: dict[str, "Kernel"] = {}


def elements(first, *_) -> int:
    """The size of a call whose cost grows with its first argument."""
    return first.size


class Kernel:
    """A contract with its implementations; call it like the reference.

    Attributes
    ----------
    reference : callable
        The NumPy implementation, oracle of all others.
    auto_size : int
        Size of a call from which ``backend='auto'`` leaves NumPy.
    size : callable
        Size of a call from its positional arguments; without, the elements of the first.
    """

    __name__: str

    def __init__(self, reference: Callable, auto_size: int, size: Callable = elements):
        update_wrapper(self, reference)
        self.reference = reference
        self.auto_size = auto_size
        self.size = size
        self._implementations: dict[str, Callable] = {"numpy": reference}
        self._writes: tuple[str, ...] | None = None  # what a device's implementation says it writes

    def implement(self, backend: str, writes: tuple[str, ...] = ()) -> Callable:
        """Decorate the implementation of this contract by `backend`; on a device, `writes` are arguments it writes."""

        def register(implementation):
            self._implementations[backend] = implementation
            if backend == "cuda":
                self._implementations[backend], self._writes = _moving(implementation, writes), writes
            return implementation

        return register

    def on(self, backend: str) -> Callable:
        """The implementation by `backend`, imported on first use; an error where there is none, or no device."""
        if backend == "cuda":
            capability().require(f"The kernel {self.__name__!r}")
        if backend not in self._implementations:
            package, _, module = self.reference.__module__.rpartition(".")
            try:
                import_module(f"{package}._{backend}.{module}")
            except ModuleNotFoundError as error:
                raise ValueError(f"The kernel {self.__name__!r} cannot run on backend={backend!r}: {error}.") from error
        if backend not in self._implementations:
            raise ValueError(f"The kernel {self.__name__!r} has no implementation for backend={backend!r}.")
        return self._implementations[backend]

    def __call__(self, first, *args, **kwargs):
        if placement.on_device(first):
            return self._beside_data(first, *args, **kwargs)
        backend = get_config()["backend"]
        if backend == "auto":
            backend = "numba" if self.size(first, *args) >= self.auto_size else "numpy"
        return self.on(backend)(first, *args, **kwargs)

    def _beside_data(self, first, *args, **kwargs):
        """The call on the device that has its data; on the CPU, with a warning, where that is not to be."""
        backend = check_device_backend()
        found = capability()
        if not found.usable and backend == "auto":
            warn_once(found.reason)
            return self._by_cpu(first, *args, **kwargs)
        try:
            return self.on("cuda")(first, *args, **kwargs)
        except Exception as error:
            if backend != "auto" or not out_of_memory(error):
                raise
        # after the exception, whose traceback held what had been allocated
        warn_once(FULL)
        return self._by_cpu(first, *args, **kwargs)

    def _by_cpu(self, first, *args, **kwargs):
        """The call on copies of its data in the host's memory; what it writes is copied back."""
        return call_elsewhere(self, placement.to_host, first, args, kwargs, writes=self._writes)


def _moving(implementation: Callable, writes: tuple[str, ...]) -> Callable:
    """`implementation` on the device, for arrays of the host and of any library."""

    @wraps(implementation)
    def call(first, *args, **kwargs):
        return call_elsewhere(implementation, placement.to_device, first, args, kwargs, writes=writes)

    return call


def kernel(auto_size: int = AUTO_SIZE, size: Callable = elements) -> Callable[[Callable], Kernel]:
    """Decorate a NumPy reference: it becomes a :class:`Kernel` and enters the registry."""

    def register(reference):
        REGISTRY[reference.__name__] = Kernel(reference, auto_size, size)
        return REGISTRY[reference.__name__]

    return register


def check_device_backend() -> str:
    """The backend in force for data on a device: 'auto' or 'cuda'; ValueError for one that cannot read them."""
    backend = get_config()["backend"]
    if backend not in ("auto", "cuda"):
        raise ValueError(
            f"The data are on a CUDA device, which backend={backend!r} cannot read: move them, or use 'auto'."
        )
    return backend


def placed(value, what: str):
    """`value` where it is computed on, for what more than one kernel does.

    Parameters
    ----------
    value : array of the host or a device, or array-like
    what : str
        Who asks, for errors.

    Returns
    -------
    value
        An array that is on a device as one of the device library; where the device cannot compute, ``auto`` says so
        once and it comes to the host. Of the host, moved to the device where the user forces ``cuda``, else as it is.
    """
    if not placement.on_device(value):
        if get_config()["backend"] != "cuda":
            return value
        capability().require(what)
        return placement.to_device(np.asarray(value))
    backend, found = check_device_backend(), capability()
    if found.usable:
        return placement.to_device(value)
    if backend == "cuda":
        found.require(what)
    warn_once(found.reason)
    return placement.to_host(value)


def backend_for(size: int, auto_size: int = AUTO_SIZE, data=None) -> Callable:
    """Decide the backend once for many calls on parts of a whole of `size` elements.

    Parameters
    ----------
    size : int
    auto_size : int
    data : array, optional
        The whole: computed on where it lives.

    Returns
    -------
    context : callable
        Its result, entered around each call and in any thread, holds the decision.
    """
    if placement.on_device(data):
        backend = check_device_backend()
    else:
        backend = get_config()["backend"]
        if backend == "auto":
            backend = "numba" if size >= auto_size else "numpy"
    return lambda: config_context(backend=backend)
