"""What inference takes, checked: the model, labels, groups, the contrasts to be reported, and the ridge as a prior."""

from numbers import Real

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import check_consistent_length, column_or_1d

from sksoft.kernels.blocks import serial_blas
from sksoft.linear.inference_columns import Columns, dependencies
from sksoft.linear.problem import Problem, link_named
from sksoft.objective.links import Softmax


def check_among(name: str, value, accepted: tuple) -> None:
    if not (value is None or isinstance(value, str)) or value not in accepted:
        raise ValueError(f"The {name!r} parameter must be one of {accepted}. Got {value!r} instead.")


def check_model(model, penalised: str) -> None:
    """Refuse models that are not fitted by maximum likelihood, with what to change."""
    needed = {
        "link": ("softmax", isinstance(link_named(model.link), Softmax)),
        "temperature": (1.0, isinstance(model.temperature, Real) and model.temperature == 1.0),
        "label_smoothing": (0.0, model.label_smoothing == 0.0),
        "class_weight": (None, model.class_weight is None),
        "coef_sign": (None, getattr(model, "coef_sign", None) is None),
    }
    for name, (value, fulfilled) in needed.items():
        if not fulfilled:
            raise ValueError(
                f"Inference needs a model of maximum likelihood, with {name}={value!r}. Got {getattr(model, name)!r}"
                " instead."
            )
    if np.isinf(model.C):
        return
    if penalised == "refuse":
        raise ValueError(
            f"Inference needs a model without a penalty, C=np.inf. Got C={model.C:g} instead, whose coefficients are"
            " shrunk: their intervals would not have the coverage they state. penalised='laplace' gives the curvature"
            " of the penalised likelihood, as a posterior."
        )
    if getattr(model, "l1_ratio", 0.0):
        raise ValueError("penalised='laplace' needs a ridge: with l1_ratio > 0 the posterior is not near a normal one.")


def check_classes(y, problem: Problem, model) -> None:
    n_classes = problem.target.n_classes
    if n_classes != len(model.classes_) or not np.isin(np.asarray(y).ravel(), model.classes_).all():
        raise ValueError(f"y must hold the labels that the model was fitted to, {model.classes_.tolist()}.")


def group_codes(groups, X, sample_weight) -> np.ndarray | None:
    """Groups of the rows that weigh anything as 0 … G − 1."""
    if groups is None:
        return None
    groups = column_or_1d(groups, input_name="groups")
    check_consistent_length(X, groups)
    if pd.isna(groups).any():
        raise ValueError("The 'groups' parameter must not contain missing values.")
    if sample_weight is not None:
        groups = groups[np.asarray(sample_weight) > 0]
    codes = pd.factorize(groups)[0].astype(np.intp)
    if codes.max(initial=0) < 1:
        raise ValueError("The 'groups' parameter must hold at least 2 different groups. Got 1 instead.")
    return codes


def contrasts_of(classes: np.ndarray, reference, contrast: str) -> tuple[object, np.ndarray]:
    """The reference, and the matrix (R, K − 1) from contrasts to the first class to those that are wanted."""
    K = len(classes)
    to_first = np.vstack([np.zeros(K - 1), np.eye(K - 1)])
    if contrast == "mean":
        if reference is not None:
            raise ValueError(f"The 'reference' parameter is for contrast='reference'. Got {reference!r} instead.")
        return None, to_first - to_first.mean(axis=0)
    labels = classes.tolist()
    if reference is None:
        reference = labels[0]
    elif reference not in labels:
        raise ValueError(f"The 'reference' parameter must be one of {labels}. Got {reference!r} instead.")
    at = labels.index(reference)
    return labels[at], np.delete(to_first - to_first[at], at, axis=0)


def precision(problem: Problem, whitened: Columns) -> np.ndarray:
    """Λ of contrasts to the first class, on whitened columns: the ridge minimised over a common shift of all classes.

    For a feature with the penalties fₖ Wₖ² / 2 that is diag f − f f' / Σ f, without the first class; for two classes,
    which have one row, f itself.
    """
    scores, total = problem.scores, problem.strength * float(problem.weights.sum())
    f = np.broadcast_to(problem.factors, (scores.n_rows, scores.n_features)).T * total
    if scores.n_rows == 1:
        blocks = f[:, :, None]
    else:
        sums = np.where(f.sum(axis=1) > 0.0, f.sum(axis=1), 1.0)
        blocks = np.einsum("jk,kl->jkl", f, np.eye(f.shape[1])) - f[:, :, None] * f[:, None, :] / sums[:, None, None]
        blocks = blocks[:, 1:, 1:]
    assert whitened.matrix is not None
    S = whitened.matrix[int(whitened.intercept) :]
    q, m = blocks.shape[1], S.shape[1]
    return np.einsum("ja,jkl,jb->kalb", S, blocks, S, optimize=True).reshape(q * m, q * m)


def check_nested(nested, model) -> None:
    """Refuse an inference of other rows than the model's, or of columns that are not combinations of the model's."""
    small, large = nested._problem, model._problem
    same = (
        nested.classes_.tolist() == model.classes_.tolist()
        and np.array_equal(small.target.shares(small.weights), large.target.shares(large.weights))
        and np.array_equal(small.weights, large.weights)
        and np.array_equal(small.target.codes, large.target.codes)
        and np.array_equal(_zeros_if_none(small.offset), _zeros_if_none(large.offset))
    )
    if not same:
        raise ValueError("The nested model must be fitted to the same labels, weights and offsets, in the same order.")
    both = [sparse.csr_array(part.X) if sparse.issparse(large.X) else part.X for part in (large, small)]
    X = sparse.hstack(both, format="csr") if sparse.issparse(large.X) else np.hstack([_dense(part) for part in both])
    with serial_blas():
        columns = Columns.centred(X, large.weights, large.fit_intercept or small.fit_intercept)
        rank = len(dependencies(columns, columns.triangle()).independent)
    if rank * (len(model.classes_) - 1) > model.n_parameters_:
        raise ValueError("The nested model must have columns that are combinations of those of the larger one.")
    if nested.n_parameters_ >= model.n_parameters_:
        raise ValueError(
            f"The nested model must have fewer than {model.n_parameters_} parameters. Got {nested.n_parameters_}."
        )


def _zeros_if_none(offset) -> np.ndarray:
    return np.zeros(()) if offset is None else offset


def _dense(X) -> np.ndarray:
    return X.toarray() if sparse.issparse(X) else X
