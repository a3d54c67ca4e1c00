"""CUDA implementations of the kernel contracts; each module bears the name of the contracts it implements.

``_api`` is the only module that imports numba-cuda or CuPy. ``compiled`` declares device functions, ``warps`` has the
sums and maxima of threads that work together, ``layout`` has arrays as kernels read and write them.
"""
