"""far_field_report: linear models become certain at any temperature, distances tell, trees level off."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksoft.metrics import far_field_report
from sksoft.metrics.far_field import FarFieldReport

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["$x$", "_setosa", "c"])[Y]
LINEAR = LogisticRegression(max_iter=1000).fit(X, NAMES)


def at(report, factor, probabilities="T=1"):
    table = report.table
    return table[(table["factor"] == factor) & (table["probabilities"] == probabilities)].iloc[0]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_linear_model_becomes_certain_at_every_temperature(n_classes):
    rows = n_classes > Y
    model = LogisticRegression(max_iter=1000).fit(X[rows], NAMES[rows])
    report = far_field_report(model, X[rows], temperatures=(1, 10, 1000), factors=(1, 10, 1e6, 1e9))
    last = report.table[report.table["factor"] == 1e9]
    assert (last["mean_confidence"] > 0.999).all()
    assert (last["mean_entropy"] < 0.01).all()
    assert (last["auroc_max_softmax"] < 0.2).all()  # the farthest inputs are called the safest
    assert (last["auroc_distance"] == 1.0).all()
    assert report.logits_from == "decision_function"
    assert "called certain" in report.verdict


def test_a_temperature_moves_the_same_picture_out():
    """Scores along a ray are z_c + α (z − z_c): with c where all scores agree, T at α T is 1 at α."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(200, 3))
    model = LogisticRegression(fit_intercept=False).fit(inputs, rng.integers(0, 3, 200))
    report = far_field_report(model, inputs, factors=(1, 10, 100, 1000), temperatures=(1, 10), center=np.zeros(3))
    for factor in (1, 10, 100):
        cold, warm = at(report, factor), at(report, 10 * factor, "T=10")
        for name in ("mean_confidence", "mean_entropy", "mean_margin"):
            assert warm[name] == pytest.approx(cold[name], rel=1e-9)


def test_numbers_at_a_factor_by_hand():
    weights = np.random.default_rng(1).integers(0, 3, len(X))
    report = far_field_report(LINEAR, X, factors=(1, 3), temperatures=(2,), sample_weight=weights)
    repeated = np.repeat(X, weights, axis=0)
    centre = repeated.mean(axis=0)
    scores = LINEAR.decision_function(centre + 3 * (repeated - centre)) / 2
    proba = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    row = at(report, 3, "T=2")
    assert row["mean_confidence"] == pytest.approx(proba.max(axis=1).mean(), rel=1e-9)
    assert row["share_certain"] == pytest.approx((proba.max(axis=1) >= 0.99).mean())
    assert row["mean_entropy"] == pytest.approx(-(proba * np.log(proba)).sum(axis=1).mean(), rel=1e-9)
    ordered = np.sort(scores, axis=1)
    assert row["mean_margin"] == pytest.approx((ordered[:, -1] - ordered[:, -2]).mean(), rel=1e-9)
    first = LINEAR.decision_function(repeated) / 2
    truth = np.repeat([0, 1], len(repeated))

    def area(score):
        return roc_auc_score(truth, np.concatenate([score(first), score(scores)]))

    assert row["auroc_energy"] == pytest.approx(area(lambda z: -np.log(np.exp(z).sum(axis=1))), rel=1e-9)
    assert row["auroc_max_softmax"] == pytest.approx(
        area(lambda z: -(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)).max(axis=1)), rel=1e-6
    )


def test_at_factor_one_nothing_is_told_apart():
    row = at(far_field_report(LINEAR, X), 1)
    assert row["mean_confidence"] == pytest.approx(LINEAR.predict_proba(X).max(axis=1).mean(), rel=1e-12)
    assert row.filter(like="auroc").tolist() == [0.5] * 4


def test_relu_networks_pipelines_and_frames():
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    net = MLPClassifier((8,), max_iter=200, random_state=0, tol=1)
    report = far_field_report(make_pipeline(StandardScaler(), net).fit(frame, NAMES), frame)
    assert report.logits_from == "predict_log_proba"
    assert (report.table.query("factor == 1e6")["mean_confidence"] > 0.99).all()
    assert report.table["auroc_energy"].isna().all()


def test_a_forest_levels_off():
    forest = RandomForestClassifier(20, max_depth=2, random_state=0).fit(X, NAMES)
    report = far_field_report(forest, X, temperatures=(1,))
    assert at(report, 1e5)["mean_confidence"] == pytest.approx(at(report, 1e6)["mean_confidence"])
    assert "does not become certainty" in report.verdict


def test_naive_bayes_uses_its_logarithms():
    report = far_field_report(GaussianNB().fit(X, NAMES), X, temperatures=(1, 100), factors=(1, 1e6))
    assert report.logits_from == "predict_log_proba"
    assert np.isfinite(report.table["mean_margin"]).all()


class Halved:
    """A calibrator: scores at half their size."""

    def predict_proba(self, scores):
        scores = np.exp((scores - scores.max(axis=1, keepdims=True)) / 2)
        return scores / scores.sum(axis=1, keepdims=True)


def test_calibrators_are_rows_of_their_own():
    report = far_field_report(LINEAR, X, calibrators={"halved": Halved()}, temperatures=(2,), factors=(1, 7))
    for factor in (1, 7):
        own, same = at(report, factor, "halved"), at(report, factor, "T=2")
        assert own["mean_confidence"] == pytest.approx(same["mean_confidence"], rel=1e-12)
        assert np.isnan(own["mean_margin"])


def test_it_prints():
    report = far_field_report(LINEAR, X, factors=(1, 1e6))
    assert isinstance(report, FarFieldReport)
    text = str(report)
    assert "T=10" in text
    assert report.verdict in text
    assert "table" not in repr(report)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factors": []}, "'factors' parameter must hold different, finite numbers >= 0"),
        ({"factors": [1, -2]}, "'factors' parameter must hold"),
        ({"factors": 3}, "'factors' parameter must be a sequence of numbers"),
        ({"temperatures": [0]}, "'temperatures' parameter must hold different, finite positive numbers"),
        ({"temperatures": [1, 1]}, "'temperatures' parameter must hold different"),
        ({"center": [0.0, 1.0]}, r"'center' parameter must have shape \(4,\)"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        far_field_report(LINEAR, X, **options)


def test_a_regressor_is_refused():
    with pytest.raises(TypeError, match="classifier with predict_proba"):
        far_field_report(LinearRegression().fit(X, Y), X)
