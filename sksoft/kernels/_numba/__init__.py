"""numba implementations of the kernel contracts; each module bears the name of the contracts it implements."""
