"""What a committee disagrees about: the mutual information of the label and the member that was asked.

    I(x) = H(p̄) − Σ_m H(p_m) / M,        p̄ = Σ_m p_m / M,        in nats, from 0 to ln min(K, M)

(with the weights of a vote in the place of 1 / M, so that p̄ is what the vote predicts). High where members are
certain of different things, and not where all agree that a label is a toss-up [1]_.

References
----------
.. [1] N. Houlsby, F. Huszár, Z. Ghahramani, M. Lengyel, "Bayesian active learning for classification and preference
   learning", arXiv 1112.5745 (2011), eq. 2.
"""

from itertools import repeat
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.parallel import Parallel, delayed

from sksoft._validation import check_method_params, take_rows
from sksoft.kernels import rowwise
from sksoft.metrics.predictions import check_probabilities

# Ensembles of classifiers, whose members know the classes by their number.
ENSEMBLES = (RandomForestClassifier, ExtraTreesClassifier, BaggingClassifier, VotingClassifier)

# Sums of floats differ by 1e-15 where rows differ by the order of their members or classes; those are ties.
DECIMALS = 12


def ensemble_inside(estimator) -> tuple[Any, list] | None:
    """The fitted ensemble that a classifier is or holds, and the steps of pipelines before it; None without one."""
    before = []
    while True:
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "steps"):
            before += [estimator[:-1]] if len(estimator.steps) > 1 else []
            estimator = estimator[-1]
        else:
            known = isinstance(estimator, ENSEMBLES) and getattr(estimator, "voting", "soft") == "soft"
            return (estimator, before) if known else None


def disagreement(estimator, members, X) -> np.ndarray:
    """I (n,) of rows by the members of the ensemble that the classifier is or holds, else by `members`."""
    inside = ensemble_inside(estimator)
    if inside is None and members is None:
        raise NotFittedError("This sampler was fitted without 'bald': call 'fit' again, which fits a committee.")
    if inside is None:
        return mutual_information(member.predict_proba(X) for member in members)
    ensemble, before = inside
    for steps in before:
        X = steps.transform(X)
    return mutual_information(proba_of_ensemble(ensemble, X), weights_of(ensemble))


def bootstrap_members(estimator, X, y, fit_params, n_members, random_state, n_jobs=None) -> list:
    """Clones of `estimator`, each fitted to as many rows of every class as there are, drawn with replacement."""
    if isinstance(estimator, FrozenEstimator):
        raise ValueError(
            "strategy='bald' fits clones of the classifier, or asks the members of a random forest, extra trees,"
            f" bagging or a soft vote. Got {estimator!r}, which is frozen and none of these."
        )
    classes, codes = np.unique(y, return_inverse=True)
    by_class = [np.flatnonzero(codes == k) for k in range(len(classes))]
    drawn = [
        np.sort(np.concatenate([rows[random_state.randint(len(rows), size=len(rows))] for rows in by_class]))
        for _ in range(n_members)
    ]
    return Parallel(n_jobs=n_jobs)(delayed(_fitted_to)(estimator, X, y, rows, fit_params) for rows in drawn)


def _fitted_to(estimator, X, y, rows, fit_params):
    params = check_method_params(X, params=fit_params, indices=rows)
    return clone(estimator).fit(take_rows(X, rows), y[rows], **params)


def mutual_information(proba_of_members, weights=None) -> np.ndarray:
    """I (n,), to 12 decimals, from an iterable of M arrays (n, K) of members drawn by weights (M,); holds two."""
    total: Any = 0.0
    entropy: Any = 0.0
    mass = 0.0
    for proba, weight in zip(proba_of_members, repeat(1.0) if weights is None else weights):
        proba = np.asarray(check_probabilities(proba), dtype=np.float64)
        total, entropy = total + weight * proba, entropy + weight * rowwise.entropy_rows(proba)
        mass += weight
    between = rowwise.entropy_rows(total / mass) - entropy / mass
    return np.maximum(np.round(between, DECIMALS), 0.0)


def weights_of(ensemble) -> list | None:
    """What a vote weighs its members by; None for equal weights."""
    weights = getattr(ensemble, "weights", None)
    if weights is None:
        return None
    return [weight for (_, member), weight in zip(ensemble.estimators, weights) if not isinstance(member, str)]


def proba_of_ensemble(ensemble, X):
    """The probabilities (n, K) of each member in turn."""
    n_classes = len(ensemble.classes_)
    subsets = getattr(ensemble, "estimators_features_", None)
    if not isinstance(ensemble, VotingClassifier):  # whose members alone were fitted to X as it came, with its names
        X = X.tocsr() if hasattr(X, "tocsr") else np.asarray(X)
    for i, member in enumerate(ensemble.estimators_):
        part = member.predict_proba(X if subsets is None else X[:, subsets[i]])
        if part.shape[1] == n_classes:
            yield part
            continue
        proba = np.zeros((len(part), n_classes))
        proba[:, np.asarray(member.classes_, dtype=np.intp)] = part
        yield proba
