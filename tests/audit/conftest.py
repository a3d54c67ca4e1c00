"""Predictions with known properties, as arrays and as files."""

import csv

import numpy as np
import pytest

from sksoft.audit import audit


@pytest.fixture(scope="session")
def calibrated():
    """4000 binary predictions that are calibrated by construction, with two independent features."""
    rng = np.random.default_rng(7)
    proba = rng.uniform(size=4000)
    return {
        "y_true": np.where(rng.uniform(size=4000) < proba, "yes", "no"),
        "y_proba": proba,
        "pos_label": "yes",
        "sensitive_features": {"sex": rng.choice(["F", "M"], 4000), "site": rng.choice(["a", "b", "c"], 4000)},
    }


@pytest.fixture(scope="session")
def multiclass():
    """3000 calibrated predictions of four classes, with weights some of which are zero."""
    rng = np.random.default_rng(8)
    proba = rng.dirichlet(np.ones(4), 3000)
    codes = (rng.uniform(size=(3000, 1)) > proba.cumsum(axis=1)).sum(axis=1)
    return {
        "y_true": np.array(["w", "x", "y", "z"])[codes],
        "y_proba": proba,
        "sensitive_features": rng.choice(["F", "M"], 3000),
        "sample_weight": rng.integers(0, 3, 3000),
    }


@pytest.fixture(scope="session")
def report(calibrated):
    return audit(**calibrated, n_resamples=199, thresholds=(0.3, 0.6))


@pytest.fixture(scope="session")
def multiclass_report(multiclass):
    return audit(**multiclass, n_resamples=199)


@pytest.fixture(scope="session")
def prediction_rows():
    """Function that gives n rows y, p_a, p_b, sex of calibrated predictions."""

    def rows(n, seed=0, group=lambda i: "FM"[i % 2]):
        rng = np.random.default_rng(seed)
        proba = rng.uniform(size=n).round(4)
        return [
            ["b" if u < p else "a", f"{1 - p:.4f}", f"{p:.4f}", group(i)]
            for i, (p, u) in enumerate(zip(proba, rng.uniform(size=n)))
        ]

    return rows


@pytest.fixture
def write_csv(tmp_path):
    """Write rows under a header as CSV, quoted where needed; returns the path."""

    def write(rows, header=("y", "p_a", "p_b", "sex"), name="predictions.csv", encoding="utf-8", delimiter=","):
        path = tmp_path / name
        with path.open("w", encoding=encoding, newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([header, *rows])
        return path

    return write


@pytest.fixture(scope="session")
def settings():
    """Settings of an audit with few draws, as what it measures is given them."""
    return {
        "n_bins": 15,
        "strategy": "uniform",
        "min_group_size": 50,
        "n_resamples": 99,
        "confidence_level": 0.95,
        "random_state": 0,
        "limits": {"class_rows": 50},
    }


@pytest.fixture(scope="session")
def draws():
    """Function that gives n labels drawn from probabilities, and these to a power that makes them too sharp."""

    def draw(n, seed=0, power=1.0, n_classes=3):
        rng = np.random.default_rng(seed)
        proba = rng.dirichlet(np.ones(n_classes), n)
        y = (rng.uniform(size=(n, 1)) > proba.cumsum(axis=1)).sum(axis=1)
        sharper = proba**power
        return y, sharper / sharper.sum(axis=1, keepdims=True)

    return draw
