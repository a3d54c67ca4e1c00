"""The rows that a student learns from: features, what the teacher says of them, and labels where there are any.

With p_T = softmax(teacher's logits / T) and q_T = softmax(student's scores / T) the student's loss is

    Σᵢ sᵢ α T² KL(p_T,i ‖ q_T,i)  +  Σ_{i labelled} sᵢ (1 − α) (−log q_1,i[yᵢ])

in nats; a row without a label has the first term alone. At T = 1 both terms are one, with the target
(1 − α) e_y + α p: that is what :meth:`TransferRows.blended` makes for students that know one term only.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from sksoft._validation import take_rows
from sksoft.kernels import rowwise

UNLABELLED = -1


@dataclass(frozen=True)
class TransferRows:
    """Rows of positive weight.

    Attributes
    ----------
    X : array, DataFrame, sparse matrix or list of n rows
    codes : ndarray (n,), intp
        The place of each label among the classes, −1 where there is none.
    weights : ndarray (n,), float64
    logits : ndarray (n, K), float64
        The teacher's.
    classes : ndarray (K,)
        Sorted labels.
    """

    X: Any
    codes: np.ndarray
    weights: np.ndarray
    logits: np.ndarray
    classes: np.ndarray

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    @property
    def labelled(self) -> np.ndarray:
        """Which rows have a label, (n,) bool."""
        return self.codes != UNLABELLED

    def softened(self, temperature: float) -> np.ndarray:
        """The teacher's distributions at a temperature, (n, K)."""
        return rowwise.softmax_rows(self.logits, temperature=temperature)

    def chosen(self, rows: np.ndarray) -> "TransferRows":
        """Some of the rows, by their numbers."""
        X = take_rows(self.X, rows)
        return TransferRows(X, self.codes[rows], self.weights[rows], self.logits[rows], self.classes)

    def with_labels(self) -> "TransferRows":
        """The rows that have a label."""
        return self if self.labelled.all() else self.chosen(np.flatnonzero(self.labelled))

    def with_features(self, X) -> "TransferRows":
        """The same rows behind a transformation."""
        return TransferRows(X, self.codes, self.weights, self.logits, self.classes)

    def with_logits(self, logits: np.ndarray) -> "TransferRows":
        """The same rows with what another teacher says of them."""
        return TransferRows(self.X, self.codes, self.weights, logits, self.classes)

    def and_unlabelled(self, X, logits: np.ndarray) -> "TransferRows":
        """These rows, then m others without labels, of weight one."""
        return TransferRows(
            stacked(self.X, X),
            np.concatenate([self.codes, np.full(len(logits), UNLABELLED)]),
            np.concatenate([self.weights, np.ones(len(logits))]),
            np.concatenate([self.logits, logits]),
            self.classes,
        )

    def labels(self) -> np.ndarray:
        """The label of each row; where there is none, what the teacher holds most likely."""
        return self.classes[self.nearest_codes()]

    def nearest_codes(self) -> np.ndarray:
        """The places of :meth:`labels` among the classes."""
        return np.where(self.labelled, self.codes, self.logits.argmax(axis=1))

    def blended(self, temperature: float, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        """One soft target a row, (n, K), and its weight (n,).

        (1 − α) e_y + α p_T of weight s where there is a label, p_T of weight α s where there is none.
        """
        targets, labelled = self.softened(temperature), self.labelled
        targets[labelled] *= alpha
        targets[labelled, self.codes[labelled]] += 1.0 - alpha
        return targets, np.where(labelled, self.weights, alpha * self.weights)


def stacked(first, second):
    """Rows of one kind under each other: arrays, sparse matrices, DataFrames or lists."""
    if sparse.issparse(first) or sparse.issparse(second):
        return sparse.vstack([first, second], format="csr")
    if isinstance(first, pd.DataFrame) and isinstance(second, pd.DataFrame):
        return pd.concat([first, second], ignore_index=True)
    if isinstance(first, list) and isinstance(second, list):
        return first + second
    if hasattr(first, "vstack") and type(first) is type(second):  # polars
        return first.vstack(second)
    return np.concatenate([np.asarray(first), np.asarray(second)])


def check_unlabelled(X, X_unlabeled) -> None:
    """Refuse rows without labels that are of another kind than those with them."""
    if X_unlabeled is None:
        return
    if n_rows(X_unlabeled) == 0:
        raise ValueError("The 'X_unlabeled' parameter must hold rows, or be None. Got 0 rows instead.")
    # a list is a table only beside one: alone it may hold texts or their words
    if any(len(getattr(part, "shape", ())) == 2 for part in (X, X_unlabeled)):
        own, width = (np.shape(part)[1:] if hasattr(part, "shape") else np.shape(part[0]) for part in (X, X_unlabeled))
        if width != own:
            raise ValueError(
                f"The 'X_unlabeled' parameter must have the features of X, shape {own} a row. Got {width} instead."
            )
    if hasattr(X, "columns") and hasattr(X_unlabeled, "columns") and set(X.columns) != set(X_unlabeled.columns):
        more, fewer = (
            sorted(set(a.columns) - set(b.columns), key=str) for a, b in ((X_unlabeled, X), (X, X_unlabeled))
        )
        raise ValueError(f"The 'X_unlabeled' parameter must have the columns of X. Got {more} beside, and no {fewer}.")


def n_rows(X) -> int:
    """How many rows there are in an array, DataFrame, sparse matrix or list."""
    return X.shape[0] if hasattr(X, "shape") else len(X)
