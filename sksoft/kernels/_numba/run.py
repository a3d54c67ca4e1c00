"""How a compiled block function meets arrays of any layout: block by block, in C order, over the pool of threads.

Block functions are compiled for C-contiguous read-only inputs and writable outputs only, one machine code per dtype:
what stands otherwise in memory is copied a block at a time.
"""

from sksoft.kernels.blocks import map_blocks, row_blocks


def over_rows(block_function, inputs, settings, outputs) -> list:
    """Call ``block_function(*inputs, *settings, *outputs)`` on every block of rows.

    Parameters
    ----------
    block_function : compiled function
    inputs : sequence of arrays (n, ...)
        Cut into rows together; the first is (n, K) and decides the grid. An array of size 0 stands for "not given".
    settings : sequence of numbers
        Passed as they are.
    outputs : sequence of arrays (n, ...)
        Written; they may be inputs. Size 0 stands for "not wanted".

    Returns
    -------
    results : list
        What each block returned, in order.
    """
    n_rows, n_columns = inputs[0].shape

    def work(rows):
        sources = [_c_order(array[rows]) for array in inputs]
        targets = [_writable(array[rows]) for array in outputs]
        result = block_function(*sources, *settings, *targets)
        for array, target in zip(outputs, targets):
            if not array[rows].flags.c_contiguous:
                array[rows] = target
        return result

    return map_blocks(work, row_blocks(n_rows, n_columns * inputs[0].itemsize))


def _c_order(rows):
    """The rows in C order; read-only whatever they were, so that numba sees one type."""
    rows = rows if rows.flags.c_contiguous else rows.copy(order="C")
    rows.flags.writeable = False
    return rows


def _writable(rows):
    return rows if rows.flags.c_contiguous else rows.copy(order="C")
