"""Every kernel of the registry × every backend × float32 and float64 keeps its contract.

The inputs are in ``cases/<kernel module>.py``; the oracle is the kernel's NumPy reference, which in turn is tested
against independent sources in the test of its own module. The backend ``cuda`` is there on a machine with a device;
and, by itself and for inputs of few elements, where ``NUMBA_ENABLE_CUDASIM=1`` (``_cuda/test_simulator.py``).
"""

import importlib
import os
import pkgutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import sksoft.kernels
from sksoft import config_context
from sksoft.kernels.capability import capability
from sksoft.kernels.registry import REGISTRY

MODULES = [m.name for m in pkgutil.iter_modules(sksoft.kernels.__path__) if not m.name.startswith("_")]
for module in MODULES:
    importlib.import_module(f"sksoft.kernels.{module}")

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
# The simulator starts an OS thread for each of a kernel's: elements of a case, and of one that is run several times.
SIMULATED_SIZE, SIMULATED_OFTEN, SIMULATED_IN_BOTH = 700, 120, 4

# These have machine code of their own for rows that are neighbours in memory, which rounds in another order.
ROUNDS_BY_LAYOUT = {"cross_entropy_rows", "softmax_jvp_rows"}

LAYOUTS = {
    "C": lambda a: np.array(a, order="C"),
    "F": lambda a: np.array(a, order="F"),
    "strided": lambda a: (
        np.repeat(np.repeat(a, 2, axis=0), 3, axis=-1)[::2, ..., ::3] if a.ndim > 1 else np.repeat(a, 2)[::2]
    ),
    "reversed": lambda a: np.array(a[::-1], order="C")[::-1],
}


def cases_of(name):
    module = REGISTRY[name].__module__.rpartition(".")[2]
    if not (Path(__file__).parent / "cases" / f"{module}.py").is_file():
        return []
    return importlib.import_module(f"cases.{module}").CASES.get(name, [])


def backends_of(name):
    if SIMULATED:
        return ["cuda"]
    module = REGISTRY[name].__module__.rpartition(".")[2]
    found = ["numpy"]
    if (Path(sksoft.kernels.__file__).parent / "_numba" / f"{module}.py").is_file():
        found.append("numba")
    return found + (["cuda"] if capability().usable else [])


@cache
def size_of(case):
    """Elements of all arrays that a call gets."""
    args, kwargs = case.build("float64")
    return sum(value.size for value in [*args, *kwargs.values()] if isinstance(value, np.ndarray))


def inputs_of(name):
    """Cases and dtypes: all in both; in the simulator the small ones, of many of them each in one in turn."""
    both = ("float64", "float32")
    if not SIMULATED:
        return [(case, dtype) for case in cases_of(name) for dtype in both]
    small = [case for case in cases_of(name) if size_of(case) <= SIMULATED_SIZE]
    return [
        (case, dtype)
        for number, case in enumerate(small)
        for dtype in (both if number < SIMULATED_IN_BOTH else both[number % 2 :][:1])
    ]


GRID = [
    pytest.param(
        name,
        case,
        backend,
        dtype,
        id=f"{name}-{case.name}-{backend}-{dtype}",
        marks=[pytest.mark.gpu] if backend == "cuda" and not SIMULATED else [],
    )
    for name in sorted(REGISTRY)
    for backend in backends_of(name)
    for case, dtype in inputs_of(name)
]
# What is run several times: in the simulator the first case of each kernel that is small enough.
SMALL = {
    name: next((case for case in cases_of(name) if 0 < size_of(case) <= SIMULATED_OFTEN), None)
    for name in (REGISTRY if SIMULATED else ())
}
OFTEN = [p for p in GRID if not SIMULATED or p.values[1] is SMALL[p.values[0]]]
# Backends of the host have threads; a call on a device is repeated as it was.
THREADED = [] if SIMULATED else GRID


