"""What calibrators give: decision scores and labels from calibrated scores, one column per class."""

import numpy as np


def below_largest(logits: np.ndarray, temperature=1.0) -> np.ndarray:
    """(z − max z) / T of rows, no lower than the numbers reach, in a fresh array; T one number or (n, 1)."""
    # halves, so that the difference of two huge scores is not infinite before the division
    z = 0.5 * logits
    z -= z.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        z /= 0.5 * temperature
    return np.maximum(z, -np.finfo(z.dtype).max, out=z)


def decision_scores(scores: np.ndarray) -> np.ndarray:
    """Scores (n, K) as scikit-learn wants them: of two classes the second less the first, (n,)."""
    return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores


def most_likely(scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The label of the largest score or probability of each row; of equals, the first."""
    return classes[scores.argmax(axis=1)]
