r"""A fit that starts from another: coefficients carried over to other classes and other features.

Classes are matched by label and features by name. A class that was known keeps its row, a feature that was known its
column; what is new gets zero coefficients, and a new class the intercept that gives it its share at the mean x̄ of the
features::

    b_new = log(share_new / Σ_known share) + log Σ_known exp(z̄)          z̄ = W x̄ + b

so that the probabilities of the known classes keep their ratios. Two classes have one row u with scores (0, z), more
have a row each; the two are the same model where (0, u) is written as (−u/2, u/2) and two rows as their difference: a
common shift of all scores changes no probability.
"""

import numpy as np
from scipy.special import logsumexp


def one_row_each(coef: np.ndarray, intercept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same model with a row for each class, centred where there was one row for two.

    Parameters
    ----------
    coef : ndarray (1, p) or (K, p)
    intercept : ndarray (1,) or (K,)

    Returns
    -------
    coef : ndarray (K, p), K >= 2
    intercept : ndarray (K,)
    """
    if len(coef) > 1:
        return coef, intercept
    return np.vstack([-0.5 * coef, 0.5 * coef]), np.concatenate([-0.5 * intercept, 0.5 * intercept])


def fewest_rows(coef: np.ndarray, intercept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same model in the layout of ``coef_``: one row, the difference, for two classes."""
    if len(coef) != 2:
        return coef, intercept
    return coef[1:] - coef[:1], intercept[1:] - intercept[:1]


def carry_over(
    coef: np.ndarray,
    intercept: np.ndarray,
    classes: np.ndarray,
    new_classes: np.ndarray,
    *,
    shares: np.ndarray,
    centre: np.ndarray,
    features: np.ndarray | None = None,
    new_features: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients to start a fit from, O(K p).

    Parameters
    ----------
    coef : ndarray (K, p), or (1, p) for two classes
    intercept : ndarray (K,), or (1,) for two classes
    classes, new_classes : ndarray (K,), (K',)
        Labels of the fit that was and of the one to come.
    shares : ndarray (K',), positive where a class is new
        Share of the weight of each class to come.
    centre : ndarray (p',)
        Mean x̄ of the features to come.
    features, new_features : ndarray (p,), (p',) of names, optional
        Without both, the number of features must be the same.

    Returns
    -------
    coef : ndarray (K', p'), or (1, p') for two classes
    intercept : ndarray (K',), or (1,) for two classes

    Raises
    ------
    ValueError
        If the number of features differs and their names are not known.
    """
    coef, intercept = one_row_each(*_to_features(coef, intercept, len(centre), features, new_features))
    row_of = {label: row for row, label in enumerate(classes.tolist())}
    rows = np.array([row_of.get(label, -1) for label in new_classes.tolist()])
    known = rows >= 0
    started = np.zeros((len(new_classes), len(centre)))
    level = np.zeros(len(new_classes))
    started[known], level[known] = coef[rows[known]], intercept[rows[known]]
    if not known.all():
        level[~known] = np.log(shares[~known])
        if known.any():
            level[~known] += logsumexp(level[known] + started[known] @ centre) - np.log(shares[known].sum())
    return fewest_rows(started, level)


def _to_features(coef, intercept, n_features: int, features, new_features):
    """Columns in the order of the features to come, zero where a feature is new."""
    if features is None or new_features is None:
        if coef.shape[1] != n_features:
            raise ValueError(
                f"warm_start=True needs the {coef.shape[1]} features of the previous fit, or names for the features of"
                f" both fits. Got {n_features} features instead."
            )
        return coef, intercept
    column_of = {name: column for column, name in enumerate(features)}
    columns = np.array([column_of.get(name, -1) for name in new_features])
    carried = np.zeros((len(coef), n_features))
    carried[:, columns >= 0] = coef[:, columns[columns >= 0]]
    return carried, intercept
