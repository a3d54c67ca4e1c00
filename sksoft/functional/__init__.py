"""Functions of arrays: softmax and its relatives along any axis, and attention.

They compute where their first array lives, on the host or a CUDA device, and return arrays of its kind.
"""

from sksoft.functional.attention import attention_vjp, causal_mask, scaled_dot_product_attention
from sksoft.functional.routing import routing_by_agreement
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
    "attention_vjp",
    "causal_mask",
    "entmax",
    "log_softmax",
    "logsumexp",
    "routing_by_agreement",
    "scaled_dot_product_attention",
    "softmax",
    "softmax_jacobian",
    "softmax_jvp",
    "softmax_vjp",
    "sparsemax",
]
