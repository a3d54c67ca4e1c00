"""Small linear systems, solved by a block whose threads share the rows below the diagonal."""

from functools import cache

from sksoft.kernels._cuda._api import cuda, device
from sksoft.kernels._cuda.elementary import sqrt


@cache
def solve_of(real):
    """``(work, matrix, size, vector) → bool``: solve in place; False where the matrix is not positive definite.

    `matrix` and `vector` are where they begin in `work`. The lower triangle is read, and overwritten by its factor.
    All threads of the block must come, after whoever wrote the system is waited for.
    """
    zero = real(0.0)

    @device
    def factorise(work, matrix, size):
        thread, n_threads = cuda.threadIdx.x, cuda.blockDim.x
        for j in range(size):
            for i in range(j + thread, size, n_threads):
                total = work[matrix + i * size + j]
                for k in range(j):
                    total -= work[matrix + i * size + k] * work[matrix + j * size + k]
                work[matrix + i * size + j] = total
            cuda.syncthreads()
            pivot = work[matrix + j * size + j]
            cuda.syncthreads()  # all have read it
            if not pivot > zero:
                return False
            pivot = sqrt(pivot)
            for i in range(j + thread, size, n_threads):
                if i == j:
                    work[matrix + j * size + j] = pivot
                else:
                    work[matrix + i * size + j] /= pivot
            cuda.syncthreads()
        return True

    @device
    def solve(work, matrix, size, vector):
        thread, n_threads = cuda.threadIdx.x, cuda.blockDim.x
        if not factorise(work, matrix, size):
            return False
        for j in range(size):
            if thread == 0:
                work[vector + j] /= work[matrix + j * size + j]
            cuda.syncthreads()
            for i in range(j + 1 + thread, size, n_threads):
                work[vector + i] -= work[matrix + i * size + j] * work[vector + j]
            cuda.syncthreads()
        for turn in range(size):
            j = size - 1 - turn
            if thread == 0:
                work[vector + j] /= work[matrix + j * size + j]
            cuda.syncthreads()
            for i in range(thread, j, n_threads):
                work[vector + i] -= work[matrix + j * size + i] * work[vector + j]
            cuda.syncthreads()
        return True

    return solve
