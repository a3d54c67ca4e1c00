"""What displays draw: predictions of a fitted classifier, or of every fold's classifier for the rows it did not see."""

import numpy as np

from sksoft._validation import take_rows


def predicted(estimator, X) -> np.ndarray:
    """Probabilities (n, K) by a fitted classifier."""
    if not hasattr(estimator, "predict_proba"):
        raise TypeError(
            f"The 'estimator' parameter must be a classifier with predict_proba. Got {estimator!r} instead."
        )
    return np.asarray(estimator.predict_proba(X))


def out_of_fold(cv_results, X, y) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]:
    """Predictions for the test rows of all folds of a ``cross_validate`` that returned estimators and indices.

    Returns
    -------
    rows : ndarray (m,)
        Rows of X, fold after fold.
    proba : ndarray (m, K)
        By the classifier of the fold.
    classes : ndarray (K,)
    folds : list of ndarray
        Places in `rows` of each fold.

    Raises
    ------
    ValueError
        If `cv_results` lacks estimators or indices, does not belong to `X`, or classes differ between folds.
    """
    missing = [name for name in ("estimator", "indices") if name not in cv_results]
    if missing:
        raise ValueError(
            "The 'cv_results' parameter must come from cross_validate with return_estimator=True and "
            f"return_indices=True. Got a result without {missing} instead."
        )
    estimators, tests = cv_results["estimator"], cv_results["indices"]["test"]
    n_rows = len(y)
    if max(int(test.max()) for test in tests) >= n_rows:
        raise ValueError(f"The indices of 'cv_results' go beyond the {n_rows} rows of y: pass the data of the folds.")
    classes = estimators[0].classes_
    for estimator in estimators:
        if not np.array_equal(estimator.classes_, classes):
            raise ValueError(
                f"All folds must know the same classes: stratify them. Got {list(classes)} and "
                f"{list(estimator.classes_)} instead."
            )
    proba = [predicted(estimator, take_rows(X, test)) for estimator, test in zip(estimators, tests)]
    ends = np.cumsum([len(test) for test in tests])
    folds = [np.arange(end - len(test), end) for test, end in zip(tests, ends)]
    return np.concatenate(tests), np.concatenate(proba), classes, folds


def judged_mode(mode: str, n_classes: int, pos_label) -> str:
    """``'auto'`` of a classifier is ``'binary'`` for two classes or a `pos_label`, else ``'confidence'``."""
    if mode == "auto":
        return "binary" if n_classes == 2 or pos_label is not None else "confidence"
    return mode


def rows_of(values, rows):
    """Those rows of an optional array."""
    return None if values is None else np.asarray(values)[rows]
