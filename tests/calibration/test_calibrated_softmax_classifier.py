"""CalibratedSoftmaxClassifier around the classifiers people have."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, load_iris, make_classification
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sksoft import (
    CalibratedSoftmaxClassifier,
    GroupTemperatureScaler,
    IdentityCalibrator,
    SoftmaxRegression,
    TemperatureScaler,
)
from sksoft.calibration.calibrated_softmax_classifier import METHODS
from sksoft.calibration.score_input import scored_rows
from sksoft.calibration.selection import FOR_MANY_CLASSES


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, y, random_state=0, stratify=y)


CLASSIFIERS = [GaussianNB(), RandomForestClassifier(20, random_state=0), make_pipeline(StandardScaler(), SVC())]


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize(
    "names", [np.arange(10), np.arange(1, 11), -np.arange(10), np.array(list("abcdefghij"))], ids=str
)
def test_labels_do_not_matter(digits, classifier, names):
    """scikit-learn 1.9.1's temperature method gives the uniform distribution for digits labelled 1 ... 10."""
    X_train, X_test, y_train, y_test = digits
    model = CalibratedSoftmaxClassifier(classifier).fit(X_train, names[y_train])
    proba = model.predict_proba(X_test)
    reference = CalibratedSoftmaxClassifier(classifier).fit(X_train, y_train).predict_proba(X_test)
    assert log_loss(names[y_test], proba, labels=np.unique(names)) < 0.7
    if names[0] < names[1]:  # the columns are then in the same order
        np.testing.assert_allclose(proba, reference, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(model.classes_, np.unique(names))
    assert model.score(X_test, names[y_test]) > 0.8


def test_scikit_learns_temperature_is_wrong_where_ours_is_right(digits):
    """The bug this package does not have; when scikit-learn mends it, this comparison may go."""
    X_train, X_test, y_train, y_test = digits
    ours = CalibratedSoftmaxClassifier(LogisticRegression(max_iter=5000)).fit(X_train, y_train + 1)
    assert log_loss(y_test + 1, ours.predict_proba(X_test)) < 0.2
    if tuple(map(int, sklearn.__version__.split(".")[:3])) <= (1, 9, 1):
        theirs = CalibratedClassifierCV(LogisticRegression(max_iter=5000), method="temperature", ensemble=False)
        assert log_loss(y_test + 1, theirs.fit(X_train, y_train + 1).predict_proba(X_test)) > 2.0


def test_temperature_is_the_same_from_scores_and_from_probabilities():
    """scikit-learn's differs by a factor of two for two classes."""
    X, y = make_classification(400, random_state=0, flip_y=0.2)
    fitted = LogisticRegression(C=100).fit(X, y)
    by_proba = VotingClassifier([("one", fitted)], voting="soft").fit(X, y)  # has no decision_function
    y = np.where(np.random.default_rng(0).uniform(size=400) < 0.2, 1 - y, y)
    scores = CalibratedSoftmaxClassifier(FrozenEstimator(fitted), "temperature").fit(X, y)
    proba = CalibratedSoftmaxClassifier(FrozenEstimator(by_proba), "temperature").fit(X, y)
    np.testing.assert_allclose(proba.calibrator_.temperature_, scores.calibrator_.temperature_, rtol=1e-6)


def test_frozen_is_taken_as_fitted(digits):
    X_train, X_test, y_train, y_test = digits
    fitted = GaussianNB().fit(X_train, y_train)
    model = CalibratedSoftmaxClassifier(FrozenEstimator(fitted), "temperature").fit(X_test, y_test)
    by_hand = TemperatureScaler(input="proba").fit(fitted.predict_proba(X_test), y_test)
    np.testing.assert_allclose(model.calibrator_.temperature_, by_hand.temperature_, rtol=1e-9)
    np.testing.assert_array_equal(model.predict(X_test), fitted.predict(X_test))


def test_frozen_with_fewer_classes_in_the_calibration_part(digits):
    X_train, X_test, y_train, y_test = digits
    model = CalibratedSoftmaxClassifier(FrozenEstimator(GaussianNB().fit(X_train, y_train)))
    assert model.fit(X_test[y_test < 9], y_test[y_test < 9]).predict_proba(X_test).shape == (len(X_test), 10)
    with pytest.raises(ValueError, match=r"holds the label .*77"):
        model.fit(X_test, np.where(y_test == 9, 77, y_test))


def test_out_of_fold_scores_and_one_refit(digits):
    X_train, _, y_train, _ = digits
    cv = StratifiedKFold(3)
    model = CalibratedSoftmaxClassifier(GaussianNB(), "temperature", cv=cv).fit(X_train, y_train)
    scores = np.empty((len(y_train), 10))
    for train, test in cv.split(X_train, y_train):
        scores[test] = GaussianNB().fit(X_train[train], y_train[train]).predict_proba(X_train[test])
    by_hand = TemperatureScaler(input="proba").fit(scores, y_train)
    np.testing.assert_allclose(model.calibrator_.temperature_, by_hand.temperature_, rtol=1e-9)
    np.testing.assert_array_equal(model.estimator_.theta_, GaussianNB().fit(X_train, y_train).theta_)


def test_weight_is_repetition_through_the_internal_folds():
    X, y = make_classification(150, n_classes=3, n_informative=5, random_state=0, flip_y=0.3)
    s = np.random.default_rng(0).integers(0, 4, size=150)
    make = lambda: CalibratedSoftmaxClassifier(SoftmaxRegression(tol=1e-14), method=TemperatureScaler())  # noqa: E731
    weighted = make().fit(X, y, sample_weight=s)
    repeated = make().fit(np.repeat(X, s, axis=0), np.repeat(y, s))
    np.testing.assert_allclose(weighted.calibrator_.temperature_, repeated.calibrator_.temperature_, rtol=1e-9)
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-8)


