"""Which calibrator a set of scores wants: chosen by cross-fitted log-loss, and none unless it is better than none.

Every candidate is fitted to all folds but one and judged on that one, so that each row's loss is of a calibrator that
has not seen it. The candidate of least mean loss is taken if it beats leaving the scores alone by more than the
standard error of that difference, which is small, for losses of the same rows are alike.

Scores that rank no other class above any row's own want the temperature zero, and held-out rows of them find nothing
wrong with that. But it is certain of everything, and the first error costs more than all that was gained: calibrators
that go there are not taken then.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sksoft.calibration.binary_scaler import BinaryScaler
from sksoft.calibration.ensemble_temperature_scaler import EnsembleTemperatureScaler
from sksoft.calibration.identity_calibrator import IdentityCalibrator
from sksoft.calibration.score_input import ScoredRows
from sksoft.calibration.structured_matrix_scaler import StructuredMatrixScaler
from sksoft.calibration.temperature_scaler import TemperatureScaler
from sksoft.kernels import placement
from sksoft.kernels.blocks import serial_blas
from sksoft.metrics.folds import content_folds
from sksoft.metrics.logits import log_proba
from sksoft.objective.temperature import TemperatureLoss

# Candidates by name: those that lower the log-loss most often (CalArena, arXiv:2605.30188).
FOR_TWO_CLASSES = {
    "temperature": TemperatureScaler,
    "platt": lambda: BinaryScaler("platt"),
    "beta": lambda: BinaryScaler("beta"),
    "quadratic": lambda: BinaryScaler("quadratic"),
}
FOR_MANY_CLASSES = {
    "temperature": TemperatureScaler,
    "ensemble_temperature": EnsembleTemperatureScaler,
    "structured_vector": lambda: StructuredMatrixScaler(structure="vector"),
    "structured": StructuredMatrixScaler,
}
# Those whose temperature goes to zero where scores separate the labels.
ENDLESS = ("temperature", "ensemble_temperature")
N_FOLDS = 5
# Scores above which two folds have to do.
MANY_SCORES, FEWEST_FOLDS = 1 << 23, 2
# A gain that is none: what rounding makes of losses that are the same, in nats.
RESOLUTION = 1e-9


def select_calibrator(rows: ScoredRows, X):
    """An unfitted calibrator for scores, and the comparison it is from.

    Parameters
    ----------
    rows : ScoredRows
    X : array, DataFrame or sparse matrix of as many rows
        What the scores are of: its content deals rows to folds, for that of scores is rounded.

    Returns
    -------
    calibrator : estimator
    comparison : dict of ndarrays
        By candidate: ``method``, ``log_loss`` (nats, of held-out rows), ``gain`` (what it is below that of no
        calibration), ``gain_stderr`` and ``chosen``.
    """
    makers = {"identity": IdentityCalibrator} | (FOR_TWO_CLASSES if len(rows.classes) == 2 else FOR_MANY_CLASSES)
    if len(rows.classes) > 2 and StructuredMatrixScaler().is_vector_for(len(rows.classes)):
        del makers["structured_vector"]
    codes, weights = placement.to_host(rows.codes), placement.to_host(rows.weights)
    folds = content_folds(X, codes, N_FOLDS if rows.logits.size <= MANY_SCORES else FEWEST_FOLDS)
    with serial_blas():  # many small products, on one thread each
        losses = np.stack([_held_out_losses(make, rows, folds) for make in makers.values()])
    share = weights / weights.sum()
    gains = losses[0] - losses
    gain = gains @ share
    # as of repeated rows, so that weights choose what repetitions choose
    stderr = np.sqrt((gains - gain[:, None]) ** 2 @ share / weights.sum())
    out = ENDLESS if TemperatureLoss(rows.logits, rows.codes, rows.weights).separates else ()
    eligible = np.array([name not in out for name in makers])
    best = int(np.argmax(np.where(eligible, gain, -np.inf)))
    chosen = best if gain[best] > max(stderr[best], RESOLUTION) else 0
    comparison = {
        "method": np.array(list(makers)),
        "log_loss": losses @ share,
        "gain": gain,
        "gain_stderr": stderr,
        "chosen": np.arange(len(makers)) == chosen,
    }
    return list(makers.values())[chosen](), comparison


def _held_out_losses(make, rows: ScoredRows, folds: np.ndarray) -> np.ndarray:
    """−log p of each row's label by a calibrator fitted to the other folds, (n,)."""
    losses = np.empty(len(folds))
    for fold in np.unique(folds):
        held_out = folds == fold
        judged = placement.where(rows.logits, held_out)
        train = rows.chosen(np.flatnonzero(~held_out)) if not held_out.all() else rows
        calibrator = make().set_params(input="logits", classes=rows.classes)
        with warnings.catch_warnings():
            # what a fold's fit has to say is about the fold; the fit to everything says it again where it matters
            warnings.simplefilter("ignore", ConvergenceWarning)
            calibrator.fit(train.logits, rows.classes[placement.to_host(train.codes)], sample_weight=train.weights)
        proba = calibrator.predict_proba(rows.logits[judged])
        own = placement.namespace(proba).arange(len(proba)), rows.codes[judged]
        losses[held_out] = -placement.to_host(log_proba(proba[own]))
    return losses
