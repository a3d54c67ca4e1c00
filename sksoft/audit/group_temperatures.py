"""Are groups over- or under-confident to different degrees? A temperature for each, drawn towards that of all.

For every feature: :class:`~sksoft.GroupTemperatureScaler` on all rows gives the temperatures, and cross-fitted, what
they gain over one temperature for all groups, row by row and paired.
"""

import warnings

import numpy as np
import pandas as pd
from scipy.special import ndtri

from sksoft.audit.recalibration import random_folds
from sksoft.audit.weighted import mean_estimate
from sksoft.calibration import GroupTemperatureScaler
from sksoft.metrics.events import columns
from sksoft.metrics.logits import log_proba
from sksoft.metrics.predictions import Predictions
from sksoft.metrics.sensitive import Level, Partition

# Features of more groups are left out: each is a problem of its own, in every fold and at every strength.
MOST_GROUPS = 100
N_FOLDS = 5
JUDGED, FEW = "judged", "insufficient evidence"

TABLE = ["feature", "group", "n", "effective_n", "temperature", "stderr", "low", "high", "verdict"]
GAINS = [
    *("feature", "groups", "shrinkage", "temperature", "one_temperature", "by_group"),
    *("gain", "gain_low", "gain_high", "note"),
]


def group_temperature_tables(
    predictions: Predictions, partition: Partition, settings: dict
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Temperatures of the groups of every feature, and what they gain.

    Returns
    -------
    temperatures : DataFrame
        ``feature``, ``group``, ``n``, ``effective_n``, ``temperature``, ``stderr``, ``low``, ``high`` (normal),
        ``verdict``: 'insufficient evidence' for groups of fewer effective rows than the smallest judged.
    gains : DataFrame
        A row a feature: ``feature``, ``groups``, ``shrinkage`` (λ in nats, inf for one temperature), ``temperature`` of
        all, cross-fitted log-loss with ``one_temperature`` and ``by_group``, ``gain`` with ``gain_low`` and
        ``gain_high``, ``note``.
    """
    tables, gains = [], []
    for level in partition.levels:
        if level.kind == "group":
            table, gain = _of_feature(predictions, level, level.members[partition.codes], settings)
            tables.append(table)
            gains.append(gain)
    tables = [table for table in tables if len(table)]
    table = pd.concat(tables, ignore_index=True) if tables else _empty()
    return table, pd.DataFrame(gains, columns=GAINS)


def _empty() -> pd.DataFrame:
    """A table without groups, whose numbers are numbers all the same."""
    texts = ("feature", "group", "verdict")
    return pd.DataFrame({name: pd.Series(dtype=object if name in texts else np.float64) for name in TABLE})


def _of_feature(predictions: Predictions, level: Level, groups: np.ndarray, settings: dict):
    weights = _weights(predictions)
    unknown = float("nan")
    gain = dict.fromkeys(GAINS, unknown) | {"feature": level.feature, "groups": len(level.groups), "note": ""}
    if len(level.groups) > MOST_GROUPS:
        return _empty(), gain | {"note": f"more than {MOST_GROUPS} groups"}
    logits, codes = log_proba(columns(predictions)), predictions.codes
    scaler = _fitted(logits, codes, weights, groups)
    table = scaler.temperatures_.drop(columns=["group", "n"])
    half = _normal_width(settings) * table["stderr"]
    size = np.bincount(groups, weights) ** 2 / np.bincount(groups, weights**2)
    table = table.assign(
        feature=level.feature,
        group=level.groups,
        n=np.bincount(groups),
        effective_n=size,
        low=(table["temperature"] - half).clip(lower=0.0),
        high=table["temperature"] + half,
        verdict=np.where(size >= settings["min_group_size"], JUDGED, FEW),
    )
    gain |= {"shrinkage": scaler.shrinkage_, "temperature": scaler.temperature_}
    one, own = _held_out(logits, codes, weights, groups, settings["random_state"])
    means = predictions.mean(one), predictions.mean(own)
    found = mean_estimate(one - own, predictions.weights, settings["confidence_level"])
    gain |= dict(zip(GAINS[4:9], (*means, found.value, found.low, found.high)))
    if len(level.groups) < 2:
        gain |= {"gain": unknown, "gain_low": unknown, "gain_high": unknown, "note": "a single group"}
    return table[TABLE], gain


def _held_out(logits, codes, weights, groups, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """−log p of every row (n,), with one temperature and with those of groups, fitted to the other folds."""
    one, own = np.empty(len(codes)), np.empty(len(codes))
    folds = random_folds(codes * (groups.max() + 1) + groups, min(N_FOLDS, len(codes)), seed)
    for fold in np.unique(folds):
        inside = folds == fold
        scaler = _fitted(logits[~inside], codes[~inside], weights[~inside], groups[~inside])
        truth = np.arange(inside.sum()), codes[inside]
        with warnings.catch_warnings():
            # a group that is in this fold alone has the temperature of all: just what is wanted
            warnings.filterwarnings("ignore", "Groups not seen in fit", UserWarning)
            proba = scaler.predict_proba(logits[inside], sensitive_features=groups[inside])
        smallest = np.finfo(np.float64).tiny
        own[inside] = -np.log(np.maximum(proba[truth], smallest))
        one[inside] = -np.log(np.maximum(scaler.predict_proba(logits[inside])[truth], smallest))
    return one, own


def _fitted(logits, codes, weights, groups) -> GroupTemperatureScaler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a temperature at its bound is shown as such
        return GroupTemperatureScaler(classes=np.arange(logits.shape[1])).fit(
            logits, codes, sample_weight=weights, sensitive_features=groups
        )


def _weights(predictions: Predictions) -> np.ndarray:
    """Weights that sum to the effective rows: the strength of shrinkage is measured against them."""
    weights = predictions.weights
    return np.ones(len(predictions.codes)) if weights is None else weights * (weights.sum() / (weights @ weights))


def _normal_width(settings: dict) -> float:
    return float(ndtri(0.5 + settings["confidence_level"] / 2))