def test_n_jobs_does_not_change_a_bit(digits):
    X_train, X_test, y_train, _ = digits
    one, two = (CalibratedSoftmaxClassifier(SoftmaxRegression(), n_jobs=n).fit(X_train, y_train) for n in (1, 2))
    np.testing.assert_array_equal(one.predict_proba(X_test), two.predict_proba(X_test))


def test_grid_search_over_the_classifier_inside(digits):
    X_train, _, y_train, _ = digits
    grid = {
        "estimator__C": [1e-3, 1.0],
        "cv": [3, 5],
        "method": ["temperature", "structured", TemperatureScaler(tol=1e-6)],
    }
    search = GridSearchCV(CalibratedSoftmaxClassifier(SoftmaxRegression()), grid, scoring="neg_log_loss", cv=2)
    search.fit(X_train[:300], y_train[:300])
    assert search.best_score_ > -0.6


def test_pipelines_over_text_and_frames():
    texts = ["good film", "bad film", "good plot", "bad plot", "nice film", "awful film", "nice plot", "awful plot"] * 3
    texts = [f"{text} {i}" for i, text in enumerate(texts)]
    y = ["pos", "neg"] * 11 + ["neg", "pos"]  # two mistakes, so that a best temperature exists
    model = CalibratedSoftmaxClassifier(make_pipeline(TfidfVectorizer(), LogisticRegression()), cv=3).fit(texts, y)
    assert model.score(texts, y) > 0.9
    X, target = load_iris(return_X_y=True, as_frame=True)
    framed = CalibratedSoftmaxClassifier(make_pipeline(StandardScaler(), SoftmaxRegression())).fit(X, target)
    assert framed.feature_names_in_.tolist() == X.columns.tolist()


def test_weights_that_the_classifier_does_not_take_are_said(digits):
    X_train, _, y_train, _ = digits
    with pytest.warns(UserWarning, match="KNeighborsClassifier.fit takes no sample_weight"):
        CalibratedSoftmaxClassifier(KNeighborsClassifier()).fit(
            X_train[:300], y_train[:300], sample_weight=np.linspace(0.5, 1, 300)
        )


def test_metadata_routing_reaches_classifier_and_splitter(digits):
    X_train, _, y_train, _ = digits
    X, y = X_train[:300], y_train[:300]
    s, groups = np.random.default_rng(0).uniform(0.5, 2, size=300), np.arange(300) % 6
    with sklearn.config_context(enable_metadata_routing=True):
        model = CalibratedSoftmaxClassifier(SoftmaxRegression().set_fit_request(sample_weight=True), cv=GroupKFold(3))
        model.set_fit_request(sample_weight=True).fit(X, y, sample_weight=s, groups=groups)
    expected = SoftmaxRegression().fit(X, y, sample_weight=s)
    np.testing.assert_array_equal(model.estimator_.coef_, expected.coef_)


