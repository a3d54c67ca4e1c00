"""Cases of the sparse projections: those of softmax, and the Jacobian products at several α."""

from cases.rowwise import NEAR_ZERO, SMALL_SHAPES, product_cases, score_cases

CASES = {
    "sparsemax_rows": score_cases(tolerance=NEAR_ZERO),
    "entmax_rows": score_cases(tolerance=NEAR_ZERO)
    + score_cases(SMALL_SHAPES, tolerance=NEAR_ZERO, alpha=1.2)
    + score_cases(SMALL_SHAPES[3:6], tolerance=NEAR_ZERO, alpha=2.0),
    "entmax_jvp_rows": product_cases(alpha=1.5)
    + [case for alpha in (1.0, 1.2, 2.0) for case in product_cases(SMALL_SHAPES, alpha=alpha)],
}
