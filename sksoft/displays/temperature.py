"""Log-loss and calibration error against the temperature."""

from typing import Any

import numpy as np

from sksoft.displays.axes import one_axes, plain_legend
from sksoft.displays.predictions import out_of_fold, predicted, rows_of
from sksoft.metrics import temperature_path
from sksoft.metrics.temperature_curve import TemperaturePath


class TemperaturePathDisplay:
    """Negative log-likelihood and expected calibration error of softmax(scores / T) against T.

    Make it with :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_cv_results`; the constructor stores
    what :func:`~sksoft.metrics.temperature_path` returned, and :meth:`plot` draws it.

    Parameters
    ----------
    path : TemperaturePath

    Attributes
    ----------
    ax_ : matplotlib Axes
        Of the log-loss.
    error_ax_ : matplotlib Axes
        Of the calibration error, on the right.
    figure_ : matplotlib Figure
    loss_line_, error_line_ : matplotlib Line2D
    best_line_ : matplotlib Line2D or None
        At the temperature of least log-loss; None where there is none.

    Examples
    --------
    >>> from sksoft.displays import TemperaturePathDisplay
    >>> scores = [[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]
    >>> display = TemperaturePathDisplay.from_predictions(["a", "a", "b"], scores, temperatures=[1.0, 4.0])
    >>> display.loss_line_.get_xydata().round(3).tolist()
    [[1.0, 0.794], [4.0, 0.641]]
    """

    ax_: Any

    def __init__(self, path: TemperaturePath):
        self.path = path

    @classmethod
    def from_estimator(cls, estimator, X, y, **options):
        """Draw the path of the logarithms of a fitted classifier's probabilities.

        For scores proper, pass what ``decision_function`` says to :meth:`from_predictions`.

        Parameters
        ----------
        estimator : fitted classifier or pipeline with `predict_proba`
        X : array-like (n, p)
        y : array-like (n,)
            True labels.
        **options
            As of :meth:`from_predictions`.

        Returns
        -------
        display : TemperaturePathDisplay
        """
        return cls.from_predictions(y, predicted(estimator, X), input="proba", labels=estimator.classes_, **options)

    @classmethod
    def from_cv_results(cls, cv_results, X, y, *, sample_weight=None, **options):
        """Draw the path of cross-validated predictions, as :meth:`from_estimator` does.

        Parameters
        ----------
        cv_results : dict
            Of scikit-learn's ``cross_validate`` with ``return_estimator=True`` and ``return_indices=True``.
        X, y
            The data that were cross-validated.
        sample_weight : array-like (n,), optional
            Of all rows.
        **options
            As of :meth:`from_predictions`.

        Returns
        -------
        display : TemperaturePathDisplay
        """
        rows, proba, classes, _ = out_of_fold(cv_results, X, y)
        known = {"input": "proba", "labels": classes, "sample_weight": rows_of(sample_weight, rows)}
        return cls.from_predictions(np.asarray(y)[rows], proba, **known, **options)

    @classmethod
    def from_predictions(
        cls,
        y_true,
        scores,
        *,
        input="logits",
        temperatures=None,
        n_bins=15,
        strategy="uniform",
        sample_weight=None,
        labels=None,
        ax=None,
    ):
        """Draw the path of scores or probabilities.

        Parameters
        ----------
        y_true, scores, input, temperatures, n_bins, strategy, sample_weight, labels
            As in :func:`~sksoft.metrics.temperature_path`.
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.

        Returns
        -------
        display : TemperaturePathDisplay
        """
        path = temperature_path(
            y_true,
            scores,
            input=input,
            temperatures=temperatures,
            n_bins=n_bins,
            strategy=strategy,
            sample_weight=sample_weight,
            labels=labels,
        )
        return cls(path).plot(ax=ax)

    def plot(self, ax=None):
        """Draw the path.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.

        Returns
        -------
        self : TemperaturePathDisplay
        """
        self.ax_ = ax = one_axes(ax)
        self.figure_, self.error_ax_ = ax.figure, ax.twinx()
        table = self.path.table
        x = table["temperature"]
        (self.loss_line_,) = ax.plot(x, table["negative_log_likelihood"], color="C0")
        (self.error_line_,) = self.error_ax_.plot(x, table["ece"], color="C1", linestyle="--")
        handles, texts = [self.loss_line_, self.error_line_], ["Log-loss", "Calibration error"]
        self.best_line_ = None
        if not self.path.at_bound:
            self.best_line_ = ax.axvline(self.path.temperature, color="k", linestyle=":", linewidth=1)
            handles.append(self.best_line_)
            texts.append(f"Least log-loss, T = {self.path.temperature:.3g}")
        ax.set_xscale("log")
        ax.set_xlabel("Temperature")
        ax.set_ylabel("Negative log-likelihood (nats)")
        self.error_ax_.set_ylabel("Expected calibration error")
        self.error_ax_.set_ylim(bottom=0)
        plain_legend(self.error_ax_, handles, texts, loc="best")
        return self