def test_bad_input_is_named(digits):
    X_train, _, y_train, _ = digits
    X, y = X_train[:200], y_train[:200].copy()
    with pytest.raises(ValueError, match="The 'method' parameter of CalibratedSoftmaxClassifier"):
        CalibratedSoftmaxClassifier(GaussianNB(), method="bins").fit(X, y)
    with pytest.raises(ValueError, match="Only binary classification"):
        CalibratedSoftmaxClassifier(GaussianNB(), method="platt").fit(X, y)
    with pytest.raises(ValueError, match="The 'cv' parameter"):
        CalibratedSoftmaxClassifier(GaussianNB(), cv=1).fit(X, y)
    with pytest.raises(ValueError, match="The 'estimator' parameter"):
        CalibratedSoftmaxClassifier(StandardScaler()).fit(X, y)
    y[y == 7] = 6
    y[0] = 7
    with pytest.raises(ValueError, match=r"at least two distinct rows of each class; class .*7.* has one"):
        CalibratedSoftmaxClassifier(GaussianNB()).fit(X, y)
    folds = [(np.arange(1, 200), np.arange(1))]
    with pytest.raises(ValueError, match=r"The training part of a fold lacks the classes \[7\]"):
        CalibratedSoftmaxClassifier(GaussianNB(), cv=folds).fit(X, y)


def test_series_with_an_index_of_its_own():
    X, y = load_iris(return_X_y=True, as_frame=True)
    y = pd.Series(y.to_numpy(), index=np.arange(150)[::-1] * 10)
    model = CalibratedSoftmaxClassifier(SoftmaxRegression()).fit(X, y)
    assert model.score(X, y.to_numpy()) > 0.9


@pytest.mark.parametrize("wrap", [lambda svc: svc, lambda svc: make_pipeline(StandardScaler(), svc)])
def test_scores_of_pairs_of_classes_are_refused(wrap):
    X, y = load_iris(return_X_y=True)
    model = CalibratedSoftmaxClassifier(wrap(SVC(decision_function_shape="ovo")))
    with pytest.raises(ValueError, match=r"must give one score per class.*decision_function_shape='ovr'"):
        model.fit(X, y)


def test_folds_from_a_generator_and_folds_without_weight(digits):
    X_train, _, y_train, _ = digits
    X, y = X_train[:300], y_train[:300]
    folds = list(StratifiedKFold(3).split(X, y))
    from_list = CalibratedSoftmaxClassifier(GaussianNB(), "temperature", cv=folds).fit(X, y)
    with sklearn.config_context(enable_metadata_routing=True):
        model = CalibratedSoftmaxClassifier(GaussianNB(), "temperature", cv=(fold for fold in folds))
        assert model.fit(X, y).calibrator_.temperature_ == from_list.calibrator_.temperature_
    with pytest.raises(ValueError, match="The 'cv' parameter must give at least one fold"):
        model.fit(X, y)
    weights = np.ones(300)
    weights[folds[0][1]] = 0.0
    kept = weights > 0
    relabelled = [
        (np.flatnonzero(np.isin(np.flatnonzero(kept), a)), np.flatnonzero(np.isin(np.flatnonzero(kept), b)))
        for a, b in folds[1:]
    ]
    weighted = CalibratedSoftmaxClassifier(GaussianNB(), "temperature", cv=folds).fit(X, y, sample_weight=weights)
    removed = CalibratedSoftmaxClassifier(GaussianNB(), "temperature", cv=relabelled).fit(X[kept], y[kept])
    np.testing.assert_allclose(weighted.calibrator_.temperature_, removed.calibrator_.temperature_, rtol=1e-9)


def test_one_class_and_unfitted_classifiers_are_named(digits):
    X_train, _, y_train, _ = digits
    with pytest.raises(ValueError, match=r"at least 2 classes\. Got one class: 3"):
        CalibratedSoftmaxClassifier(GaussianNB()).fit(X_train[:20], np.full(20, 3))
    with pytest.raises(NotFittedError):
        CalibratedSoftmaxClassifier(FrozenEstimator(GaussianNB())).fit(X_train, y_train)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_named_method_calibrates(digits, name):
    X_train, X_test, y_train, y_test = digits
    if name in ("platt", "beta", "quadratic"):
        y_train, y_test = y_train == 3, y_test == 3
    raw = GaussianNB().fit(X_train, y_train).predict_proba(X_test)
    proba = CalibratedSoftmaxClassifier(GaussianNB(), name).fit(X_train, y_train).predict_proba(X_test)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    if name == "identity":
        np.testing.assert_allclose(proba, raw, atol=1e-12)
    else:
        assert log_loss(y_test, proba) < 0.6 * log_loss(y_test, raw)


