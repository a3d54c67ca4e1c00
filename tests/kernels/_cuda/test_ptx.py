"""Every kernel compiles for the devices we promise, and to what it should: no GPU is needed for that.

A float32 kernel must do no arithmetic in float64, a fraction as fast on most devices; kernels that say they read 16
bytes at a time must; and none may spill what it computes with to memory.
"""

import importlib
import pkgutil
import re

import numba
import numpy as np
import pytest

import sksoft.kernels._cuda

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed: pip install -e '.[test,cuda-test]'")
nvjitlink = pytest.importorskip("cuda.bindings.nvjitlink", reason="cuda-bindings is not installed")
dispatcher = importlib.import_module("numba.cuda.dispatcher")
cuda = importlib.import_module("numba.cuda")
COMPILED = importlib.import_module("sksoft.kernels._cuda.compiled").COMPILED
for module in pkgutil.iter_modules(sksoft.kernels._cuda.__path__):
    importlib.import_module(f"sksoft.kernels._cuda.{module.name}")

DOUBLE_ARITHMETIC = re.compile(r"\b(add|sub|mul|fma|div|rcp|sqrt|rsqrt|min|max|abs|neg|setp)\b\S*\.f64\b")
WIDE_LOAD = re.compile(r"\bld\.global\S*\.v[24]\.")

VARIANTS = [
    pytest.param(name, variant, real, id="-".join([name, *map(str, variant), real.__name__]))
    for name, kernel in sorted(COMPILED.items())
    for variant in kernel.variants
    for real in (np.float32, np.float64)
]
# Registers of a multiprocessor, which are to do for all threads of a block; a thread's are given out by eights.
REGISTERS, GRANULE = 65536, 8


@pytest.fixture(autouse=True)
def no_device(monkeypatch):
    """Device functions ask the device at hand what they are compiled for; here there need not be one."""

    class Hopper:
        compute_capability = (9, 0)

    monkeypatch.setattr(dispatcher, "get_current_device", lambda: Hopper)


def ptx_of(name, variant, real, capability=(9, 0)):
    kernel = COMPILED[name]
    names = {"real": getattr(numba, real.__name__), "boolean": numba.boolean}
    types = [eval(kind, names | {kind: getattr(numba, kind) for kind in INTEGERS}) for kind in kernel.signature]
    compiled = kernel.of(real, *variant)
    bounds = compiled.targetoptions["launch_bounds"]
    return cuda.compile_ptx(compiled.py_func, tuple(types), cc=capability, launch_bounds=bounds)[0]


INTEGERS = ("int8", "int32", "int64", "uint8", "uint32", "uint64", "float32", "float64")


def resources(ptx, architecture="sm_90"):
    """What NVIDIA's linker says of the machine code: registers, bytes of stack, bytes of local memory."""
    linker = nvjitlink.create(2, [f"-arch={architecture}", "-verbose"])
    try:
        nvjitlink.add_data(linker, nvjitlink.InputType.PTX, ptx.encode(), len(ptx), "kernel")
        nvjitlink.complete(linker)
        log = bytearray(nvjitlink.get_info_log_size(linker))
        nvjitlink.get_info_log(linker, log)
    finally:
        nvjitlink.destroy(linker)
    found = re.findall(r"used (\d+) registers.*?(\d+) stack.*?(\d+) bytes lmem", log.decode())
    assert found, log.decode()
    return tuple(max(int(counts[i]) for counts in found) for i in range(3))


@pytest.mark.parametrize(("name", "variant", "real"), VARIANTS)
def test_compiles_to_what_it_should(name, variant, real):
    kernel, ptx = COMPILED[name], ptx_of(name, variant, real)
    assert not kernel.of(real, *variant).targetoptions["lto"]  # by which it would be compiled to something else
    if real is np.float32:
        assert [line for line in ptx.splitlines() if DOUBLE_ARITHMETIC.search(line)] == []
    if kernel.wide(*variant):
        assert WIDE_LOAD.search(ptx)
    registers, stack, local = resources(ptx)
    assert (stack, local) == (0, 0)
    assert -(-registers // GRANULE) * GRANULE * kernel.most_threads <= REGISTERS


@pytest.mark.parametrize("name", sorted(COMPILED))
def test_compiles_for_the_oldest_devices_that_are_promised(name):
    """The compiler is more generous with registers there; not bounded, a block of all threads could not be started."""
    kernel = COMPILED[name]
    ptx = ptx_of(name, kernel.variants[-1], np.float32, capability=(8, 0))
    assert ".target sm_80" in ptx
    registers, stack, local = resources(ptx, "sm_80")
    assert (stack, local) == (0, 0)
    assert -(-registers // GRANULE) * GRANULE * kernel.most_threads <= REGISTERS


def test_the_checks_can_fail():
    """A float32 kernel with a constant of float64, and one with an array of its own that it indexes at run time."""

    def careless(x):
        x[0] = x[0] * 0.1

    def spilling(x):
        own = cuda.local.array(64, numba.float32)
        for i in range(64):
            own[i] = x[i]
        x[0] = own[int(x[1])] + own[int(x[2])]

    one = (numba.float32[::1],)
    assert DOUBLE_ARITHMETIC.search(cuda.compile_ptx(careless, one, cc=(9, 0))[0])
    assert resources(cuda.compile_ptx(spilling, one, cc=(9, 0))[0])[1] > 0


@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_products_whose_rests_are_kept_cannot_be_fused_with_the_sums_they_go_to(real):
    """ptxas may make one instruction of ``mul`` and ``add``, without what rounding takes; never of ``mul.rn``."""
    products = importlib.import_module("sksoft.kernels._cuda.products")
    product_of = importlib.import_module("sksoft.kernels._cuda.compensated").product_of(np.float32)

    def summed(x):
        x[0], x[1] = products.add_product(x[0], x[1], x[2], x[3])

    def multiplied(x):
        x[0], x[1] = product_of(x[2], x[3])

    for kernel in (summed, multiplied) if real is np.float32 else (summed,):
        ptx = cuda.compile_ptx(kernel, (getattr(numba, real.__name__)[::1],), cc=(9, 0))[0]
        assert re.findall(r"\bmul\S*\.f\d\d", ptx) == [f"mul.rn.f{8 * real().itemsize}"]
