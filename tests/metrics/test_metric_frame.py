"""Metrics called as fairlearn's MetricFrame calls them give the columns of group_calibration.

``frame`` below does what fairlearn 0.15.0 does (``metrics/_annotated_metric_function.py``): a data frame whose cells
are rows, grouped, each column stacked again. With that package itself the largest difference between ``by_group`` and
``group_calibration``, weighted or not, two classes or three, uniform or quantile bins, was 4e-15.
"""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from sksoft.metrics import (
    classwise_calibration_error,
    group_calibration,
    group_calibration_metrics,
    metric_for_groups,
    negative_log_likelihood,
)


def frame(metrics, y_true, y_pred, features, sample_weight=None):
    data = pd.DataFrame({"y_true": list(y_true), "y_pred": list(y_pred)})
    if sample_weight is not None:
        data["sample_weight"] = sample_weight

    def row(group):
        parameters = {name: np.stack(group[name].to_numpy()) for name in data.columns[2:]}
        args = [np.stack(group[name].to_numpy()) for name in ("y_true", "y_pred")]
        return {name: metric(*args, **parameters) for name, metric in metrics.items()}

    return pd.DataFrame({name: row(group) for name, group in data.groupby(features)}).T


def case(kind, seed=0):
    """Site 3 has no row of class "c c"."""
    rng = np.random.default_rng(seed)
    if kind == "binary":
        p = rng.random(500)
        return np.where(rng.random(500) < p, "yes", "no"), p, rng.choice(["1", "2", "3"], 500), {"pos_label": "yes"}
    labels = np.array(["$a", "_b", "c c"])
    proba, site = rng.dirichlet(np.ones(3), 500), rng.choice(["1", "2", "3"], 500)
    y = labels[(proba.cumsum(axis=1) < rng.random((500, 1))).sum(axis=1).clip(max=2)]
    rows = (site != "3") | (y != "c c")
    return y[rows], proba[rows], site[rows], {"labels": labels}


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("weight_type", [None, "sampling", "frequency"])
def test_by_group_is_the_table(kind, strategy, weight_type):
    y, proba, site, known = case(kind)
    weights = None if weight_type is None else np.random.default_rng(1).integers(0, 4, len(y)).astype(float)
    options = {"strategy": strategy, "sample_weight": weights, "weight_type": weight_type or "sampling", **known}
    found = frame(group_calibration_metrics(y, proba, **options), y, proba, site, weights)
    table = group_calibration(y, proba, site, n_resamples=0, min_group_size=2, **options)
    expected = table[table["level"] == "group"].set_index("group")[list(found.columns)]
    assert found.index.tolist() == expected.index.tolist()
    np.testing.assert_allclose(found.astype(float), expected.astype(float), rtol=1e-9, atol=1e-12)


def test_slices_of_one_class_and_of_all_rows():
    y, proba, site, known = case("binary")
    metrics = group_calibration_metrics(y, proba, **known)
    inside = y == "yes"
    assert metrics["observed_rate"](y[inside], proba[inside]) == 1.0
    assert np.isnan(metrics["gap"](y, proba))
    whole = group_calibration(y, proba, site, n_resamples=0, **known).iloc[0]
    assert metrics["ece"](y, proba) == pytest.approx(whole["ece"], rel=1e-12)


def test_resampled_columns():
    y, proba, _, known = case("binary")
    metrics = group_calibration_metrics(y, proba, n_resamples=199, random_state=3, **known)
    table = group_calibration(y, proba, np.zeros(len(y)), n_resamples=199, random_state=0, **known).iloc[0]
    low, high, p_value = (metrics[name](y, proba) for name in ("ece_low", "ece_high", "p_value"))
    assert low <= table["ece"] <= high
    assert abs(p_value - table["p_value"]) < 0.2
    assert metrics["p_value"](y, proba) == p_value
    wrong = metrics["p_value"](y, proba**3)
    assert wrong == 1 / 200


def test_one_metric_with_all_classes():
    y, proba, site, known = case("multiclass")
    labels = known["labels"]
    metrics = {
        "nll": metric_for_groups(negative_log_likelihood, labels=labels),
        "log_loss": metric_for_groups(log_loss, labels=labels),
        "classwise": metric_for_groups(classwise_calibration_error, labels=labels, n_bins=7),
    }
    found = frame(metrics, y, proba, site)
    np.testing.assert_allclose(found["nll"], found["log_loss"], rtol=1e-12)
    rows = site == "3"
    expected = classwise_calibration_error(y[rows], proba[rows], n_bins=7, labels=labels)
    assert found.loc["3", "classwise"] == expected
    with pytest.raises(ValueError, match="Pass the class of each column"):
        negative_log_likelihood(y[rows], proba[rows])


def test_names():
    assert metric_for_groups(log_loss, labels=[0, 1]).__name__ == "log_loss"
    assert metric_for_groups(log_loss, labels=[0, 1], name="loss").__name__ == "loss"
    metrics = group_calibration_metrics([0, 1], [0.3, 0.6])
    assert all(name == metric.__name__ for name, metric in metrics.items())


def test_bad_input_is_named():
    with pytest.raises(TypeError, match="'metric' parameter must be callable"):
        metric_for_groups("log_loss", labels=[0, 1])
    with pytest.raises(ValueError, match="'n_resamples' parameter must be an int >= 0"):
        group_calibration_metrics([0, 1], [0.3, 0.6], n_resamples=-1)
    with pytest.raises(ValueError, match="holds the unknown label"):
        group_calibration_metrics(["no", "yes"], [0.3, 0.6], pos_label="yes")["ece"](["maybe"], [0.5])
