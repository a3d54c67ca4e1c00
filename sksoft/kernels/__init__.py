"""Array kernels: each module states contracts and NumPy references; ``_numba`` and ``_cuda`` hold implementations."""
