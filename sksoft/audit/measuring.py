"""All frames of a report that come from the predictions, measured one after the other."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pandas as pd
from scipy.special import ndtr

from sksoft.audit.calibrator_choice import CalibratorChoice, choose_calibrator
from sksoft.audit.errors import error_table, slope_table
from sksoft.audit.group_temperatures import group_temperature_tables
from sksoft.audit.hypotheses import calibration_test_table, class_test_table
from sksoft.audit.recalibration import cross_fitted_temperature, judged_arrays, recalibration_table
from sksoft.audit.scores import decomposition_table, score_table
from sksoft.audit.weighted import effective_size, mean_estimate
from sksoft.metrics import group_calibration, group_disparities, multicalibration_error, reliability_curve
from sksoft.metrics.cross_fitting import CrossFitted
from sksoft.metrics.decisions import decision_gaps, partition_rates
from sksoft.metrics.events import columns
from sksoft.metrics.multiplicity import holm
from sksoft.metrics.predictions import Predictions
from sksoft.metrics.sensitive import Partition, partition_rows

Step = Callable[[str], AbstractContextManager]
RESAMPLED = ("n_bins", "strategy", "min_group_size", "n_resamples", "confidence_level")


def measured_frames(
    predictions: Predictions, sensitive_features, settings: dict, recalibrate: bool, step: Step
) -> dict[str, pd.DataFrame]:
    """Frames by name; notes the temperatures and the calibrator chosen in the settings."""
    n_rows = len(predictions.codes) if predictions.kept is None else len(predictions.kept)
    frames: dict[str, pd.DataFrame] = {}
    recalibrated = None
    if recalibrate:
        with step("Cross-fitting a temperature"):
            recalibrated = cross_fitted_temperature(predictions, seed=settings["random_state"])
            frames["recalibration"] = recalibration_table(predictions, recalibrated.proba, settings)
            settings["temperatures"] = recalibrated.temperatures.tolist()
            settings["temperature_at_bound"] = recalibrated.at_bound
    with step("Scores and their decomposition"):
        frames |= _score_frames(predictions, recalibrated, settings)
    with step("Reliability"):
        frames |= _reliability_frames(predictions, recalibrated, settings)
    if recalibrate:
        with step("Choosing a calibrator, cross-fitted"):
            frames |= _calibrator_frames(choose_calibrator(predictions, seed=settings["random_state"]), settings)
    with step("Tests of calibration"):
        frames["calibration_tests"] = calibration_test_table(predictions, settings)
        if not predictions.is_binary:
            frames["class_tests"] = class_test_table(predictions, settings)
    with step("Groups and intersections"):
        features = np.zeros(n_rows) if sensitive_features is None else sensitive_features
        frames["groups"] = _group_frame(predictions, features, settings, sensitive_features is not None)
    with step("Calibration errors with intervals"):
        overall = frames["groups"].iloc[0]
        frames["calibration_errors"] = error_table(predictions, overall, settings)
        frames["calibration_slope"] = slope_table(predictions, settings)
    if sensitive_features is not None:
        partition = partition_rows(sensitive_features, n_rows, predictions.kept)
        frames |= _feature_frames(predictions, sensitive_features, partition, settings, recalibrate, step)
    return frames


def _feature_frames(predictions, features, partition: Partition, settings: dict, recalibrate: bool, step: Step) -> dict:
    """What only sensitive features make possible, beside the groups themselves."""
    frames = {}
    with step("Multicalibration and disparities"):
        frames["disparities"] = group_disparities(
            *_full_arrays(predictions), features, **_group_options(predictions, settings)
        )
        if effective_size(predictions.weights, len(predictions.codes)) >= settings["min_group_size"]:
            frames["multicalibration"] = _multicalibration_frame(predictions, features, settings)
    if recalibrate:
        with step("Temperatures of groups"):
            found = group_temperature_tables(predictions, partition, settings)
            frames["group_temperatures"], frames["group_temperature_gains"] = found
    with step("Decision rates"):
        level = settings["confidence_level"]
        frames["rates"] = partition_rates(predictions, partition, settings["thresholds"], level)
        small = settings["min_group_size"]
        frames["gaps"] = decision_gaps(frames["rates"], min_group_size=small, confidence_level=level)
    return frames


def _calibrator_frames(choice: CalibratorChoice, settings: dict) -> dict:
    """The candidates, and before and after of the calibrator chosen without the rows judged."""
    settings["calibrator"], settings["calibrator_rows"] = choice.recommended, len(choice.judged.codes)
    return {
        "calibrators": choice.candidates,
        "recalibration_chosen": recalibration_table(choice.judged, choice.proba, settings),
        "reliability_chosen_before": _curve(choice.judged, "auto", settings),
        "reliability_chosen_after": _curve(choice.judged, "auto", settings, choice.proba),
    }


def _score_frames(predictions: Predictions, recalibrated: CrossFitted | None, settings: dict) -> dict:
    after = None if recalibrated is None else recalibrated.proba
    return {
        "scores": score_table(predictions, settings["confidence_level"]),
        "decomposition": decomposition_table(predictions, after),
        "classes": class_table(predictions, settings["confidence_level"]),
    }


def class_table(predictions: Predictions, confidence_level: float) -> pd.DataFrame:
    """How often each class occurs and how often it is predicted on average.

    ``class``, ``n``, ``rate``, ``mean_proba``, ``gap`` = mean_proba − rate with ``gap_low`` and ``gap_high``,
    ``p_value`` (normal test of gap 0) and ``p_value_holm``. Of two classes the second is the positive one.
    """
    proba = columns(predictions)
    rows = []
    for k, label in enumerate(predictions.classes):
        hits = predictions.codes == k
        gap = mean_estimate(proba[:, k] - hits, predictions.weights, confidence_level)
        sd = mean_estimate(proba[:, k] - hits, predictions.weights, 2 * ndtr(1.0) - 1)
        spread = (sd.high - sd.low) / 2
        p = 2 * ndtr(-abs(gap.value) / spread) if spread > 0 else (np.nan if gap.value else 1.0)
        means = predictions.mean(hits), predictions.mean(proba[:, k])
        rows.append((str(label), int(hits.sum()), *means, gap.value, gap.low, gap.high, p))
    names = ["class", "n", "rate", "mean_proba", "gap", "gap_low", "gap_high", "p_value"]
    table = pd.DataFrame(rows, columns=names)
    if predictions.is_binary:  # one question asked twice
        return table.assign(p_value_holm=table["p_value"])
    return table.assign(p_value_holm=holm(table["p_value"]))


def _reliability_frames(predictions: Predictions, recalibrated: CrossFitted | None, settings: dict) -> dict:
    frames = {"reliability": _curve(predictions, "auto", settings)}
    if predictions.is_binary:
        frames["reliability_top_label"] = _curve(predictions, "confidence", settings)
    else:
        by_class = _curve(predictions, "classwise", settings)
        frames["reliability_by_class"] = by_class.assign(
            **{"class": [str(predictions.classes[k]) for k in by_class["class"]]}
        )
    if recalibrated is not None:
        frames["reliability_after"] = _curve(predictions, "auto", settings, recalibrated.proba)
    return frames


def _curve(predictions: Predictions, mode: str, settings: dict, proba=None) -> pd.DataFrame:
    """Reliability curve of the predictions, or of `proba` (n, K) in their place."""
    codes, proba, labels = judged_arrays(predictions, proba)
    return reliability_curve(
        codes,
        proba,
        labels=labels,
        mode=mode,
        sample_weight=predictions.weights,
        **{name: settings[name] for name in ("n_bins", "strategy", "confidence_level")},
    )


def _group_frame(predictions: Predictions, features, settings: dict, named: bool) -> pd.DataFrame:
    frame = group_calibration(*_full_arrays(predictions), features, **_group_options(predictions, settings))
    return frame if named else frame[frame["level"] == "overall"].reset_index(drop=True)


def _multicalibration_frame(predictions: Predictions, features, settings: dict) -> pd.DataFrame:
    """Cells of the question, with their errors less what noise makes: E range² of Brownian motion is 4 ln 2 [1]_.

    .. [1] W. Feller, "The asymptotic distribution of the range of sums of independent random variables", Annals of
       Mathematical Statistics 22 (1951).
    """
    options = _group_options(predictions, settings)
    options = {name: options[name] for name in options if name not in ("n_bins", "strategy", "confidence_level")}
    table = multicalibration_error(*_full_arrays(predictions), features, **options).table
    of_noise = 4 * np.log(2) * table["deviation"] ** 2
    return table.assign(error_debiased=np.sqrt((table["error"] ** 2 - of_noise).clip(lower=0.0)))


def _group_options(predictions: Predictions, settings: dict) -> dict:
    """What metrics by group are told; features still have the rows of weight zero, so weights have, too."""
    weights, kept = predictions.weights, predictions.kept
    if kept is not None and weights is not None:
        weights = _with_blanks(weights, kept, 0.0)
    _, _, labels = judged_arrays(predictions)
    options = {"labels": labels, "sample_weight": weights, "random_state": settings["random_state"]}
    return options | {name: settings[name] for name in RESAMPLED}


def _full_arrays(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Codes and probabilities of all rows, those of weight zero included."""
    codes, proba, labels = judged_arrays(predictions)
    kept = predictions.kept
    if kept is None or predictions.weights is None:
        return codes, proba
    return _with_blanks(codes, kept, 0), _with_blanks(proba, kept, 1 / len(labels))


def _with_blanks(values: np.ndarray, kept: np.ndarray, blank) -> np.ndarray:
    """`values` at the rows that were kept, `blank` at the others."""
    full = np.full((len(kept), *values.shape[1:]), blank, dtype=values.dtype)
    full[kept] = values
    return full
