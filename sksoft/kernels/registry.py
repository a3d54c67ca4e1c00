"""One name, one contract, many backends.

``@kernel`` wraps a NumPy reference. The reference *is* the contract: its docstring states shapes, dtypes and edge
cases, and every other backend is tested against it over :data:`REGISTRY`. A backend adds itself in the module of the
same name under ``sksoft.kernels._numba``::

    # sksoft/kernels/rowwise.py                       # sksoft/kernels/_numba/rowwise.py
    @kernel()                                         @rowwise.softmax_rows.implement("numba")
    def softmax_rows(scores, ...): ...                def softmax_rows(scores, ...): ...

and is imported only when a call first resolves to it.

Resolution of a call: the backend the user forced, where one that cannot compute is an error and never a silent
fallback; under ``auto``, numba from :attr:`Kernel.auto_size` elements on, NumPy below.
"""

from collections.abc import Callable
from functools import update_wrapper
from importlib import import_module

from sksoft._config import config_context, get_config

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

    def implement(self, backend: str) -> Callable:
        """Decorate the implementation of this contract by `backend`."""

        def register(implementation):
            self._implementations[backend] = implementation
            return implementation

        return register

    def on(self, backend: str) -> Callable:
        """The implementation by `backend`, imported on first use; ValueError where there is none."""
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
        backend = get_config()["backend"]
        if backend == "auto":
            backend = "numba" if self.size(first, *args) >= self.auto_size else "numpy"
        return self.on(backend)(first, *args, **kwargs)


def kernel(auto_size: int = AUTO_SIZE, size: Callable = elements) -> Callable[[Callable], Kernel]:
    """Decorate a NumPy reference: it becomes a :class:`Kernel` and enters the registry."""

    def register(reference):
        REGISTRY[reference.__name__] = Kernel(reference, auto_size, size)
        return REGISTRY[reference.__name__]

    return register


def backend_for(size: int, auto_size: int = AUTO_SIZE) -> Callable:
    """Decide the backend once for many calls on parts of a whole of `size` elements.

    Returns
    -------
    context : callable
        Its result, entered around each call and in any thread, holds the decision.
    """
    backend = get_config()["backend"]
    if backend == "auto":
        backend = "numba" if size >= auto_size else "numpy"
    return lambda: config_context(backend=backend)
