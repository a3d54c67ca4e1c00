"""Why a multinomial logit has no estimates: columns that others explain, and classes that features separate.

What is found is said with the names of columns and classes: ``inference_columns`` finds the one, ``separation`` the
other.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.utils import check_array, check_consistent_length

from sksoft.kernels import placement
from sksoft.kernels.blocks import serial_blas
from sksoft.kernels.rowwise import softmax_rows
from sksoft.linear.inference_columns import Columns, Dependencies, dependencies, orthonormal
from sksoft.linear.inference_likelihood import Likelihood, Maximum
from sksoft.linear.problem import Problem
from sksoft.linear.separation import Separation, separation
from sksoft.linear.warm_start import one_row_each
from sksoft.metrics.target_input import resolve_targets
from sksoft.objective.feature_input import LARGEST
from sksoft.objective.links import Softmax
from sksoft.objective.objective import Objective

INTERCEPT = "(intercept)"
NO_MAXIMUM = "the likelihood has no maximum and coefficients grow without end"
# Names and terms that a message spells out.
MOST_NAMED, MOST_TERMS = 8, 6
# The loss above its infimum is about λ² where something grows; so many times that is sure.
GAP_SAFETY = 10.0
# Coefficients, K (p + 1), up to which a fit looks for what separates its classes.
MOST_DECIDED = 1000


@dataclass(frozen=True)
class Diagnosis:
    """One reason why estimates or their errors do not exist.

    Attributes
    ----------
    code : {'constant-column', 'collinear-columns', 'complete-separation', 'quasi-complete-separation'}
    message : str
        A sentence that names columns and classes.
    features : tuple of str
        The columns it is about; of collinear ones, the one that the others explain comes first.
    classes : tuple
        The labels it is about.
    """

    code: str
    message: str
    features: tuple[str, ...]
    classes: tuple = ()


def diagnose(X, y, sample_weight=None, *, fit_intercept=True) -> list[Diagnosis]:
    """Whether an unpenalised multinomial logit of these data has estimates, and if not, why.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n, p)
        Finite. Columns have the names of a DataFrame, or x0, x1 …
    y : array-like of shape (n,), or array-like or sparse matrix of shape (n, K >= 2)
        Labels, or soft labels.
    sample_weight : array-like of shape (n,), default=None
        Rows of weight zero are no rows.
    fit_intercept : bool, default=True

    Returns
    -------
    diagnoses : list of Diagnosis
        Constant and collinear columns in their order, then at most one separation, of the columns that are left.
        Empty where the maximum exists and is unique.

    Raises
    ------
    ValueError
        For X or y as ``SoftmaxRegression.fit`` would refuse them.
    RuntimeError
        If a linear program cannot be solved.

    Notes
    -----
    Time is O(n p²) for the columns and O(n K² p² + K³ p³) for each of about ten Newton steps; linear programs are
    solved only where these steps do not settle (``sksoft.linear.separation`` says at what cost).

    Examples
    --------
    >>> import pandas as pd
    >>> from sksoft.linear.inference_diagnoses import diagnose
    >>> X = pd.DataFrame({"dose": [1.0, 2, 3, 4, 5, 6], "double": [2.0, 4, 6, 8, 10, 12], "old": [0.0, 0, 1, 0, 1, 1]})
    >>> for diagnosis in diagnose(X, ["well", "ill", "well", "well", "ill", "well"]):
    ...     print(diagnosis.code, "|", diagnosis.message)
    collinear-columns | 'double' is 2·'dose'
    """
    names = term_names(getattr(X, "columns", None), np.shape(X)[1] if np.ndim(X) == 2 else 0)
    X = check_array(X, accept_sparse="csr", dtype=(np.float64, np.float32), input_name="X")
    largest = np.abs(X.data if sparse.issparse(X) else X).max(initial=0.0)
    if largest > LARGEST:
        raise ValueError(f"X must hold values up to {LARGEST:g}. Got {largest:g} instead.")
    targets = resolve_targets("diagnose", y, sample_weight=sample_weight, link=Softmax(), fit_intercept=fit_intercept)
    check_consistent_length(X, y)
    rows = X if targets.kept.all() else X[targets.kept]
    with serial_blas():
        columns = Columns.centred(rows, targets.weights, fit_intercept)
        triangle = columns.triangle()
        found = dependencies(columns, triangle)
        diagnoses = of_columns(columns, found, names)
        whitened, _ = orthonormal(columns, triangle, found.independent)
        likelihood = Likelihood(whitened, targets.target, targets.weights)
        start = np.zeros((likelihood.n_classes - 1, whitened.n_columns))
        maximum = likelihood.maximise(start)
        apart = separation_at(maximum, likelihood, triangle, found.independent)
    return diagnoses if apart is None else [*diagnoses, of_separation(apart, names, targets.classes)]


def term_names(names, n_features: int) -> list[str]:
    """Names of the features: those given, else x0, x1 …"""
    return [f"x{j}" for j in range(n_features)] if names is None else [str(name) for name in names]


def of_fit(problem: Problem, w: np.ndarray, bound: float, names: list[str], classes: np.ndarray) -> Diagnosis | None:
    """Why a fit without a penalty has no optimum, if it has none.

    A class that a row can be separated from has, by the end of a fit, a probability of about the gap that is left. So
    where every row leaves more to all classes, one sweep says that nothing is separated. Else one exact Newton step
    does where it leads nowhere; that is all an ordinary fit costs. Else these steps go on from w, and a linear program
    is solved where they do not settle either.

    Parameters
    ----------
    problem : Problem
    w : ndarray
        Its solution.
    bound : float
        How far F(w) seems to be above its infimum.
    names : list of str
    classes : ndarray (K,)

    Returns
    -------
    diagnosis : Diagnosis or None
        None also where there are more than ``MOST_DECIDED`` coefficients and separation is not complete. Other links
        than softmax have an optimum whatever is separated.
    """
    objective = problem.objective
    if problem.strength > 0.0 or not isinstance(problem.link, Softmax):
        return None
    complete = problem.offset is None and objective.separates(w)
    if not (complete or _may_be_separated(objective, w, GAP_SAFETY * 2.0 * max(bound, 0.0))):
        return None
    if problem.target.n_classes * (problem.X.shape[1] + 1) > MOST_DECIDED:
        return _complete(problem) if complete else None
    # linear programs are solved on the host, and so rows of a device are fetched for them
    columns = Columns.centred(placement.fetched(problem.X), problem.weights, problem.fit_intercept)
    triangle = columns.triangle()
    kept = dependencies(columns, triangle).independent
    coef, intercept = (part / problem.temperature for part in one_row_each(*problem.unpack(w)))
    if complete:
        matrix = np.column_stack([intercept, coef]) if problem.fit_intercept else coef
        apart = separation(columns, triangle, kept, problem.target, problem.weights, matrix)
    else:
        whitened, back = orthonormal(columns, triangle, kept)
        likelihood = Likelihood(whitened, problem.target, problem.weights, placement.fetched(problem.batches.offset))
        start = whitened_contrasts(columns, kept, back, coef, intercept)
        if likelihood.is_steady(start):
            return None
        apart = separation_at(likelihood.maximise(start), likelihood, triangle, kept)
    return None if apart is None else of_separation(apart, names, classes)


def _may_be_separated(objective: Objective, w: np.ndarray, gap: float) -> bool:
    """Whether some row leaves to a class that is not its own a share of F no larger than `gap`. O(n p K)."""
    prepared = objective.scores.prepare(w, objective.batches.design, np.float64)

    def partial(block):
        z = objective.block_scores(prepared, block, block.X())
        own = block.target.weighted(block.weights)
        own = own.toarray() if sparse.issparse(own) else own
        return (int(((softmax_rows(z) * block.weights[:, None] <= gap) & (own == 0.0)).any()),)

    return bool(objective.batches.map_reduce(partial)[0])


def _complete(problem: Problem) -> Diagnosis:
    n = problem.X.shape[0]
    return Diagnosis(
        "complete-separation", f"complete separation: the features separate all classes ({n} rows), so {NO_MAXIMUM}", ()
    )


def whitened_contrasts(columns: Columns, kept, back, coef, intercept) -> np.ndarray:
    """Contrasts to the first class of coefficients (K, p) and intercepts (K,), on whitened columns, (K − 1, m)."""
    theta = np.column_stack([intercept, coef]) if columns.intercept else coef
    contrasts = columns.from_raw(theta[1:] - theta[0])[:, kept]
    return contrasts @ back.T


def separation_at(maximum: Maximum, likelihood: Likelihood, triangle, kept) -> Separation | None:
    """The separation behind a maximum that looks suspicious; None where it does not, or where there is none."""
    if not maximum.suspicious:
        return None
    columns = likelihood.columns
    theta = maximum.at.theta @ columns.to_raw.T
    return separation(
        columns.raw,
        triangle,
        kept,
        likelihood.target,
        likelihood.weights,
        np.vstack([np.zeros(columns.n_raw), theta]),
        offset=likelihood.offset,
        gap=GAP_SAFETY * maximum.distance**2,
    )


def of_columns(columns: Columns, found: Dependencies, names: list[str]) -> list[Diagnosis]:
    """A diagnosis for each column that others explain."""
    terms = [INTERCEPT, *names] if columns.intercept else names
    return [_of_column(terms, found, j) for j in range(len(found.dependent))]


def _of_column(terms, found: Dependencies, j: int) -> Diagnosis:
    name = terms[found.dependent[j]]
    parts = [
        (terms[i], value)
        for i, value, relevant in zip(found.independent, found.combination[:, j], found.relevant[:, j])
        if relevant
    ]
    partners = [term for term, _ in parts if term != INTERCEPT]
    if not partners:
        level = parts[0][1] if parts else 0.0
        beside = " beside an intercept" if INTERCEPT in terms else ""
        return Diagnosis("constant-column", f"{name!r} is constant, {level:.6g}{beside}", (name,))
    if len(parts) > MOST_TERMS:
        text = f"{name!r} is a linear combination of {_listed(partners)}"
    else:
        text = f"{name!r} is {_combination(parts)}"
    return Diagnosis("collinear-columns", text, (name, *partners))


def _combination(parts) -> str:
    """2·'a' − 'b' + 3."""
    text = ""
    for term, value in sorted(parts, key=lambda part: part[0] == INTERCEPT):
        sign = ("−" if value < 0 else "") if not text else (" − " if value < 0 else " + ")
        size = f"{abs(value):.6g}"
        text += sign + (size if term == INTERCEPT else repr(term) if size == "1" else f"{size}·{term!r}")
    return text


def of_separation(apart: Separation, names: list[str], classes: np.ndarray) -> Diagnosis:
    """What separates which classes."""
    features = tuple(names[j] for j in apart.features)
    labels = classes.tolist()
    groups = _groups(apart.counts + apart.counts.T > 0)
    told = "; ".join(f"{labels[one]!r} from {_listed([labels[k] for k in others])}" for one, others in groups[:3])
    more = f"; and {len(groups) - 3} more classes from others" if len(groups) > 3 else ""
    verb = "separates" if len(features) == 1 else "separate"
    message = f"{apart.kind} separation: {_listed(features)} {verb} {told}{more} ({apart.n_rows} rows), so {NO_MAXIMUM}"
    involved = tuple(labels[k] for k in np.flatnonzero((apart.counts + apart.counts.T).any(axis=1)))
    return Diagnosis(f"{apart.kind}-separation", message, features, involved)


def _groups(apart: np.ndarray) -> list[tuple[int, list[int]]]:
    """Pairs of classes told apart, gathered under the class that has most of them."""
    left, groups = apart.copy(), []
    while left.any():
        one = int(left.sum(axis=1).argmax())
        groups.append((one, np.flatnonzero(left[one]).tolist()))
        left[one] = left[:, one] = False
    return groups


def _listed(names) -> str:
    shown = [repr(name) for name in names[:MOST_NAMED]]
    if len(names) > MOST_NAMED:
        return ", ".join(shown) + f" and {len(names) - MOST_NAMED} more"
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]