def call(implementation, case, args, kwargs, *, own=True):
    """The returned value and the written arrays, flat; without `own` only those that all implementations agree on."""
    returned = implementation(*args, **kwargs)
    returned = returned if isinstance(returned, tuple) else (returned,)
    outputs = case.outputs + (case.own_outputs if own else ())
    return [np.asarray(part) for part in returned] + [kwargs[key] for key in outputs]


def laid_out(case, args, kwargs, layout):
    """Inputs in `layout` and read-only, outputs in `layout`; other arguments as they are."""
    convert = LAYOUTS[layout]

    def convert_input(value):
        if not isinstance(value, np.ndarray):
            return value
        value = convert(value)
        value.flags.writeable = False
        return value

    args = tuple(convert_input(value) for value in args)
    outputs = case.outputs + case.own_outputs
    return args, {key: convert(value) if key in outputs else convert_input(value) for key, value in kwargs.items()}


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_kernel_has_cases(name):
    small = "" if not SIMULATED else f" of at most {SIMULATED_SIZE} elements"
    assert name in {p.values[0] for p in GRID}, (
        f"add cases{small} for {name} to tests/kernels/cases/{REGISTRY[name].__module__.rpartition('.')[2]}.py"
    )


@pytest.mark.parametrize(("name", "case", "backend", "dtype"), GRID)
def test_agrees_with_the_reference(name, case, backend, dtype):
    expected = call(REGISTRY[name].reference, case, *case.build(dtype), own=False)
    got = call(REGISTRY[name].on(backend), case, *case.build(dtype), own=False)
    assert len(got) == len(expected)
    for ours, theirs in zip(got, expected):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        atol = case.device_atol if backend == "cuda" and case.device_atol is not None else case.atol
        np.testing.assert_allclose(ours, theirs, rtol=case.rtol[dtype], atol=atol[dtype])


@pytest.mark.parametrize(("name", "case", "backend", "dtype"), OFTEN)
def test_memory_layout_and_read_only_inputs_change_nothing(name, case, backend, dtype):
    implementation = REGISTRY[name].on(backend)
    # The references sum in another order where the memory does; compiled kernels must not.
    exact = backend != "numpy" and name not in ROUNDS_BY_LAYOUT
    expected = call(implementation, case, *case.build(dtype), own=exact)
    got = [
        result
        for layout in LAYOUTS
        for result in call(implementation, case, *laid_out(case, *case.build(dtype), layout), own=exact)
    ]
    expected *= len(LAYOUTS)
    for ours, theirs in zip(got, expected):
        tolerance = 0.0 if exact else case.rtol[dtype]
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=0.0 if tolerance == 0.0 else case.atol[dtype])


@pytest.mark.parametrize(
    ("name", "case", "backend", "dtype"), [p for p in OFTEN if p.values[1].may_alias or "out" in p.values[1].outputs]
)
def test_an_output_may_be_the_input_where_the_contract_says_so(name, case, backend, dtype):
    implementation = REGISTRY[name].on(backend)
    expected = call(implementation, case, *case.build(dtype))
    for key, position in case.may_alias.items():
        args, kwargs = case.build(dtype)
        kwargs[key] = args[position]
        for ours, theirs in zip(call(implementation, case, args, kwargs), expected):
            np.testing.assert_array_equal(ours, theirs)
    if "out" in case.outputs:
        args, kwargs = case.build(dtype)
        assert implementation(*args, **kwargs) is kwargs["out"]


@pytest.mark.parametrize(("name", "case", "backend", "dtype"), THREADED)
def test_any_number_of_threads_gives_the_same_bits(name, case, backend, dtype):
    implementation = REGISTRY[name].on(backend)
    results = []
    for n_threads in (1, 2, 7):
        with config_context(n_threads=n_threads):
            results.append(call(implementation, case, *case.build(dtype)))
    for other in results[1:]:
        for ours, theirs in zip(other, results[0]):
            np.testing.assert_array_equal(ours, theirs)