def honest(n, n_classes, seed=0):
    """Scores that are calibrated as they are, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    scores = 2.0 * rng.normal(size=(n, n_classes))
    return scores, (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)


class Scores(ClassifierMixin, BaseEstimator):
    """A classifier whose scores are its features."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, X):
        return X if len(self.classes_) > 2 else X[:, 1] - X[:, 0]


@pytest.mark.parametrize("n_classes", [2, 4])
def test_auto_leaves_calibrated_scores_alone(n_classes):
    left = 0
    for seed in range(10):
        X, y = honest(400, n_classes, seed)
        model = CalibratedSoftmaxClassifier(FrozenEstimator(Scores().fit(X, y))).fit(X, y)
        left += isinstance(model.calibrator_, IdentityCalibrator)
    assert left >= 6


@pytest.mark.parametrize("n_classes", [2, 4])
def test_auto_is_not_worse_than_no_calibration(n_classes):
    gains = []
    for seed in range(10):
        X, y = honest(2200, n_classes, seed)
        spoilt = X * (0.4 if seed % 2 else 1.0)  # half of them need nothing
        model = CalibratedSoftmaxClassifier(FrozenEstimator(Scores().fit(X, y))).fit(spoilt[:200], y[:200])
        before = IdentityCalibrator().fit(spoilt[:200], y[:200]).predict_proba(spoilt[200:])
        gains.append(log_loss(y[200:], before) - log_loss(y[200:], model.predict_proba(spoilt[200:])))
    assert min(gains) > -0.03
    assert min(gains[1::2]) > 0.02


def test_auto_says_what_it_compared(digits):
    X_train, X_test, y_train, _ = digits
    model = CalibratedSoftmaxClassifier(GaussianNB()).fit(X_train, y_train)
    table = pd.DataFrame(model.selection_)
    assert table["chosen"].sum() == 1
    assert table["method"].tolist() == ["identity", *FOR_MANY_CLASSES]
    np.testing.assert_allclose(table["gain"], table["log_loss"].iloc[0] - table["log_loss"])
    best = CalibratedSoftmaxClassifier(GaussianNB(), table["method"][table["chosen"]].item()).fit(X_train, y_train)
    np.testing.assert_array_equal(best.predict_proba(X_test), model.predict_proba(X_test))


def test_weight_is_repetition_through_the_choice():
    X, y = make_classification(150, n_classes=3, n_informative=5, random_state=0, flip_y=0.3)
    s = np.random.default_rng(0).integers(0, 4, size=150)
    weighted = CalibratedSoftmaxClassifier(SoftmaxRegression(C=100.0, tol=1e-14)).fit(X, y, sample_weight=s)
    repeated = CalibratedSoftmaxClassifier(SoftmaxRegression(C=100.0, tol=1e-14)).fit(
        np.repeat(X, s, axis=0), np.repeat(y, s)
    )
    pd.testing.assert_frame_equal(pd.DataFrame(weighted.selection_), pd.DataFrame(repeated.selection_), rtol=1e-4)
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-4)


def test_ensemble_averages_the_folds(digits):
    X_train, X_test, y_train, _ = digits
    cv = StratifiedKFold(3)
    model = CalibratedSoftmaxClassifier(GaussianNB(), "temperature", cv=cv, ensemble=True).fit(X_train, y_train)
    by_hand = []
    for train, test in cv.split(X_train, y_train):
        fitted = GaussianNB().fit(X_train[train], y_train[train])
        scaler = TemperatureScaler(input="proba").fit(fitted.predict_proba(X_train[test]), y_train[test])
        by_hand.append(scaler.predict_proba(fitted.predict_proba(X_test)))
    assert len(model.calibrated_classifiers_) == 3
    assert not hasattr(model, "estimator_")
    np.testing.assert_allclose(model.predict_proba(X_test), np.mean(by_hand, axis=0), atol=1e-12)
    np.testing.assert_array_equal(model.predict(X_test), np.mean(by_hand, axis=0).argmax(axis=1))


