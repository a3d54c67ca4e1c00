"""Where the rows live, and the one way to add up over them.

A batch source has ``map_reduce(partial)``: `partial` is a pure function of one :class:`Block` that returns a tuple of
numbers and fresh arrays; the tuples are added entry by entry **in block order**, so the sum has the same bits whatever
computed the blocks. Results that are not sums are written to preallocated arrays at ``block.rows``.
"""

from sksoft.objective.batches.in_memory import Block, InMemory

__all__ = ["Block", "InMemory"]
