"""Sparsemax and α-entmax on a device."""

from sksoft.kernels import projections
from sksoft.kernels._cuda.products import jacobian_product


@projections.entmax_jvp_rows.implement("cuda", writes=("out",))
def entmax_jvp_rows(proba, vectors, *, alpha, weights=None, out=None):
    return jacobian_product(proba, vectors, weights, out, alpha, normalised=True)