def test_groups_reach_the_calibrator(digits):
    X_train, X_test, y_train, _ = digits
    groups, test_groups = np.arange(len(X_train)) % 2, np.arange(len(X_test)) % 2

    class ByGroup(TemperatureScaler):
        def fit(self, X, y, sample_weight=None, sensitive_features=None):
            self.seen_ = sensitive_features
            return super().fit(X, y, sample_weight)

        def predict_proba(self, X, sensitive_features=None):
            self.asked_ = sensitive_features
            return super().predict_proba(X)

    model = CalibratedSoftmaxClassifier(GaussianNB(), ByGroup(), cv=StratifiedKFold(3))
    model.fit(X_train, y_train, sensitive_features=groups)
    order = np.concatenate([test for _, test in StratifiedKFold(3).split(X_train, y_train)])
    np.testing.assert_array_equal(model.calibrator_.seen_, groups[order])
    model.predict_proba(X_test, sensitive_features=test_groups)
    np.testing.assert_array_equal(model.calibrator_.asked_, test_groups)
    with sklearn.config_context(enable_metadata_routing=True):
        method = ByGroup().set_fit_request(sensitive_features=True)
        method.set_predict_proba_request(sensitive_features=True)
        routed = CalibratedSoftmaxClassifier(GaussianNB(), method, cv=StratifiedKFold(3))
        routed.fit(X_train, y_train, sensitive_features=groups).predict_proba(X_test, sensitive_features=test_groups)
        np.testing.assert_array_equal(routed.calibrator_.seen_, groups[order])
        np.testing.assert_array_equal(routed.calibrator_.asked_, test_groups)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_auto_is_never_certain_of_everything(n_classes):
    """Few rows that happen to be right throughout are no reason for the temperature zero."""
    X, y = honest(4000, n_classes)
    right = np.flatnonzero(X.argmax(axis=1) == y)[:80]
    rest = np.setdiff1d(np.arange(len(y)), right)
    model = CalibratedSoftmaxClassifier(FrozenEstimator(Scores().fit(X, y))).fit(X[right], y[right])
    assert model.selection_["method"][model.selection_["chosen"]] not in ("temperature", "ensemble_temperature")
    assert log_loss(y[rest], model.predict_proba(X[rest])) < 2.0  # 10 and more where all is certain


def test_method_that_is_no_calibrator(digits):
    X, _, y, _ = digits
    for method in (LogisticRegression(), TemperatureScaler):
        with pytest.raises(ValueError, match=r"The 'method' parameter must be a name or a calibrator"):
            CalibratedSoftmaxClassifier(GaussianNB(), method).fit(X, y)


def test_frozen_classifier_wants_two_classes_too(digits):
    X, _, y, _ = digits
    frozen = FrozenEstimator(GaussianNB().fit(X, y))
    with pytest.raises(ValueError, match=r"at least 2 classes\. Got one class: 3"):
        CalibratedSoftmaxClassifier(frozen).fit(X[y == 3], y[y == 3])


def test_nothing_is_left_of_an_earlier_fit(digits):
    X, _, y, _ = digits
    model = CalibratedSoftmaxClassifier(GaussianNB(), cv=2).fit(X, y)
    model.set_params(method="temperature", ensemble=True).fit(X, y)
    assert not {"selection_", "estimator_", "calibrator_"} & set(vars(model))


@pytest.mark.parametrize("ensemble", [False, True])
def test_groups_may_be_passed_to_predict(digits, ensemble):
    X, X_test, y, _ = digits
    model = CalibratedSoftmaxClassifier(GaussianNB(), GroupTemperatureScaler(1.0), cv=2, ensemble=ensemble)
    model.fit(X, y, sensitive_features=X[:, 20] > 0)
    groups = X_test[:, 20] > 0
    proba = model.predict_proba(X_test, sensitive_features=groups)
    np.testing.assert_array_equal(model.predict(X_test, sensitive_features=groups), proba.argmax(axis=1))


def test_a_gain_of_rounding_is_none():
    """Certain and always right: no calibrator has anything to gain."""
    y = np.arange(90) % 3
    model = CalibratedSoftmaxClassifier(FrozenEstimator(Scores().fit(y[:, None], y)))
    assert isinstance(model.fit(40.0 * np.eye(3)[y], y).calibrator_, IdentityCalibrator)


def test_rows_are_chosen_again_and_again():
    rows = scored_rows(np.eye(3), [0, 1, 2], [1, 0, 2], input="logits", classes=[0, 1, 2], name="Test")
    one = rows.chosen(np.array([1])).chosen(np.array([0]))
    assert one.kept.tolist() == [False, False, True]
    assert one.codes.tolist() == [2]
