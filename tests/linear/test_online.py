"""partial_fit: resumes with the same bits, learns classes late, and comes near the optimum of all it has seen."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import softmax
from sklearn.datasets import load_digits, load_iris
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

import sksoft
from sksoft import SoftmaxRegression
from sksoft.linear import online
from sksoft.linear.late_classes import with_classes
from sksoft.linear.row_loss import Rows
from sksoft.linear.stream import Stream
from sksoft.objective.links import LINKS
from sksoft.objective.losses import FenchelYoung
from sksoft.objective.scores import Linear
from sksoft.objective.targets import Labels


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def iris():
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(y))
    return StandardScaler().fit_transform(X)[order], y[order]


def batches(n, size):
    return [slice(i, i + size) for i in range(0, n, size)]


def learnt(X, y, size=30, epochs=1, model=None, **params):
    model = SoftmaxRegression(**params) if model is None else model
    for _ in range(epochs):
        for rows in batches(len(y), size):
            model.partial_fit(X[rows], y[rows])
    return model


def assert_same_bits(a, b):
    np.testing.assert_array_equal(a.coef_, b.coef_)
    np.testing.assert_array_equal(a.intercept_, b.intercept_)
    assert a.online_state_.keys() == b.online_state_.keys()
    for key, value in a.online_state_.items():
        np.testing.assert_array_equal(value, b.online_state_[key], err_msg=key)


KINDS = {"curvature": (4, 3), "kronecker": (120, 20), "adagrad": (1100, 3)}


def problem(kind, rng, n=120):
    p, K = KINDS[kind]
    y = np.append(np.arange(K), rng.integers(K, size=n - K))
    X = np.where(rng.uniform(size=(n, p)) < 0.5, rng.normal(size=(n, p)) + 3.0 * rng.normal(size=(K, p))[y], 0.0)
    return X, y


def memory_of(model):
    return model.online_state_["memory"]


# --- state -----


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_resumes_with_the_same_bits(kind, container, rng):
    X, y = problem(kind, rng)
    X = container(X)
    through, resumed = SoftmaxRegression(), SoftmaxRegression()
    for rows in batches(120, 40):
        through.partial_fit(X[rows], y[rows], classes=np.unique(y))
        resumed = pickle.loads(pickle.dumps(resumed)).partial_fit(X[rows], y[rows], classes=np.unique(y))
    assert memory_of(through) == kind
    assert_same_bits(through, resumed)


def test_state_is_plain_data():
    state = learnt(*iris()).online_state_
    for key, value in state.items():
        assert isinstance(value, np.ndarray | float | int | str), key
        assert not isinstance(value, np.ndarray) or value.dtype == np.float64


@pytest.mark.parametrize("kind", KINDS)
def test_threads_change_no_bit(kind, rng):
    X, y = problem(kind, rng)
    one = SoftmaxRegression().partial_fit(X, y)
    with sksoft.config_context(n_threads=5):
        assert_same_bits(one, SoftmaxRegression().partial_fit(X, y))


def test_a_batch_that_is_refused_leaves_the_model_as_it_was():
    X, y = iris()
    model = learnt(X, y)
    before = copy.deepcopy(model)
    with pytest.raises(ValueError, match="NaN"):
        model.partial_fit(np.full((2, 4), np.nan), y[:2])
    with pytest.raises(ValueError, match="expecting 4 features"):
        model.partial_fit(X[:, :3], y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.partial_fit(X, y[:-1])
    with pytest.raises(ValueError, match="requires y to be passed"):
        model.partial_fit(X, None)
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        model.partial_fit(X, y, sample_weight=-np.ones(len(y)))
    assert_same_bits(model, before)


# --- a call is a set of weighted rows -----


def assert_same_model(a, b, atol=1e-7):
    np.testing.assert_allclose(a.coef_, b.coef_, atol=atol)
    np.testing.assert_allclose(a.intercept_, b.intercept_, atol=atol)


@pytest.mark.parametrize("kind", KINDS)
def test_weight_is_repetition_and_zero_weight_is_removal(kind, rng):
    X, y = problem(kind, rng)
    s = rng.integers(0, 4, size=len(y))
    s[: KINDS[kind][1]] = 2  # every class weighs something
    order = rng.permutation(s.sum())
    weighted, repeated = SoftmaxRegression(), SoftmaxRegression()
    for _ in range(2):
        weighted.partial_fit(X, y, sample_weight=s)
        repeated.partial_fit(np.repeat(X, s, axis=0)[order], np.repeat(y, s)[order])
    assert memory_of(weighted) == kind
    assert_same_model(weighted, repeated)


@pytest.mark.parametrize("kind", KINDS)
def test_sparse_is_dense(kind, rng):
    X, y = problem(kind, rng)
    dense, ours = SoftmaxRegression().partial_fit(X, y), SoftmaxRegression().partial_fit(sparse.csc_array(X), y)
    assert_same_model(ours, dense)


def test_rows_sorted_by_class_do_no_harm():
    X, y = load_digits(return_X_y=True)
    X, order = StandardScaler().fit_transform(X), np.argsort(y, kind="stable")
    as_they_come, by_class = SoftmaxRegression().partial_fit(X, y), SoftmaxRegression().partial_fit(X[order], y[order])
    assert_same_model(by_class, as_they_come)


# --- what is tracked -----


def objective(model, X, y, C, factors=1.0):
    """F of the coefficients: mean log-loss plus the ridge of C."""
    return log_loss(y, model.predict_proba(X)) + np.sum(factors * model.coef_**2) / (2.0 * C * len(y))


def satimage(shared_data):
    """Standardised, in random order: as they come, all rows of a corner of the picture follow one another."""
    frame = pd.read_csv(shared_data / "multiclass" / "satimage.csv.gz").sample(frac=1.0, random_state=0)
    return StandardScaler().fit_transform(frame.drop(columns="classes")), frame["classes"].to_numpy()


@pytest.mark.parametrize(("epochs", "share"), [(1, 0.06), (4, 0.012)])
@pytest.mark.parametrize("C", [1.0, 100.0])
def test_near_the_optimum_of_what_was_seen_on_satimage(epochs, share, C, shared_data):
    X, y = satimage(shared_data)
    model = learnt(X, y, size=500, epochs=epochs, C=C)
    best = SoftmaxRegression(C=C * epochs).fit(X, y)
    assert objective(model, X, y, C * epochs) <= (1.0 + share) * best.objective_


def newsgroups(shared_data):
    file = np.load(shared_data / "text" / "newsgroups20_bow.npz")
    counts = sparse.csr_array((file["data"], file["indices"], file["indptr"]), shape=tuple(file["shape"]))
    rows = np.random.default_rng(0).permutation(counts.shape[0])[:3000]
    X = sparse.csr_array(TfidfTransformer(sublinear_tf=True).fit_transform(counts[rows].astype(float)))
    return X[:2000], file["y"][rows[:2000]], X[2000:], file["y"][rows[2000:]]


def test_held_out_loss_of_text_is_near_the_optimums_and_below_one_versus_rest(shared_data):
    X, y, X_test, y_test = newsgroups(shared_data)
    classes = np.unique(y)
    model, peer = SoftmaxRegression(C=50.0), SGDClassifier(loss="log_loss", random_state=0)
    for rows in batches(len(y), 500):
        model.partial_fit(X[rows], y[rows], classes=classes)
        peer.partial_fit(X[rows], y[rows], classes=classes)
    best = SoftmaxRegression(C=50.0, tol=1e-3).fit(X, y)
    ours = log_loss(y_test, model.predict_proba(X_test))
    assert memory_of(model) == "adagrad"
    assert ours <= 1.1 * log_loss(y_test, best.predict_proba(X_test))
    assert ours < log_loss(y_test, peer.predict_proba(X_test))


def test_below_one_versus_rest_on_satimage(shared_data):
    X, y = satimage(shared_data)
    model, peer = SoftmaxRegression(), SGDClassifier(loss="log_loss", random_state=0)
    for rows in batches(4500, 500):
        model.partial_fit(X[rows], y[rows], classes=np.unique(y))
        peer.partial_fit(X[rows], y[rows], classes=np.unique(y))
    ours, theirs = (log_loss(y[4500:], m.predict_proba(X[4500:])) for m in (model, peer))
    assert ours <= 0.5 * theirs


@pytest.mark.parametrize("link", ["softmax", "sparsemax", "entmax15", 1.3])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_link_comes_near_its_optimum(link, n_classes):
    X, y = iris()
    X, y = X[y < n_classes], y[y < n_classes]
    model = learnt(X, y, epochs=20, link=link)
    best = SoftmaxRegression(C=20.0, link=link).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), best.predict_proba(X), atol=0.08)


@pytest.mark.parametrize("params", [{}, {"class_weight": {0: 3.0, 2: 0.5}}, {"label_smoothing": 0.2}])
def test_targets_and_weights_are_those_of_fit(params):
    X, y = iris()
    model = learnt(X, y, epochs=20, **params)
    best = SoftmaxRegression(C=20.0, **params).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), best.predict_proba(X), atol=0.05)


@pytest.mark.parametrize("soft", [False, True])
def test_balanced_weights_follow_the_shares_seen_so_far(soft):
    X, y = iris()
    X, y = np.vstack([X, X[y == 0], X[y == 0]]), np.append(y, [0] * 100)  # 150 : 50 : 50
    order = np.random.default_rng(0).permutation(len(y))
    X, y = X[order], y[order]
    target = np.eye(3)[y] if soft else y
    model = learnt(X, target, size=25, epochs=20, class_weight="balanced")
    best = SoftmaxRegression(C=20.0, class_weight="balanced").fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), best.predict_proba(X), atol=0.05)
    np.testing.assert_allclose(model.seen_weight_, 20 * np.bincount(y), rtol=1e-12)
    np.testing.assert_allclose(best.seen_weight_, np.bincount(y), rtol=1e-12)
    again = SoftmaxRegression(class_weight="balanced").fit(X, y).partial_fit(X, target)
    np.testing.assert_allclose(again.seen_weight_, 2 * np.bincount(y), rtol=1e-12)


def test_soft_labels_are_learnt(rng):
    X, y = iris()
    soft = rng.dirichlet(np.ones(3), size=len(y)) * 0.3 + 0.7 * np.eye(3)[y]
    model = SoftmaxRegression(classes=["a", "b", "c"])
    for _ in range(20):
        for rows in batches(len(y), 30):
            model.partial_fit(X[rows], soft[rows])
    best = SoftmaxRegression(C=20.0, classes=["a", "b", "c"]).fit(X, soft)
    np.testing.assert_array_equal(model.classes_, ["a", "b", "c"])
    np.testing.assert_allclose(model.predict_proba(X), best.predict_proba(X), atol=0.03)


def test_without_intercept_and_without_penalty():
    X, y = load_digits(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = learnt(X, y, size=200, C=np.inf, fit_intercept=False)
    np.testing.assert_array_equal(model.intercept_, 0.0)
    assert np.isfinite(model.coef_).all()
    assert model.score(X, y) > 0.95


def test_penalty_factors_are_those_of_fit():
    X, y = iris()
    params = {"feature_penalty": [0.0, 1.0, 50.0, 1.0], "class_penalty": [1.0, 2.0, 1.0]}
    model = learnt(X, y, epochs=20, **params)
    best = SoftmaxRegression(C=20.0, **params).fit(X, y)
    factors = np.outer(params["class_penalty"], params["feature_penalty"])
    assert objective(model, X, y, 20.0, factors) <= 1.05 * best.objective_
    # and not as if there were none
    assert objective(learnt(X, y, epochs=20), X, y, 20.0, factors) > 1.5 * best.objective_


# --- classes that come late -----


def late_stream(X, y, late, before):
    """Rows in order, those of the late class not among the first `before`."""
    early = np.flatnonzero(y != late)[:before]
    order = np.concatenate([early, np.setdiff1d(np.arange(len(y)), early)])
    return X[order], y[order]


@pytest.mark.parametrize("late", [0, 5, 9])
def test_a_late_class_is_learnt_in_its_place(late, rng):
    X, y = load_digits(return_X_y=True)
    X, y = StandardScaler().fit_transform(X), y.astype(str)
    X, y = late_stream(X, y, str(late), 800)
    model = learnt(X[:800], y[:800], size=200)
    assert str(late) not in model.classes_
    learnt(X[800:], y[800:], size=200, model=model)
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    assert (model.predict(X) == y)[y == str(late)].mean() > 0.9
    assert (model.predict(X) == y)[y != str(late)].mean() > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_memories_of_every_kind_take_late_classes(kind, rng):
    X, y = problem(kind, rng, n=240)
    K = KINDS[kind][1]
    early = y < K - 1
    model = SoftmaxRegression().partial_fit(X[early], y[early])
    model.partial_fit(X, y)
    assert memory_of(model) == kind
    assert model.coef_.shape == (K, X.shape[1])
    assert model.score(X, y) > 0.5


@pytest.mark.parametrize("late", [-1, 0.5, 2])
def test_two_classes_become_three(late):
    X, y = iris()
    y = np.array([0.0, 1.0, late])[y]
    two = np.isin(y, [0.0, 1.0])
    y = y.astype(int) if late != 0.5 else np.array([f"{v:.1f}" for v in y])
    model = SoftmaxRegression().partial_fit(X[two], y[two])
    assert model.coef_.shape == (1, 4)
    for _ in range(5):
        model.partial_fit(X, y)
    assert model.coef_.shape == (3, 4)
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    assert model.score(X, y) > 0.9


def rows_of(X, codes, n_classes, link="softmax"):
    scores = Linear(X.shape[1], n_classes, True)
    X = np.hstack([X, np.ones((len(X), 1))])
    return Rows(X, Labels(codes, n_classes), np.ones(len(X)), scores, FenchelYoung(LINKS[link]), 2.0)


@pytest.mark.parametrize("link", ["softmax", "sparsemax"])
def test_a_new_row_starts_at_the_share_of_its_class(link):
    X, y = iris()
    stream = Stream.start(np.array([0, 1]), Linear(4, 2, True))
    stream = online._learn(stream, rows_of(X[y < 2], y[y < 2], 2, link), np.full((1, 5), 0.1), np.array([50.0, 50.0]))
    before = stream.state.w
    extended = with_classes(stream, np.array([0, 1, 2]), rows_of(X, y, 3, link))
    w = extended.state.w
    np.testing.assert_array_equal(w[2, :-1], 0.0)
    np.testing.assert_allclose(w[1] - w[0], before[0], rtol=1e-12)
    proba = LINKS[link].predict(rows_of(X, y, 3).X @ w.T / 2.0)
    np.testing.assert_allclose(proba[:, 2].mean(), 50 / 250, rtol=1e-6)  # of 100 rows before and 150 now
    if link == "softmax":
        known = proba[:, 1] / proba[:, :2].sum(axis=1)
        np.testing.assert_allclose(known, softmax(np.outer(rows_of(X, y, 3).X @ before[0], [0, 0.5]), axis=1)[:, 1])


def test_classes_that_were_named_need_not_come():
    X, y = iris()
    model = SoftmaxRegression().partial_fit(X[y == 1], y[y == 1], classes=[0, 1, 2])
    assert (model.predict(X[y == 1]) == 1).all()
    model.partial_fit(X[y != 1], y[y != 1], classes=[0, 1, 2, 7])
    np.testing.assert_array_equal(model.classes_, [0, 1, 2, 7])
    assert model.predict_proba(X)[:, 3].max() < 0.1


def test_rows_of_weight_zero_bring_no_class():
    X, y = iris()
    model = SoftmaxRegression().partial_fit(X, y, sample_weight=(y < 2).astype(float))
    np.testing.assert_array_equal(model.classes_, [0, 1])


# --- annealing -----


def test_the_schedule_is_followed_and_ends_where_it_says():
    X, y = iris()
    model, seen = SoftmaxRegression(temperature=(4.0, 1.0, 4)), []
    for _ in range(6):
        seen.append(model.partial_fit(X, y).temperature_)
    np.testing.assert_allclose(seen, [4.0, 4.0**0.75, 2.0, 4.0**0.25, 1.0, 1.0])
    called = SoftmaxRegression(temperature=lambda step: 4.0 * 4.0 ** (-min(step, 4) / 4))
    for _ in range(6):
        called.partial_fit(X, y)
    np.testing.assert_allclose(called.coef_, model.coef_, rtol=1e-9)


def test_a_fixed_temperature_is_another_c():
    X, y = iris()
    warm, plain = learnt(X, y, temperature=2.0, C=4.0), learnt(X, y)
    np.testing.assert_allclose(warm.coef_ / 2.0, plain.coef_, rtol=1e-6, atol=1e-9)


def test_annealing_moves_the_path_and_not_where_it_leads(shared_data):
    X, y = satimage(shared_data)
    annealed, fixed = learnt(X, y, size=500, epochs=3, temperature=(5.0, 1.0, 13)), learnt(X, y, size=500, epochs=3)
    assert not np.allclose(annealed.coef_, fixed.coef_, atol=1e-3)
    losses = [log_loss(y, softmax(X @ m.coef_.T + m.intercept_, axis=1)) for m in (annealed, fixed)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.05)


# --- refusals -----


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"temperature": (1.0, 2.0)}, r"must be \(start, end, steps >= 1\)"),
        ({"temperature": (1.0, -2.0, 3)}, "must be positive and finite"),
        ({"temperature": lambda step: np.nan}, "must be positive and finite"),
        ({"prior_logits": [0.0, 1.0, 2.0]}, "'prior_logits' parameter is not supported for partial_fit"),
    ],
)
def test_what_cannot_be_learnt_in_batches_is_refused(params, message):
    with pytest.raises(ValueError, match=message):
        SoftmaxRegression(**params).partial_fit(*iris())


def test_a_first_batch_of_one_class_is_refused():
    X, y = iris()
    with pytest.raises(ValueError, match="first batch of partial_fit must hold samples of at least 2 classes"):
        SoftmaxRegression().partial_fit(X[y == 0], y[y == 0])


def test_labels_of_another_type_are_refused():
    X, y = iris()
    model = SoftmaxRegression().partial_fit(X, y)
    with pytest.raises(ValueError, match="Labels must be of one type"):
        model.partial_fit(X, y.astype(str))


def test_soft_labels_of_other_columns_are_refused():
    X, y = iris()
    model = SoftmaxRegression().partial_fit(X, np.eye(3)[y])
    with pytest.raises(ValueError, match="must have the columns of the first batch"):
        model.partial_fit(X, np.eye(3)[y], classes=[1, 2, 3])


@pytest.mark.parametrize("kind", KINDS)
def test_partial_fit_goes_on_from_fit(kind, rng):
    X, y = problem(kind, rng, n=400)
    model = SoftmaxRegression(C=0.1).fit(X[:300], y[:300])
    first = model.coef_
    before = log_loss(y[300:], model.predict_proba(X[300:]))
    model.partial_fit(X[300:], y[300:])
    assert memory_of(model) == kind
    assert log_loss(y[300:], model.predict_proba(X[300:])) < before
    assert np.linalg.norm(model.coef_ - first) < 0.5 * np.linalg.norm(first)
    np.testing.assert_allclose(model.seen_weight_, np.bincount(y))
    assert not hasattr(model, "gap_")


def test_a_fit_and_batches_come_near_the_optimum_of_both(shared_data):
    X, y = satimage(shared_data)
    model = learnt(X[3000:], y[3000:], size=500, model=SoftmaxRegression().fit(X[:3000], y[:3000]))
    assert objective(model, X, y, 1.0) <= 1.02 * SoftmaxRegression().fit(X, y).objective_


def test_classes_that_come_after_a_fit_are_learnt():
    X, y = iris()
    model = SoftmaxRegression().fit(X[y < 2], y[y < 2])
    for _ in range(5):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.9


def test_fit_starts_anew_after_partial_fit():
    X, y = iris()
    model = SoftmaxRegression().partial_fit(X[y < 2], y[y < 2])
    np.testing.assert_array_equal(model.fit(X, y).coef_, SoftmaxRegression().fit(X, y).coef_)
    assert not hasattr(model, "online_state_")


def test_nothing_warns_on_columns_of_every_scale(rng):
    X, y = iris()
    X = X * 10.0 ** np.array([-6.0, 0.0, 3.0, 6.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = learnt(X, y, epochs=5)
    assert model.score(X, y) > 0.9
