"""What calibrators give: decision scores and labels from calibrated scores, one column per class."""

import numpy as np


def decision_scores(scores: np.ndarray) -> np.ndarray:
    """Scores (n, K) as scikit-learn wants them: of two classes the second less the first, (n,)."""
    return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores


def most_likely(scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The label of the largest score or probability of each row; of equals, the first."""
    return classes[scores.argmax(axis=1)]
