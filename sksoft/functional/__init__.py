"""Functions of arrays: softmax and its relatives along any axis."""

from sksoft.functional.softmax import (
    entmax,
    log_softmax,
    logsumexp,
    softmax,
    softmax_jacobian,
    softmax_jvp,
    softmax_vjp,
    sparsemax,
)

__all__ = [
    "entmax",
    "log_softmax",
    "logsumexp",
    "softmax",
    "softmax_jacobian",
    "softmax_jvp",
    "softmax_vjp",
    "sparsemax",
]
