"""What a classifier says of inputs that move away from the data along rays, ``x_α = c + α (x − c)``.

Scores that are piecewise linear in x, as of a linear model or a ReLU network, grow like α along almost every ray, so
``softmax(z(x_α) / T)`` tends to a one-hot vector for every temperature T (Hein, Andriushchenko & Bitterwolf 2019,
theorem 3.1): T only moves the same certainty out to α T. Distances to the data tell such inputs apart; scores that are
functions of the probabilities call them the safest of all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.utils.validation import check_array

from sksoft._validation import check_sample_weight
from sksoft.kernels import rowwise
from sksoft.metrics.ood import neighbor_scores, ood_scores
from sksoft.metrics.scores import predictive_entropy

FACTORS = (1, 2, 5, 10, 100, 1e3, 1e4, 1e5, 1e6)
CERTAIN = 0.99
SAME = 1e-6


@dataclass(frozen=True)
class FarFieldReport:
    """What :func:`far_field_report` found; ``print`` it, or read the table.

    Attributes
    ----------
    table : DataFrame
        A row for each factor and way to make probabilities: ``factor``, ``probabilities`` ('T=1', 'T=2', … or the name
        of a calibrator), ``mean_confidence``, ``share_certain`` (confidence of at least 0.99), ``mean_entropy``
        (nats), ``mean_margin`` (largest score minus the next, in units of the temperature), ``mean_distance`` (to the
        k-th nearest row of X), and how well each tells these inputs from X, as areas under the ROC curve, 0.5 being
        chance and less than that the wrong way round: ``auroc_max_softmax``, ``auroc_entropy``, ``auroc_energy`` (of
        scores proper only, else NaN), ``auroc_distance``.
    logits_from : str
        Method of the estimator that scores were taken from.
    """

    table: pd.DataFrame = field(repr=False)
    logits_from: str

    @property
    def verdict(self) -> str:
        """One sentence on the largest factor."""
        last = self.table[self.table["factor"] == self.table["factor"].max()]
        low, high = last["mean_confidence"].min(), last["mean_confidence"].max()
        where = f"At {last['factor'].iloc[0]:g} times the distance from the centre the mean confidence is "
        shown = f"{low:.3f}" if f"{low:.3f}" == f"{high:.3f}" else f"{low:.3f} to {high:.3f}"
        if low >= CERTAIN:
            return (
                f"{where}{shown} in every row: inputs far from the data are called certain. A temperature T only moves "
                "this out by a factor of T; judge such inputs by their distance to the data."
            )
        if high >= CERTAIN:
            return f"{where}{shown}: some of these probabilities become certain far from the data."
        return f"{where}{shown}: it does not become certainty on these rays."

    def __str__(self) -> str:
        shown = self.table.to_string(index=False, float_format=lambda value: f"{value:.4g}")
        return f"Far from the data (scores from {self.logits_from})\n\n{shown}\n\n{self.verdict}"


def far_field_report(
    estimator,
    X,
    *,
    factors=FACTORS,
    temperatures=(1.0, 2.0, 10.0),
    calibrators=None,
    center=None,
    n_neighbors=10,
    sample_weight=None,
) -> FarFieldReport:
    """How confidence behaves as inputs move away from the data along rays [1]_, and what temperatures do about it.

    Parameters
    ----------
    estimator : fitted classifier or pipeline
        With `predict_proba`. Scores are its `decision_function` where softmax of it is `predict_proba` (linear
        softmax models, logistic regression), else `predict_log_proba`, else logarithms of `predict_proba`.
    X : array-like (n, p) or DataFrame of numbers
        Inputs to start from; a few hundred tell enough.
    factors : sequence of floats >= 0, default=(1, 2, 5, 10, 100, ..., 1e6)
        α of ``c + α (x − c)``; 1 is `X` itself.
    temperatures : sequence of positive floats, default=(1.0, 2.0, 10.0)
    calibrators : dict of str to fitted calibrator, optional
        Each with ``predict_proba(scores)``, scores as above: (n, K), or (n,) for two classes.
    center : array-like (p,), optional
        c; by default the (weighted) mean of `X`.
    n_neighbors : int >= 1, default=10
        Distances are those to the k-th nearest row of `X`, without normalisation.
    sample_weight : array-like (n,), optional
        For all means and areas; zero weight is removal.

    Returns
    -------
    report : FarFieldReport
        With ``table``, ``verdict``, ``logits_from``; ``print(report)`` shows all.

    Raises
    ------
    TypeError
        If the estimator has no `predict_proba`.
    ValueError
        For bad inputs, factors or temperatures.

    Notes
    -----
    One prediction of n rows for each factor, and n² distances for each.

    References
    ----------
    .. [1] M. Hein, M. Andriushchenko, J. Bitterwolf, "Why ReLU networks yield high-confidence predictions far away
       from the training data and how to mitigate the problem", CVPR 2019, theorem 3.1.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sksoft.metrics import far_field_report
    >>> X, y = load_iris(return_X_y=True)
    >>> report = far_field_report(LogisticRegression(max_iter=500).fit(X, y), X, factors=[1, 100, 1e6])
    >>> report.table[["factor", "probabilities", "mean_confidence"]].round(3).iloc[[0, 2, 6, 8]]
          factor probabilities  mean_confidence
    0        1.0           T=1            0.902
    2        1.0          T=10            0.476
    6  1000000.0           T=1            1.000
    8  1000000.0          T=10            1.000
    """
    if not hasattr(estimator, "predict_proba"):
        raise TypeError(
            f"The 'estimator' parameter must be a classifier with predict_proba. Got {estimator!r} instead."
        )
    factors = _checked("factors", factors, 0.0)
    temperatures = _checked("temperatures", temperatures, np.nextafter(0.0, 1.0))
    start = check_array(X, dtype=np.float64, input_name="X")
    weights = check_sample_weight(sample_weight, start)
    start, weights = start[weights > 0], weights[weights > 0]
    centre = np.average(start, axis=0, weights=weights) if center is None else _checked_center(center, start)

    def moved(factor):
        rows = centre + factor * (start - centre) if factor != 1 else start
        return pd.DataFrame(rows, columns=X.columns) if isinstance(X, pd.DataFrame) else rows

    source = _score_source(estimator, moved(1.0))
    views = _Views(source, temperatures, calibrators or {}, weights, start, min(n_neighbors, len(start)))
    near = views.look(estimator, moved(1.0))
    rows = [row for factor in factors for row in views.compared(factor, near, views.look(estimator, moved(factor)))]
    return FarFieldReport(pd.DataFrame(rows), source)


def _score_source(estimator, X) -> str:
    """Method that gives scores whose softmax is `predict_proba`."""
    if hasattr(estimator, "decision_function"):
        scores, proba = _rows(estimator.decision_function(X)), np.asarray(estimator.predict_proba(X))
        if scores.shape == proba.shape and np.abs(_softmax(scores) - proba).max() <= SAME:
            return "decision_function"
    return "predict_log_proba" if hasattr(estimator, "predict_log_proba") else "predict_proba"


def _scores(estimator, X, source: str) -> np.ndarray:
    """(n, K), or (n,) of a decision function for two classes."""
    if source == "predict_proba":
        with np.errstate(divide="ignore"):
            return np.log(np.asarray(estimator.predict_proba(X), dtype=np.float64))
    with np.errstate(divide="ignore"):  # scikit-learn takes the logarithm of zeros of trees
        return np.asarray(getattr(estimator, source)(X), dtype=np.float64)


def _rows(scores) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    return np.column_stack([np.zeros_like(scores), scores]) if scores.ndim == 1 else scores


def _softmax(scores, temperature=1.0) -> np.ndarray:
    return rowwise.softmax_rows(scores, temperature=temperature)


@dataclass(frozen=True)
class _Views:
    """Ways to look at inputs: probabilities at each temperature and of each calibrator, scores, distance."""

    source: str
    temperatures: list
    calibrators: Mapping
    weights: np.ndarray
    start: np.ndarray
    n_neighbors: int

    def look(self, estimator, X) -> tuple[np.ndarray, dict[str, dict[str, np.ndarray]]]:
        """Distances (n,); and for each way what it says of every row."""
        scores = _scores(estimator, X, self.source)
        rows = _rows(scores)
        found = {}
        for t in self.temperatures:
            found[f"T={t:g}"] = self._of_scores(rows, t)
        for name, calibrator in self.calibrators.items():
            proba = np.asarray(calibrator.predict_proba(scores), dtype=np.float64)
            found[str(name)] = _of_proba(proba, ood_scores(proba, input="proba"))
        distance = neighbor_scores(self.start, np.asarray(X), n_neighbors=self.n_neighbors, normalize=False)
        return distance, found

    def _of_scores(self, rows, temperature) -> dict[str, np.ndarray]:
        proba = _softmax(rows, temperature)
        view = _of_proba(proba, ood_scores(rows, temperature=temperature))
        top = np.partition(rows, rows.shape[1] - 2, axis=1)[:, -2:]
        view["margin"] = (top[:, 1] - top[:, 0]) / temperature
        if self.source == "decision_function":
            view["energy"] = ood_scores(rows, method="energy", temperature=temperature)
        return view

    def compared(self, factor, near, far):
        """A row of the table for each way."""
        distance = self._auroc(near[0], far[0])
        for name, view in far[1].items():
            start = near[1][name]
            yield {
                "factor": float(factor),
                "probabilities": name,
                "mean_confidence": self._mean(view["confidence"]),
                "share_certain": self._mean(view["confidence"] >= CERTAIN),
                "mean_entropy": self._mean(view["entropy"]),
                "mean_margin": self._mean(view["margin"]) if "margin" in view else np.nan,
                "mean_distance": self._mean(far[0]),
                "auroc_max_softmax": self._auroc(start["max_softmax"], view["max_softmax"]),
                "auroc_entropy": self._auroc(start["entropy"], view["entropy"]),
                "auroc_energy": self._auroc(start["energy"], view["energy"]) if "energy" in view else np.nan,
                "auroc_distance": distance,
            }

    def _mean(self, values) -> float:
        return float(np.average(values, weights=self.weights))

    def _auroc(self, near, far) -> float:
        truth = np.repeat([0, 1], len(near))
        return float(roc_auc_score(truth, np.concatenate([near, far]), sample_weight=np.tile(self.weights, 2)))


def _of_proba(proba, max_softmax) -> dict[str, np.ndarray]:
    entropy = predictive_entropy(proba)
    return {"confidence": 1.0 - max_softmax, "entropy": entropy, "max_softmax": max_softmax}


def _checked(name, values, lowest) -> list[float]:
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise ValueError(f"The {name!r} parameter must be a sequence of numbers. Got {values!r} instead.") from error
    if not numbers or not all(lowest <= number < np.inf for number in numbers) or len(set(numbers)) < len(numbers):
        kind = "numbers >= 0" if lowest == 0 else "positive numbers"
        raise ValueError(
            f"The {name!r} parameter must hold different, finite {kind}, at least one. Got {values!r} instead."
        )
    return numbers


def _checked_center(center, start) -> np.ndarray:
    center = check_array(center, dtype=np.float64, ensure_2d=False, input_name="center")
    if center.shape != start.shape[1:]:
        raise ValueError(f"The 'center' parameter must have shape {start.shape[1:]}. Got shape {center.shape} instead.")
    return center
