"""What calibrators give: decision scores and labels from calibrated scores, one column per class.

They are of the kind of the X that was asked about: arrays of the host, or of the library whose X lives on a device.
"""

import numpy as np

from sksoft.kernels import placement


def below_largest(logits: np.ndarray, temperature=1.0) -> np.ndarray:
    """(z − max z) / T of rows, no lower than the numbers reach, in a fresh array; T one number or (n, 1)."""
    # halves, so that the difference of two huge scores is not infinite before the division
    z = 0.5 * logits
    z -= z.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        z /= 0.5 * temperature
    return np.maximum(z, -np.finfo(z.dtype).max, out=z)


def decision_scores(scores, X):
    """Scores (n, K) as scikit-learn wants them, of two classes the second less the first, (n,); of the kind of `X`."""
    return placement.beside(scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores, X)


def most_likely(scores, classes: np.ndarray, X):
    """The label of the largest score or probability of each row; of equals, the first. Of the kind of `X`."""
    return placement.labels_beside(classes, scores.argmax(axis=1), X)
