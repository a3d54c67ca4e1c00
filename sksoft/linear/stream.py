"""What a model knows of a stream of batches: the solver's state, and a few sums; all plain data."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from sksoft.linear.row_loss import Rows
from sksoft.objective.scores import Linear
from sksoft.objective.targets import Labels
from sksoft.solvers.memories import MEMORIES
from sksoft.solvers.stochastic import State

# Largest problems for the memories that hold curvature: parameters, columns and classes.
FULL_PARAMETERS, GRAM_COLUMNS, GRAM_CLASSES = 1024, 1024, 128


@dataclass(frozen=True)
class Stream:
    """What has been learnt from a stream of batches.

    Attributes
    ----------
    classes : ndarray (K,)
    state : State
        Parameters and memory of the solver.
    class_weight : ndarray (K,)
        Weight of the targets of each class.
    mean, mean_square : ndarray (q,)
        Of the columns, weighted.
    calls : int
    """

    classes: np.ndarray
    state: State
    class_weight: np.ndarray
    mean: np.ndarray
    mean_square: np.ndarray
    calls: int

    @classmethod
    def start(cls, classes: np.ndarray, scores: Linear) -> "Stream":
        """Before the first batch."""
        shape = (scores.n_rows, scores.n_columns)
        state = State(np.zeros(shape), np.zeros(shape), MEMORIES[_memory_for(scores)].empty(*shape), 0.0)
        zeros = np.zeros(scores.n_columns)
        return cls(classes, state, np.zeros(len(classes)), zeros, zeros, 0)

    @classmethod
    def after_fit(cls, model, rows: Rows) -> "Stream":
        """After a fit, before the first batch, whose rows stand for those of the fit."""
        scores = Linear(rows.scores.n_features, len(model.classes_), rows.scores.fit_intercept)
        coef = model.coef_.toarray() if sparse.issparse(model.coef_) else model.coef_
        w = scores.pack(coef, model.intercept_).reshape(scores.n_rows, scores.n_columns)
        # nothing here looks at the targets, which may be of other classes than the fit's
        unlabelled = replace(
            rows, scores=scores, target=Labels(np.zeros(len(rows.weights), dtype=np.intp), scores.n_classes)
        )
        seen = float(model.seen_weight_.sum())
        memory = MEMORIES[_memory_for(scores)].recalled(unlabelled.at(w), w.shape, seen)
        return cls(
            model.classes_, State(w, np.zeros_like(w), memory, seen), model.seen_weight_, *rows.moments(), calls=0
        )

    @classmethod
    def load(cls, classes: np.ndarray, plain: dict[str, Any]) -> "Stream":
        """From ``online_state_``."""
        plain = dict(plain)
        memory = MEMORIES[plain.pop("memory")](**{k[7:]: plain.pop(k) for k in list(plain) if k[:7] == "memory_"})
        return cls(classes, State(plain.pop("w"), plain.pop("residual"), memory, plain.pop("weight")), **plain)

    def dump(self) -> dict[str, Any]:
        """``online_state_``: arrays, numbers and a string."""
        memory = self.state.memory
        name = next(name for name, kind in MEMORIES.items() if isinstance(memory, kind))
        return {
            "memory": name,
            **{f"memory_{key}": value for key, value in vars(memory).items()},
            "w": self.state.w,
            "residual": self.state.residual,
            "weight": self.state.weight,
            "class_weight": self.class_weight,
            "mean": self.mean,
            "mean_square": self.mean_square,
            "calls": self.calls,
        }


def _memory_for(scores: Linear) -> str:
    """The memory that a problem of this size can afford."""
    if scores.n_parameters <= FULL_PARAMETERS:
        return "curvature"
    return "kronecker" if scores.n_columns <= GRAM_COLUMNS and scores.n_rows <= GRAM_CLASSES else "adagrad"
