"""Labels of any one type as positions: booleans, integers of any range, floats, strings, objects.

Integers of a small range go through a table, everything else through pandas' hash tables: no sort of the rows.
"""

import numpy as np
import pandas as pd


def encode_labels(y, classes) -> np.ndarray:
    """Position of every label in `classes`, an (n,) intp array; -1 where it is not among them."""
    y, classes = np.asarray(y), np.asarray(classes)
    if y.dtype.kind == "b" and classes.dtype.kind in "iuf":
        y = y.astype(np.intp)
    if classes.dtype.kind == "b" and y.dtype.kind in "iuf":
        classes = classes.astype(np.intp)
    if y.dtype.kind in "biu" and classes.dtype.kind in "biu" and len(y):
        lowest, span = _integer_span(y)
        if span <= 2 * len(y) + 1024:
            table = np.full(span, -1, dtype=np.intp)
            inside = np.flatnonzero((classes >= lowest) & (classes < lowest + span))
            positions = classes[inside].astype(object) - lowest  # Python integers do not overflow
            table[positions.astype(np.intp)] = inside
            return table[_offsets(y, lowest)]
        if y.dtype != classes.dtype:  # pandas wraps numbers around that the narrower type does not hold
            common = np.result_type(y, classes)
            common = common if common.kind in "biu" else np.dtype(object)
            y, classes = y.astype(common), classes.astype(common)
    return pd.Index(classes, dtype=object if classes.dtype.kind in "USO" else None).get_indexer(
        y.astype(object) if y.dtype.kind in "USO" else y
    )


def sorted_labels(y, *, name: str = "y_true") -> np.ndarray:
    """The distinct labels of `y`, ascending; `name` is for messages."""
    y = np.asarray(y)
    if y.dtype.kind in "biu" and len(y):
        lowest, span = _integer_span(y)
        if span <= 2 * len(y) + 1024:
            present = np.bincount(_offsets(y, lowest), minlength=span)
            return (np.flatnonzero(present) + lowest).astype(y.dtype)
    distinct = pd.unique(y.astype(object) if y.dtype.kind in "US" else y)
    try:
        ordered = sorted(distinct.tolist())
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in distinct})
        raise ValueError(f"{name} must hold labels of one type. Got a mix of {kinds} instead.") from error
    return np.array(ordered, dtype=None if y.dtype.kind in "USO" else y.dtype)


def zero_one(y) -> np.ndarray | None:
    """`y` as 0 and 1 where it holds nothing else (booleans, integers, floats), in one pass; None otherwise."""
    if y.dtype.kind == "b":
        return y.view(np.uint8)
    if y.dtype.kind in "iu" and np.bitwise_or.reduce(y) in (0, 1):
        return y.astype(np.intp, copy=False)
    if y.dtype.kind == "f" and ((y == 0) | (y == 1)).all():
        return (y == 1).view(np.uint8)
    return None


def _integer_span(y) -> tuple[int, int]:
    if y.dtype.kind == "b":
        return 0, 2
    lowest = int(y.min())
    return lowest, int(y.max()) - lowest + 1


def _offsets(y, lowest) -> np.ndarray:
    """``y - lowest`` without overflow of a narrow type."""
    if y.dtype.itemsize < 8:
        y = y.astype(np.int64)
    return (y - y.dtype.type(lowest)).astype(np.intp, copy=False)
