"""Calls of a function where the data are not: arrays are moved there, and what comes of them is moved back."""

from collections.abc import Callable, Container

import numpy as np

from sksoft.kernels import placement


def call_elsewhere(function: Callable, move: Callable, first, args=(), kwargs=None, *, writes: Container | None = None):
    """``function(first, *args, **kwargs)`` on moved arrays.

    Parameters
    ----------
    function : callable
        Returns an array, a number, or a tuple of them.
    move : callable(array) -> array
    first, args, kwargs
        Arrays, tuples of arrays, or anything else, which is passed on. An array that is there twice is moved once.
    writes : container of str, optional
        The keywords whose arrays are written, and so moved back; all of them when not given.

    Returns
    -------
    result
        Arrays where `first` lives; one that is the copy of a caller's array is the caller's array.
    """
    kwargs = {} if kwargs is None else kwargs
    copies: dict[int, tuple] = {}

    def moved(value):
        if isinstance(value, tuple):
            parts = [moved(part) for part in value]
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        if not _is_array(value):
            return value
        if id(value) not in copies:
            copies[id(value)] = value, move(value)
        return copies[id(value)][1]

    def delivered(part):
        if isinstance(part, tuple):
            return tuple(map(delivered, part))
        if not _is_array(part):
            return part
        for value, copy in copies.values():
            if copy is part:
                return value
        return placement.beside(part, first)

    result = function(moved(first), *map(moved, args), **{key: moved(value) for key, value in kwargs.items()})
    for key, value in kwargs.items():
        if _is_array(value) and (writes is None or key in writes):
            copy = copies[id(value)][1]
            if copy is not value:
                _write_back(copy, value)
    return delivered(result)


def _is_array(value) -> bool:
    return isinstance(value, np.ndarray) or placement.on_device(value)


def _write_back(copy, value) -> None:
    """What was written to `copy` is in `value`, for whoever reads it next."""
    if not _shares_memory(copy, value):
        value[...] = placement.beside(copy, value)
    elif placement.on_device(copy):
        from sksoft.kernels._cuda._api import synchronize

        synchronize()


def _shares_memory(copy, value) -> bool:
    """Whether a write to the one is a write to the other: both on the device, or both on the host and alike."""
    if isinstance(copy, np.ndarray) and isinstance(value, np.ndarray):
        return np.shares_memory(copy, value)
    return placement.on_device(copy) and placement.on_device(value)
