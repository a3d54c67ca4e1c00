"""KnowledgeDistiller as users meet it."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from joblib import parallel_config
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold, RepeatedStratifiedKFold, StratifiedKFold, train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from sksoft import KnowledgeDistiller, SoftmaxRegression
from sksoft.distillation import TeacherWarning
from tests.distillation.two_term_loss import minimum

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
TEACHER = make_pipeline(StandardScaler(), SVC(C=3.0))
STUDENT = SoftmaxRegression(tol=1e-12)
FEW = 300  # rows of digits: more would be worth a compiler, which takes longer than the fits
# Iris is too easy for a teacher to be ahead: what is said of it is tested by itself.
pytestmark = pytest.mark.filterwarnings("ignore:The teacher's log-loss:sksoft.distillation.TeacherWarning")


def digits(train_size=300):
    """Rows with labels, others without, and test rows."""
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
    X, more, y, _ = train_test_split(X, y, train_size=train_size, random_state=0, stratify=y)
    return X, y, more, X_test, y_test


def test_a_strong_teacher_and_rows_without_labels_teach_more_than_labels():
    X, y, more, X_test, y_test = digits(150)
    teacher = OneVsRestClassifier(SVC(C=10.0))
    distiller = KnowledgeDistiller(teacher, SoftmaxRegression(), calibrate_teacher=True, cv=3)
    distiller.fit(X, y, X_unlabeled=more[:FEW])
    plain = SoftmaxRegression().fit(X, y)
    assert distiller.adapter_["name"] == "soft_targets"
    assert distiller.adapter_["exact"]
    assert distiller.alpha_ > 0
    assert distiller.teacher_loss_ < distiller.student_loss_
    assert log_loss(y_test, distiller.predict_proba(X_test)) < 0.6 * log_loss(y_test, plain.predict_proba(X_test))
    assert distiller.score(X_test, y_test) > plain.score(X_test, y_test)
    assert type(distiller.student_) is SoftmaxRegression
    np.testing.assert_allclose(distiller.student_.predict_proba(X_test), distiller.predict_proba(X_test))


def test_the_gain_is_not_automatic_and_the_distiller_knows():
    X, y, _, _, _ = digits()
    weak = make_pipeline(SVC(C=1e-3))  # its scores are all but the same
    with pytest.warns(TeacherWarning) as told:
        distiller = KnowledgeDistiller(weak, SoftmaxRegression(), cv=3).fit(X, y)
    assert distiller.alpha_ == 0.0
    assert distiller.temperature_ == 1.0
    assert f"{distiller.teacher_loss_:.4g}" in str(told[0].message)
    assert f"{distiller.student_loss_:.4g}" in str(told[0].message)
    plain = SoftmaxRegression().fit(X, y)
    np.testing.assert_allclose(distiller.predict_proba(X), plain.predict_proba(X))


def test_an_under_confident_teacher_makes_a_student_worse_unless_it_is_calibrated():
    X, y, _, X_test, y_test = digits()
    flat = FrozenEstimator(LogisticRegression(C=1e-3).fit(*digits(train_size=900)[:2]))  # right, and hardly sure
    losses = {}
    for name, model in {
        "plain": SoftmaxRegression(),
        "forced": KnowledgeDistiller(flat, SoftmaxRegression(), 1.0, 1.0, cv=2),
        "auto": KnowledgeDistiller(flat, SoftmaxRegression(), 1.0, cv=2),
        "calibrated": KnowledgeDistiller(flat, SoftmaxRegression(), 1.0, 1.0, cv=2, calibrate_teacher=True),
    }.items():
        losses[name] = log_loss(y_test, model.fit(X, y).predict_proba(X_test))
    assert losses["forced"] > 1.5 * losses["plain"]
    assert losses["auto"] <= losses["plain"] * (1 + 1e-9)
    assert losses["calibrated"] < 0.5 * losses["forced"]


def test_given_scores_are_fitted_exactly():
    from sksoft.distillation.transfer_rows import TransferRows

    logits = np.random.default_rng(0).normal(size=(150, 3)) + 2 * np.eye(3)[Y]
    distiller = KnowledgeDistiller(None, STUDENT, 2.0, 0.6).fit(X, NAMES, teacher_scores=logits)
    rows = TransferRows(X, Y, np.ones(150), logits, np.unique(NAMES))
    coef, intercept = minimum(rows, 2.0, 0.6, C=1.0)
    np.testing.assert_allclose(distiller.student_.coef_, coef, atol=1e-6)
    np.testing.assert_allclose(distiller.student_.intercept_, intercept, atol=1e-5)
    assert distiller.classes_.tolist() == sorted(set(NAMES))
    assert set(distiller.predict(X)) <= set(NAMES)


def test_votes_are_distributions():
    votes = np.random.default_rng(0).integers(0, 5, (150, 3)) + 20 * np.eye(3, dtype=int)[Y]
    by_votes = KnowledgeDistiller(None, STUDENT, 1.0, 1.0, input="counts").fit(X, Y, teacher_scores=votes)
    shares = votes / votes.sum(axis=1, keepdims=True)
    by_shares = KnowledgeDistiller(None, STUDENT, 1.0, 1.0, input="proba").fit(X, Y, teacher_scores=shares)
    direct = clone(STUDENT).fit(X, shares)
    np.testing.assert_allclose(by_votes.student_.coef_, direct.coef_, atol=1e-7)
    np.testing.assert_array_equal(by_votes.student_.coef_, by_shares.student_.coef_)


def test_scores_of_minus_infinity_are_no_probability():
    logits = np.where(np.arange(3) == (Y[:, None] + 1) % 3, -np.inf, 1.0 + np.eye(3)[Y])
    distiller = KnowledgeDistiller(None, STUDENT, 2.0, 1.0).fit(X, Y, teacher_scores=logits)
    assert np.isfinite(distiller.predict_log_proba(X)).all()


def test_a_frozen_teacher_is_not_fitted_and_speaks_of_the_rows_as_they_are():
    fitted = LogisticRegression(max_iter=1000).fit(X, NAMES)
    frozen = KnowledgeDistiller(FrozenEstimator(fitted), STUDENT, 1.0, 1.0).fit(X, NAMES)
    assert frozen.teacher_.estimator is fitted
    given = KnowledgeDistiller(None, STUDENT, 1.0, 1.0, input="proba")
    given.fit(X, NAMES, teacher_scores=fitted.predict_proba(X))
    np.testing.assert_allclose(frozen.student_.coef_, given.student_.coef_, atol=1e-9)


def test_any_other_teacher_speaks_of_rows_it_has_not_seen():
    folds = list(StratifiedKFold(4, shuffle=True, random_state=0).split(X, Y))
    learnt = KnowledgeDistiller(KNeighborsClassifier(1), STUDENT, 1.0, 1.0, cv=folds).fit(X, Y)
    held_out = np.empty((150, 3))
    for train, test in folds:
        held_out[test] = KNeighborsClassifier(1).fit(X[train], Y[train]).predict_proba(X[test])
    assert (held_out.argmax(axis=1) != Y).any()  # in sample a nearest neighbour is never wrong
    given = KnowledgeDistiller(None, STUDENT, 1.0, 1.0, input="proba").fit(X, Y, teacher_scores=held_out)
    np.testing.assert_allclose(learnt.student_.coef_, given.student_.coef_, atol=1e-9)
    assert learnt.teacher_loss_ == pytest.approx(log_loss(Y, np.maximum(held_out, 2.0**-52)), rel=1e-6)


def test_held_out_losses_are_those_of_the_student_fitted_to_the_other_folds():
    folds = list(StratifiedKFold(3, shuffle=True, random_state=1).split(X, Y))
    weights = np.random.default_rng(0).uniform(0.5, 2, 150)
    distiller = KnowledgeDistiller(TEACHER, STUDENT, 2.0, 0.7, cv=folds)
    distiller.fit(X, Y, sample_weight=weights)
    losses = np.empty(150)
    for train, test in folds:
        plain = clone(STUDENT).fit(X[train], Y[train], sample_weight=weights[train])
        losses[test] = -plain.predict_log_proba(X[test])[np.arange(len(test)), Y[test]]
    assert distiller.student_loss_ == pytest.approx(np.average(losses, weights=weights), rel=1e-7)
    table = pd.DataFrame(distiller.cv_results_)
    assert table[["temperature", "alpha"]].to_numpy().tolist() == [[1.0, 0.0], [2.0, 0.7]]
    assert table.chosen.tolist() == [False, True]  # as the user said, whatever the losses


def test_auto_keeps_labels_alone_unless_the_gain_is_more_than_its_standard_error():
    distiller = KnowledgeDistiller(TEACHER, STUDENT).fit(X, Y)
    table = pd.DataFrame(distiller.cv_results_)
    assert len(table) == 10
    assert table.alpha.eq(0).sum() == 1
    assert table.chosen.sum() == 1
    best = table.iloc[1:].sort_values("gain").iloc[-1]
    expected = (best.temperature, best.alpha) if best.gain > best.gain_stderr else (1.0, 0.0)
    assert (distiller.temperature_, distiller.alpha_) == expected
    trees = KnowledgeDistiller(TEACHER, DecisionTreeClassifier(max_depth=2, random_state=0)).fit(X, Y)
    pairs = list(zip(trees.cv_results_["temperature"], trees.cv_results_["alpha"]))
    assert pairs == [(1, 0), (1, 0.5), (1, 0.9), (1, 1), (2, 1), (4, 1)]


@pytest.mark.parametrize(
    ("student", "adapter", "exact"),
    [
        (SoftmaxRegression(), "soft_targets", True),
        (make_pipeline(StandardScaler(), SoftmaxRegression()), "soft_targets", True),
        (DecisionTreeClassifier(max_depth=3, random_state=0), "repeated_rows", True),
        (make_pipeline(StandardScaler(), GaussianNB()), "repeated_rows", True),
        (LinearSVC(), "repeated_rows", False),
        (Ridge(), "logit_regression", False),
        (make_pipeline(StandardScaler(), Ridge()), "logit_regression", False),
        (KNeighborsClassifier(10), "label_sampling", False),
    ],
    ids=str,
)
@pytest.mark.parametrize("y", [Y, NAMES, Y - 1.0], ids=["int", "str", "float"])
def test_any_student(student, adapter, exact, y):
    distiller = KnowledgeDistiller(TEACHER, student, 1.0, 0.9, random_state=0).fit(X[::2], y[::2], X_unlabeled=X[1::2])
    assert (distiller.adapter_["name"], distiller.adapter_["exact"]) == (adapter, exact)
    assert distiller.adapter_["why"]
    proba = distiller.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    assert distiller.score(X, y) > 0.8
    assert (distiller.classes_[proba.argmax(axis=1)] == distiller.predict(X)).mean() > 0.99


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_a_pipeline_of_the_student_is_the_student_behind_its_steps(temperature):
    Z = StandardScaler().fit_transform(X)
    whole = KnowledgeDistiller(GaussianNB(), make_pipeline(StandardScaler(), STUDENT), temperature, 0.5, cv=FOLDS)
    last = KnowledgeDistiller(GaussianNB(), STUDENT, temperature, 0.5, cv=FOLDS)
    np.testing.assert_allclose(whole.fit(X, Y).predict_proba(X), last.fit(Z, Y).predict_proba(Z), atol=1e-6)


FOLDS = [(train, test) for train, test in StratifiedKFold(3).split(X, Y)]


def test_predictions_at_alpha_one_are_rescaled_by_the_temperature():
    logits = 4 * np.random.default_rng(0).normal(size=(150, 3)) + 4 * np.eye(3)[Y]
    tree = DecisionTreeClassifier(max_depth=3, random_state=0)
    distiller = KnowledgeDistiller(None, tree, 2.0, 1.0).fit(X, Y, teacher_scores=logits)
    own = distiller.student_.predict_proba(X) ** 2
    np.testing.assert_allclose(distiller.predict_proba(X), own / own.sum(axis=1, keepdims=True), atol=1e-12)
    assert distiller.power_ == 2.0
    assert KnowledgeDistiller(None, tree, 2.0, 0.5).fit(X, Y, teacher_scores=logits).power_ == 1.0


def test_what_the_teacher_knows_is_visible():
    X, y, more, _, _ = digits(200)
    more = more[:FEW]
    distiller = KnowledgeDistiller(GaussianNB(), STUDENT, 2.0, 0.9, calibrate_teacher=True).fit(X, y, X_unlabeled=more)
    assert 0.5 < distiller.agreement_ <= 1.0
    assert 0.0 < distiller.kl_ < 2.0
    similarity = distiller.class_similarity_
    np.testing.assert_allclose(similarity.sum(axis=1), 1.0)
    assert (similarity.argmax(axis=1) == np.arange(10)).all()
    assert similarity[8, 1] > similarity[8, 0]  # an eight is more like a one than like a zero to naive Bayes
    assert distiller.teacher_temperature_ > 1.0  # naive Bayes is too sure of itself
    proba = distiller.predict_teacher_proba(more)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    assert proba.max() >= distiller.predict_teacher_proba(more, temperature=3.0).max()


def test_agreement_and_divergence_are_means_over_all_rows():
    logits = np.random.default_rng(0).normal(size=(150, 3)) + 3 * np.eye(3)[Y]
    weights = np.random.default_rng(1).uniform(0.5, 2, 100)
    distiller = KnowledgeDistiller(None, STUDENT, 2.0, 0.9)
    order = np.random.default_rng(2).permutation(150)
    X_, y, logits = X[order], Y[order], logits[order]
    distiller.fit(X_[:100], y[:100], sample_weight=weights, X_unlabeled=X_[100:], teacher_scores=logits)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    q = distiller.predict_proba(X_)
    w = np.append(weights, np.ones(50))
    assert distiller.kl_ == pytest.approx(np.average((p * np.log(p / q)).sum(axis=1), weights=w))
    assert distiller.agreement_ == pytest.approx(np.average(p.argmax(axis=1) == q.argmax(axis=1), weights=w))


@pytest.mark.parametrize("student", [STUDENT, DecisionTreeClassifier(max_depth=2, random_state=0)], ids=str)
def test_weight_is_repetition_and_zero_weight_is_removal(student):
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 3, 150)
    scores = rng.normal(size=(150, 3)) + 2 * np.eye(3)[Y]
    again = np.repeat(np.arange(150), weights)
    distiller = KnowledgeDistiller(None, student)
    weighted = clone(distiller).fit(X, Y, sample_weight=weights, teacher_scores=scores)
    repeated = clone(distiller).fit(X[again], Y[again], teacher_scores=scores[again])
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-8)
    for name in ("log_loss", "gain", "gain_stderr"):
        np.testing.assert_allclose(weighted.cv_results_[name], repeated.cv_results_[name], atol=1e-8)
    assert weighted.kl_ == pytest.approx(repeated.kl_, abs=1e-8)


def test_frames_sparse_rows_and_grid_search():
    frame = pd.DataFrame(X, columns=list("abcd"))
    learnt = KnowledgeDistiller(TEACHER, STUDENT, 2.0, 0.5).fit(frame.iloc[:100], NAMES[:100] == "setosa")
    assert learnt.feature_names_in_.tolist() == list("abcd")
    with_more = KnowledgeDistiller(TEACHER, STUDENT, 2.0, 0.5)
    with_more.fit(frame.iloc[::2], NAMES[::2], X_unlabeled=frame.iloc[1::2])
    as_arrays = KnowledgeDistiller(TEACHER, STUDENT, 2.0, 0.5).fit(X[::2], NAMES[::2], X_unlabeled=X[1::2])
    np.testing.assert_allclose(with_more.predict_proba(frame), as_arrays.predict_proba(X), atol=1e-7)
    thin = KnowledgeDistiller(LogisticRegression(max_iter=1000), STUDENT, 2.0, 0.5)
    thin.fit(sparse.csr_array(X[::2]), NAMES[::2], X_unlabeled=sparse.csr_array(X[1::2]))
    assert thin.score(sparse.csr_array(X), NAMES) > 0.9
    grid = {"temperature": [1.0, 3.0], "alpha": ["auto", 0.5], "student__C": [0.01, 1.0]}
    search = GridSearchCV(KnowledgeDistiller(GaussianNB(), SoftmaxRegression(), cv=3), grid, cv=2, refit=False)
    assert np.isfinite(search.fit(X, NAMES).cv_results_["mean_test_score"]).all()
    assert search.best_params_["student__C"] == 1.0
    assert search.best_score_ > 0.9


def test_drawn_labels_depend_on_the_seed_alone():
    distiller = KnowledgeDistiller(TEACHER, KNeighborsClassifier(10), 1.0, 1.0)
    first = distiller.set_params(random_state=3).fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(first, clone(distiller).fit(X, Y).predict_proba(X))
    assert (first != distiller.set_params(random_state=4).fit(X, Y).predict_proba(X)).any()


def test_metadata_reach_the_teacher_and_the_splitter():
    from sklearn.model_selection import GroupKFold

    groups = np.arange(150) % 5
    with sklearn.config_context(enable_metadata_routing=True):
        teacher = LogisticRegression(max_iter=1000).set_fit_request(sample_weight=True)
        distiller = KnowledgeDistiller(teacher, STUDENT, 2.0, 0.5, cv=GroupKFold(5))
        routed = distiller.fit(X, Y, sample_weight=np.ones(150), groups=groups)
    folds = list(GroupKFold(5).split(X, Y, groups))
    direct = KnowledgeDistiller(LogisticRegression(max_iter=1000), STUDENT, 2.0, 0.5, cv=folds).fit(X, Y)
    np.testing.assert_allclose(routed.student_.coef_, direct.student_.coef_, atol=1e-8)


def test_weights_that_a_teacher_cannot_take_are_not_dropped_in_silence():
    with pytest.warns(UserWarning, match=r"KNeighborsClassifier\.fit takes no sample_weight"):
        KnowledgeDistiller(KNeighborsClassifier(), STUDENT, 1.0, 0.5).fit(X, Y, sample_weight=np.ones(150))


def test_a_teacher_whose_scores_separate_the_classes_stays_as_it_is():
    scores = 5.0 * np.eye(3)[Y]
    with pytest.warns(TeacherWarning, match="calibrate_teacher=True finds no temperature"):
        made = KnowledgeDistiller(None, STUDENT, 1.0, 0.5, calibrate_teacher=True).fit(X, Y, teacher_scores=scores)
    assert made.teacher_temperature_ == 1.0


SCORES = np.eye(3)[Y]
OTHER = FrozenEstimator(LogisticRegression(max_iter=1000).fit(X, NAMES))
BAD = [
    ({}, {"y": np.zeros(150)}, "at least 2 classes. Got one class"),
    ({}, {"y": None}, "requires y to be passed"),
    ({}, {"y": np.where(np.arange(150) == 3, np.nan, Y)}, "Input y contains NaN"),
    ({}, {"X": np.where(np.arange(150)[:, None] == 3, np.nan, X)}, "contains NaN"),
    ({}, {"sample_weight": np.zeros(150)}, "sample_weight|zero"),
    ({"temperature": 0.0}, {}, "The 'temperature' parameter"),
    ({"temperature": -1.0}, {}, "The 'temperature' parameter"),
    ({"temperature": 1e5}, {}, "The 'temperature' parameter"),
    ({"temperature": np.inf}, {}, "The 'temperature' parameter"),
    ({"alpha": 1.01}, {}, "The 'alpha' parameter"),
    ({"alpha": -0.1}, {}, "The 'alpha' parameter"),
    ({"alpha": np.nan}, {}, "The 'alpha' parameter"),
    ({"adapter": "magic"}, {}, "The 'adapter' parameter"),
    ({"adapter": "logit_regression"}, {}, "must be one that suits the student"),
    ({"n_draws": 0}, {}, "The 'n_draws' parameter"),
    ({"input": "votes"}, {}, "The 'input' parameter"),
    ({"cv": 1}, {}, "The 'cv' parameter"),
    ({"cv": RepeatedStratifiedKFold(n_splits=3, n_repeats=2)}, {}, "must hold out every row once"),
    ({"cv": KFold(3)}, {}, "lacks the classes"),
    ({"cv": 2}, {}, "at least 3 folds where the teacher is fitted"),
    ({"teacher": OTHER}, {}, "The 'teacher' parameter must know the classes of y"),
    ({"teacher": None}, {}, "Got neither"),
    ({}, {"teacher_scores": SCORES}, "Got both"),
    ({"teacher": None}, {"teacher_scores": SCORES[:, :2]}, r"'teacher_scores' parameter must have shape \(150, 3\)"),
    ({"teacher": None}, {"teacher_scores": SCORES, "X_unlabeled": X}, r"must have shape \(300, 3\)"),
    ({"teacher": None}, {"teacher_scores": np.where(SCORES == 0, np.nan, 1)}, "teacher_scores contains NaN"),
    ({"teacher": None}, {"teacher_scores": np.full((150, 3), -np.inf)}, "finite score in each row"),
    ({"teacher": None, "input": "proba"}, {"teacher_scores": 2 * SCORES}, "must hold probabilities"),
    ({"teacher": None, "input": "proba"}, {"teacher_scores": np.nan * SCORES}, "teacher_scores contains NaN"),
    ({"teacher": None, "input": "counts"}, {"teacher_scores": SCORES - 1}, "must hold votes >= 0"),
    (
        {"teacher": None, "input": "counts"},
        {"teacher_scores": 0 * SCORES},
        "at least one in each row",
    ),
    (
        {},
        {"X_unlabeled": X[:, :2]},
        "'X_unlabeled' parameter must have the features of X, shape \\(4,\\) a row. Got \\(2,\\)",
    ),
    ({}, {"X_unlabeled": X[:0]}, "'X_unlabeled' parameter must hold rows"),
    (
        {},
        {"X_unlabeled": X[:, :2].tolist()},
        "'X_unlabeled' parameter must have the features of X, shape \\(4,\\) a row. Got \\(2,\\)",
    ),
    (
        {"teacher": None},
        {
            "X": pd.DataFrame(X, columns=list("abcd")),
            "X_unlabeled": pd.DataFrame(X, columns=list("abce")),
            "teacher_scores": np.tile(SCORES, (2, 1)),
        },
        r"'X_unlabeled' parameter must have the columns of X. Got \['e'\] beside, and no \['d'\]",
    ),
    ({"student": StandardScaler()}, {}, "student"),
]


@pytest.mark.parametrize(("params", "fit", "message"), BAD)
def test_bad_input_is_named(params, fit, message):
    made = KnowledgeDistiller(**{"teacher": LogisticRegression(max_iter=1000), "student": STUDENT, **params})
    with pytest.raises(ValueError, match=message):
        made.fit(**{"X": X, "y": Y, **fit})


def test_scores_of_rows_that_weigh_nothing_are_not_looked_at():
    weights = np.where(np.arange(150) == 7, 0.0, 1.0)
    scores = np.where(np.arange(150)[:, None] == 7, np.nan, 2.0 * SCORES)
    kept = np.flatnonzero(weights)
    made = KnowledgeDistiller(None, STUDENT, 2.0, 0.5).fit(X, Y, sample_weight=weights, teacher_scores=scores)
    without = KnowledgeDistiller(None, STUDENT, 2.0, 0.5).fit(X[kept], Y[kept], teacher_scores=scores[kept])
    np.testing.assert_allclose(made.student_.coef_, without.student_.coef_, atol=1e-9)


def test_a_fit_that_fails_leaves_nothing_fitted():
    made = KnowledgeDistiller(None, STUDENT, 2.0, 0.5, adapter="logit_regression")
    with pytest.raises(ValueError, match="adapter"):
        made.fit(X, Y, teacher_scores=SCORES)
    with pytest.raises(NotFittedError):
        made.predict(X)


def test_copies_and_soft_targets_agree_at_temperature_one():
    scores = np.random.default_rng(0).normal(size=(150, 3)) + 2 * SCORES
    soft = KnowledgeDistiller(None, STUDENT, 1.0, 0.5).fit(X, Y, teacher_scores=scores)
    copies = KnowledgeDistiller(None, STUDENT, 1.0, 0.5, adapter="repeated_rows").fit(X, Y, teacher_scores=scores)
    assert copies.adapter_["name"] == "repeated_rows"
    np.testing.assert_allclose(soft.student_.coef_, copies.student_.coef_, atol=1e-5)


def test_folds_side_by_side_give_the_same_bits():
    made = KnowledgeDistiller(GaussianNB(), DecisionTreeClassifier(max_depth=2, random_state=0), cv=3)
    alone = clone(made).fit(X, Y)
    with parallel_config(backend="threading"):
        together = clone(made).set_params(n_jobs=2).fit(X, Y)
    np.testing.assert_array_equal(alone.cv_results_["log_loss"], together.cv_results_["log_loss"])
    np.testing.assert_array_equal(alone.predict_proba(X), together.predict_proba(X))


def test_texts_and_polars_frames():
    import polars as pl

    words = np.array(["short wide petal", "long petal", "long wide sepal petal"])
    texts = [f"{words[k]} {'wide' if row[1] > 3 else 'thin'} x{i}" for i, (k, row) in enumerate(zip(Y, X))]
    student = make_pipeline(TfidfVectorizer(), SoftmaxRegression())
    teacher = make_pipeline(TfidfVectorizer(), MultinomialNB())
    made = KnowledgeDistiller(teacher, student, 2.0, 0.5).fit(texts[::2], NAMES[::2], X_unlabeled=texts[1::2])
    assert made.score(texts, NAMES) > 0.95
    frame = pl.DataFrame(X, schema=list("abcd"))
    by_frame = KnowledgeDistiller(TEACHER, STUDENT, 2.0, 0.5).fit(frame[::2], NAMES[::2], X_unlabeled=frame[1::2])
    by_array = KnowledgeDistiller(TEACHER, STUDENT, 2.0, 0.5).fit(X[::2], NAMES[::2], X_unlabeled=X[1::2])
    np.testing.assert_allclose(by_frame.predict_proba(frame), by_array.predict_proba(X), atol=1e-7)


def test_who_was_given_scores_has_no_teacher_to_ask():
    made = KnowledgeDistiller(None, STUDENT, 1.0, 0.5).fit(X, Y, teacher_scores=SCORES)
    with pytest.raises(ValueError, match="There is no 'teacher' to ask"):
        made.predict_teacher_proba(X)
    other = KnowledgeDistiller(GaussianNB(), STUDENT, 1.0, 0.5).fit(X, Y)
    with pytest.raises(ValueError, match="The 'temperature' parameter must be a float"):
        other.predict_teacher_proba(X, temperature=0.0)
    with pytest.raises(TypeError, match="there is no teacher to fit"):
        KnowledgeDistiller(None, STUDENT).fit(X, Y, teacher_scores=SCORES, groups=Y)


class Tattler(ClassifierMixin, BaseEstimator):
    """Knows which rows it was fitted to, by their first feature."""

    def fit(self, X, y):
        self.classes_, self.seen_ = np.unique(y), set(X[:, 0].tolist())
        HEARD.append(self.seen_)
        return self

    def predict_proba(self, X):
        assert self.seen_.isdisjoint(X[:, 0].tolist()) or len(self.seen_) == len(Y)
        return np.full((len(X), len(self.classes_)), 1.0 / len(self.classes_))

    def predict(self, X):
        return np.repeat(self.classes_[:1], len(X))


HEARD: list = []


def test_the_teacher_is_fitted_without_each_fold_and_each_pair_of_folds():
    numbered = np.column_stack([np.arange(150.0), X])
    folds = [(train, test) for train, test in StratifiedKFold(4).split(X, Y)]
    HEARD.clear()
    KnowledgeDistiller(Tattler(), STUDENT, 1.0, 0.5, cv=folds).fit(numbered, Y)
    tests = [set(test.tolist()) for _, test in folds]
    expected = [set(range(150))]
    expected += [expected[0] - test for test in tests]
    expected += [expected[0] - tests[f] - tests[g] for f in range(4) for g in range(f)]
    assert sorted(map(sorted, HEARD)) == sorted(map(sorted, expected))


def test_held_out_losses_are_of_students_that_heard_nothing_of_the_fold():
    folds = [(train, test) for train, test in StratifiedKFold(3).split(X, Y)]
    made = KnowledgeDistiller(GaussianNB(), STUDENT, 1.0, 1.0, cv=folds).fit(X[:, :2], Y)
    losses = np.empty(150)
    for train, test in folds:
        said = np.empty((150, 3))
        for _, other in folds:
            if other is not test:
                rest = np.setdiff1d(train, other)
                said[other] = GaussianNB().fit(X[rest, :2], Y[rest]).predict_proba(X[other, :2])
        student = clone(STUDENT).fit(X[train, :2], said[train])
        losses[test] = -student.predict_log_proba(X[test, :2])[np.arange(len(test)), Y[test]]
    assert made.cv_results_["log_loss"][1] == pytest.approx(losses.mean(), rel=1e-6)


def test_a_class_that_is_in_two_folds_alone_is_unknown_to_the_teacher_without_them():
    rare = np.where(np.arange(150) < 2, 3, Y)
    folds = [np.arange(150) % 3 == f for f in range(3)]
    cv = [(np.flatnonzero(~fold), np.flatnonzero(fold)) for fold in folds]
    made = KnowledgeDistiller(GaussianNB(var_smoothing=0.1), STUDENT, cv=cv).fit(X, rare)
    assert np.isfinite(made.cv_results_["log_loss"]).all()


def test_where_one_class_is_left_without_two_folds_there_is_nothing_to_say():
    few = np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 1.0], [6.0, 1.0]])
    cv = [([1, 2, 3], [0]), ([0, 2, 3], [1]), ([0, 1], [2, 3])]
    with pytest.raises(ValueError, match="lacks the classes"):
        KnowledgeDistiller(GaussianNB(), STUDENT, cv=cv).fit(few, ["a", "a", "b", "b"])
    cv = [([1, 2, 3], [0]), ([0, 1, 3], [2]), ([0, 2], [1, 3])]
    made = KnowledgeDistiller(GaussianNB(var_smoothing=0.1), STUDENT, cv=cv).fit(few, ["a", "a", "b", "b"])
    assert np.isfinite(made.cv_results_["log_loss"]).all()


def test_a_teacher_that_passes_on_noise_is_not_believed():
    taken = 0
    for seed in range(5):
        X, y = load_wine(return_X_y=True)
        rng = np.random.default_rng(seed)
        y = np.where(rng.random(len(y)) < 0.3, rng.integers(0, 3, len(y)), y)
        half = rng.permutation(len(y))[:107]
        X = StandardScaler().fit_transform(X)[half]
        taken += KnowledgeDistiller(KNeighborsClassifier(3), SoftmaxRegression(C=0.05), cv=4).fit(X, y[half]).alpha_ > 0
    assert taken <= 1  # all five, where teachers have seen the labels that students are judged on
