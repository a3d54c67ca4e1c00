"""One kernel, compiled and run, one product of matrices, and what the device says of itself."""

from sksoft.kernels._cuda import _api
from sksoft.kernels._cuda._api import cuda, jit, xp
from sksoft.kernels._cuda.compiled import compiled

N = 64


@compiled("real[::1], real, real[::1]")
def doubled(real):
    @jit
    def doubled(x, factor, out):
        for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
            out[i] = factor * x[i]

    return doubled


def run() -> str:
    """Describe the device after it has computed something; an exception says why it has not."""
    x = xp.arange(N, dtype="float32")
    out = xp.zeros(N, dtype="float32")
    doubled.launch(x.dtype, (1, _api.BLOCK), (x, 2.0, out))
    if float(out.sum()) != N * (N - 1):
        raise RuntimeError("a kernel ran and computed something else than it should.")
    rows = x.reshape(8, 8)  # by cuBLAS, which CuPy's wheels are without
    if float((rows @ rows).trace()) != float((rows * rows.T).sum()):
        raise RuntimeError("a product of matrices is something else than it should be.")
    if _api.SIMULATED:
        return "simulator"
    device = cuda.get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else device.name
    free, total = xp.cuda.runtime.memGetInfo()
    driver = xp.cuda.runtime.driverGetVersion()
    return (
        f"{name}, compute capability {'.'.join(map(str, device.compute_capability))}, driver for CUDA "
        f"{driver // 1000}.{driver % 1000 // 10}, {free >> 20} of {total >> 20} MiB free"
    )
