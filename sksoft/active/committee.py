"""What a committee disagrees about: the mutual information of the label and the member that was asked.

    I(x) = H(p̄) − Σ_m H(p_m) / M,        p̄ = Σ_m p_m / M,        in nats, from 0 to ln min(K, M)

High where members are certain of different things, and not where all agree that a label is a toss-up [1]_.

References
----------
.. [1] N. Houlsby, F. Huszár, Z. Ghahramani, M. Lengyel, "Bayesian active learning for classification and preference
   learning", arXiv 1112.5745 (2011), eq. 2.
"""

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.utils.parallel import Parallel, delayed

from sksoft._validation import check_method_params, take_rows
from sksoft.kernels import rowwise
from sksoft.metrics.predictions import check_probabilities

# Ensembles of classifiers, whose members know the classes by their number.
ENSEMBLES = (RandomForestClassifier, ExtraTreesClassifier, BaggingClassifier, VotingClassifier)


def ensemble_inside(estimator):
    """The fitted ensemble that `estimator` is, or None."""
    if isinstance(estimator, FrozenEstimator):
        return ensemble_inside(estimator.estimator)
    known = isinstance(estimator, ENSEMBLES) and getattr(estimator, "voting", "soft") == "soft"
    return estimator if known else None


def bootstrap_members(estimator, X, y, fit_params, n_members, random_state, n_jobs=None) -> list:
    """Clones of `estimator`, each fitted to as many rows of every class as there are, drawn with replacement."""
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


def mutual_information(proba_of_members) -> np.ndarray:
    """I (n,) from an iterable of M arrays (n, K); holds two arrays, not M."""
    total: Any = 0.0
    entropy: Any = 0.0
    n_members = 0
    for proba in proba_of_members:
        proba = np.asarray(check_probabilities(proba), dtype=np.float64)
        total, entropy, n_members = total + proba, entropy + rowwise.entropy_rows(proba), n_members + 1
    return np.maximum(rowwise.entropy_rows(total / n_members) - entropy / n_members, 0.0)


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
