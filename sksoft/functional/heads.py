"""Heads: arrays with any leading axes as one problem after another, and the way back.

The leading axes of all arrays are broadcast together, and what they become is `shape`, one head for each index. Where
the last leading axis of the keys is shorter than that of the queries and divides it, neighbouring query heads share a
head of the keys (grouped queries): no array is ever repeated, every array knows which of its parts a head uses.
"""

import numpy as np

from sksoft.kernels import placement


class Heads:
    """Which part of each array a head uses.

    Parameters
    ----------
    n_own : dict of str to int
        How many last axes of each array belong to one head.
    arrays : dict of str to array, of the host or a device
        `queries` first: whose last leading axis the others' may divide.
    """

    def __init__(self, n_own, arrays):
        self.arrays = arrays
        self.n_own = n_own
        leading = {name: self._leading(name) for name in arrays}
        n_heads = leading["queries"][-1:]
        ids = {}
        for name, shape in leading.items():
            ids[name] = np.arange(np.prod(shape, dtype=np.intp)).reshape(shape)
            if name in ("keys", "values") and shape and n_heads and 1 < shape[-1] < n_heads[0]:
                if n_heads[0] % shape[-1]:
                    raise ValueError(
                        f"{n_heads[0]} heads of queries cannot share {shape[-1]} heads of {name}: the second must "
                        "divide the first."
                    )
                ids[name] = ids[name].repeat(n_heads[0] // shape[-1], axis=-1)
        try:
            self.shape = np.broadcast_shapes(*(part.shape for part in ids.values()))
        except ValueError:
            raise ValueError(f"The leading axes must be broadcastable together. Got {leading} instead.") from None
        if 0 in self.shape:
            raise ValueError(f"There must be at least one head. Got leading axes of the shape {self.shape}.")
        self._ids = {name: np.broadcast_to(part, self.shape).ravel() for name, part in ids.items()}

    def __len__(self):
        return int(np.prod(self.shape, dtype=np.intp))

    def _leading(self, name):
        array = self.arrays[name]
        return array.shape[: array.ndim - self.n_own[name]]

    def where(self, name, head):
        """Index of the part of an array that a head uses."""
        return tuple(map(int, np.unravel_index(self._ids[name][head], self._leading(name))))

    def part(self, name, head):
        return self.arrays[name][self.where(name, head)]

    def joined(self, parts):
        """One array out of the results of all heads."""
        own = parts[0].shape
        return np.stack(parts).reshape(*self.shape, *own)

    def added(self, name, parts):
        """Gradient of an array out of the gradients of the part that each head used."""
        total = placement.namespace(self.arrays[name]).zeros(self.arrays[name].shape, dtype=np.float64)
        for head, part in enumerate(parts):
            total[self.where(name, head)] += part
        return total.astype(self.arrays[name].dtype)
