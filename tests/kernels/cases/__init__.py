"""Inputs on which every implementation of a kernel must agree with its NumPy reference.

One module per kernel module, of the same name, holding ``CASES: dict[str, list[Case]]`` by kernel name.
``test_contracts.py`` runs them over backends, dtypes, memory layouts and thread counts; a kernel without cases fails.
"""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Case:
    """One call of a kernel.

    Attributes
    ----------
    name : str
    build : callable(dtype) -> (args, kwargs)
        Fresh arguments, the same values at every call; floating arrays that follow the kernel's dtype have `dtype`.
    outputs : tuple of str
        Keyword arguments that the kernel writes, given by `build`; compared besides the returned value.
    may_alias : dict of str to int
        Output keyword -> position of the argument that may be the same array.
    rtol, atol : dict of dtype name to float
        Against the reference on the same input.
    device_atol : dict of dtype name to float, optional
        In the place of `atol` on a device, whose float32 kernels compute in float32: differences of numbers that are
        nearly equal are known to the rounding of these.
    own_outputs : tuple of str
        Outputs whose values are each implementation's own, say a number of iterations: compared with other calls of the
        same one only.
    """

    name: str
    build: Callable
    outputs: tuple[str, ...] = ()
    may_alias: dict[str, int] = field(default_factory=dict)
    rtol: dict[str, float] = field(default_factory=lambda: {"float64": 1e-13, "float32": 2e-6})
    atol: dict[str, float] = field(default_factory=lambda: {"float64": 1e-300, "float32": 1e-37})
    own_outputs: tuple[str, ...] = ()
    device_atol: dict[str, float] | None = None

    def __repr__(self):
        return self.name
