"""AttentionClassifier against kernel sums written out, repeated rows, soft labels and scikit-learn's neighbours."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_wine
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from sksoft import AttentionClassifier
from sksoft.metrics import negative_log_likelihood, soft_log_loss


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 3)) * [1.0, 10.0, 0.1]
    y = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + 0.05 * X[:, 1] + 0.3 * rng.normal(size=90), [-0.5, 0.5])]
    return X, y, rng.normal(size=(20, 3)) * [1.0, 10.0, 0.1]


H = np.array([0.6, 6.0, 0.2])


def shares(X, keys, labels, sink=-np.inf, h=H, share=0.0):
    """The definition: kernel mass of each class, the prior's, and its share that is the same everywhere."""
    prior = labels.mean(axis=0)
    mass = rbf_kernel(X / h, keys / h, gamma=0.5) @ labels + np.exp(sink) * prior
    return (1 - share) * mass / mass.sum(axis=1, keepdims=True) + share * prior


def one_hot(y):
    return (np.asarray(y)[:, None] == np.unique(y)).astype(float)


def test_probabilities_are_kernel_shares(data):
    X, y, queries = data
    model = AttentionClassifier(bandwidth=H).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(queries), shares(queries, X, one_hot(y)), rtol=1e-11)
    np.testing.assert_array_equal(model.predict(queries), model.classes_[model.predict_proba(queries).argmax(axis=1)])
    np.testing.assert_allclose(np.exp(model.predict_log_proba(queries)), model.predict_proba(queries), rtol=1e-12)
    assert model.score(X, y) > 0.8


def test_leave_one_out_is_the_log_loss_of_rows_by_the_others_and_the_prior(data):
    X, y, _ = data
    model = AttentionClassifier(metric="ard").fit(X, y)
    labels, b = one_hot(y), model.sinks_[0]

    def loss(h, sink):
        prior = labels.mean(axis=0)
        kernel = rbf_kernel(X / h, gamma=0.5)
        np.fill_diagonal(kernel, 0.0)
        mass = kernel @ labels + np.exp(sink) * prior
        proba = (mass / mass.sum(axis=1, keepdims=True) * 90 + prior) / 91
        return -np.log((proba * labels).sum(axis=1)).mean()

    assert -model.loo_score_ == pytest.approx(loss(model.bandwidth_, b), rel=1e-9)
    for factor in (0.95, 1.05):
        assert loss(model.bandwidth_ * [factor, 1, 1], b) > -model.loo_score_
    for moved in (-0.5, 0.5):
        assert loss(model.bandwidth_, b + moved) > -model.loo_score_ - 1e-6
    expected = shares(X, X, labels, b, model.bandwidth_, 1 / 91)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "labels", [np.array([-3, 10**12, 7]), np.array([True, False]), np.array([-1.0, 2.0]), ["x", "y", "z"]]
)
def test_labels_of_any_type(data, labels):
    X, y, queries = data
    codes = np.unique(y, return_inverse=True)[1] % len(labels)
    model = AttentionClassifier(bandwidth=H).fit(X, np.asarray(labels)[codes])
    assert model.classes_.tolist() == sorted(np.asarray(labels).tolist())
    assert set(model.predict(queries)) <= set(model.classes_)
    assert model.predict_proba(queries).shape == (20, len(labels))


def test_soft_labels_are_rows_of_the_weights_of_their_shares(data):
    X, _, queries = data
    soft = np.random.default_rng(1).dirichlet(np.ones(3), 90)
    model = AttentionClassifier(bandwidth=H).fit(X, soft)
    rows, classes = np.nonzero(soft)
    hard = AttentionClassifier(bandwidth=H).fit(X[rows], classes, sample_weight=soft[rows, classes])
    np.testing.assert_allclose(model.predict_proba(queries), hard.predict_proba(queries), rtol=1e-11)
    chosen = AttentionClassifier(metric="scale").fit(X, soft)
    again = AttentionClassifier(metric="scale").fit(X[rows], classes, sample_weight=soft[rows, classes])
    assert chosen.loo_score_ == pytest.approx(again.loo_score_, rel=1e-9)
    assert -chosen.loo_score_ >= soft_log_loss(soft, soft)
    np.testing.assert_allclose(
        AttentionClassifier(bandwidth=H).fit(X, csr_array(soft)).predict_proba(queries), model.predict_proba(queries)
    )
    named = AttentionClassifier(bandwidth=H).fit(X, pd.DataFrame(soft, columns=["no", "maybe", "yes"]))
    assert named.classes_.tolist() == ["no", "maybe", "yes"]
    with pytest.raises(ValueError, match="score soft labels with"):
        model.score(X, soft)


@pytest.mark.parametrize("metric", ["scale", "ard", "linear"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_weight_is_a_repetition(data, metric):
    X, y, queries = data
    weights = np.random.default_rng(2).integers(0, 4, 90)
    repeated = np.random.default_rng(3).permutation(np.repeat(np.arange(90), weights))
    first = AttentionClassifier(metric=metric, max_iter=30).fit(X, y, sample_weight=weights)
    second = AttentionClassifier(metric=metric, max_iter=30).fit(X[repeated], y[repeated])
    np.testing.assert_allclose(first.predict_proba(queries), second.predict_proba(queries), rtol=1e-9, atol=1e-12)
    assert first.loo_score_ == pytest.approx(second.loo_score_, rel=1e-12)
    assert first.effective_dof_ == pytest.approx(second.effective_dof_, rel=1e-12)


def test_class_weights_are_sample_weights(data):
    X, y, queries = data
    weight = {"a": 1.0, "b": 5.0, "c": 0.5}
    first = AttentionClassifier(class_weight=weight).fit(X, y)
    second = AttentionClassifier().fit(X, y, sample_weight=[weight[label] for label in y])
    np.testing.assert_allclose(first.predict_proba(queries), second.predict_proba(queries), rtol=1e-10)
    balanced = AttentionClassifier(class_weight="balanced", bandwidth=1e6).fit(X, y)
    np.testing.assert_allclose(balanced.predict_proba(queries), 1 / 3, rtol=1e-6)


def test_a_class_without_weight_is_no_class_unless_it_is_announced(data):
    X, y, queries = data
    model = AttentionClassifier(bandwidth=H).fit(X, y, sample_weight=(y != "b").astype(float))
    assert model.classes_.tolist() == ["a", "c"]
    model = AttentionClassifier(bandwidth=H, classes=["a", "b", "c", "d"]).fit(X, y)
    assert model.classes_.tolist() == ["a", "b", "c", "d"]
    assert (model.predict_proba(queries)[:, 3] == 0.0).all()
    assert (model.predict_log_proba(queries)[:, 3] == -np.inf).all()


def test_a_class_with_one_row_has_a_finite_leave_one_out_loss(data):
    X, y, _ = data
    y = y.copy()
    y[0] = "z"
    model = AttentionClassifier().fit(X, y)
    assert np.isfinite(model.loo_score_)
    assert (model.predict_proba(X + 100.0) > 0.0).all()


def test_one_nearest_row_and_the_weights_of_rows(data):
    X, y, queries = data
    model = AttentionClassifier(bandwidth=H, top_k=1).fit(X, y)
    nearest = KNeighborsClassifier(1).fit(X / H, y)
    np.testing.assert_array_equal(model.predict(queries), nearest.predict(queries / H))
    np.testing.assert_array_equal(
        model.kneighbors_weights(queries).indices, nearest.kneighbors(queries / H, return_distance=False)[:, 0]
    )
    model = AttentionClassifier().fit(X, y)
    proba, found = model.predict_proba(queries), model.kneighbors_weights(queries)
    rest = 1.0 - found.sum(axis=1)
    assert (rest > 0.0).all()
    np.testing.assert_allclose(found @ one_hot(y) + rest[:, None] * model.prior_, proba, rtol=1e-9, atol=1e-12)


def test_a_linear_metric_finds_a_direction_that_no_feature_has():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4))
    y = X @ [1.0, -1.0, 1.0, -1.0] + 0.1 * rng.normal(size=400) > 0
    losses = {}
    for metric in ("scale", "ard", "linear"):
        model = AttentionClassifier(metric=metric).fit(X[:250], y[:250])
        losses[metric] = negative_log_likelihood(y[250:], model.predict_proba(X[250:]))
    assert losses["linear"] < 0.7 * min(losses["scale"], losses["ard"])
    assert model.transformation_.shape == (1, 4, 4)


def test_better_than_neighbours():
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    ours = cross_val_score(AttentionClassifier(), X, y, scoring="neg_log_loss", cv=5).mean()
    theirs = [
        cross_val_score(KNeighborsClassifier(k), X, y, scoring="neg_log_loss", cv=5).mean() for k in (5, 10, 20, 40)
    ]
    assert ours > max(theirs)


def test_groups_are_left_out_together(data):
    X, y, _ = data
    groups = np.arange(90) // 30
    model = AttentionClassifier(metric="scale").fit(X, y, groups=groups)
    losses = []
    for i in range(90):
        others = groups != groups[i]
        kernel = rbf_kernel(X[i : i + 1] / model.bandwidth_, X[others] / model.bandwidth_, gamma=0.5)
        mass = kernel @ one_hot(y)[others] + np.exp(model.sinks_[0]) * one_hot(y).mean(axis=0)
        proba = (mass / mass.sum() * 90 + one_hot(y).mean(axis=0)) / 91
        losses.append(-np.log(proba[0, np.flatnonzero(one_hot(y)[i])[0]]))
    assert -model.loo_score_ == pytest.approx(np.mean(losses), rel=1e-9)


def test_bad_input(data):
    X, y, _ = data
    with pytest.raises(ValueError, match="at least 2 classes"):
        AttentionClassifier().fit(X, np.full(90, "a"))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        AttentionClassifier().fit(X, y[:50])
    with pytest.raises(ValueError, match="must sum to one"):
        AttentionClassifier().fit(X, np.ones((90, 3)))
    with pytest.raises(ValueError, match="needs at least 2 rows that differ"):
        AttentionClassifier().fit(np.ones((90, 2)), y)
    with pytest.raises(TypeError, match="Sparse data was passed"):
        AttentionClassifier().fit(csr_array(X), y)
    with pytest.raises(ValueError, match="positive everywhere"):
        AttentionClassifier(bandwidth=[1.0, 0.0, 1.0]).fit(X, y)
    model = AttentionClassifier("epanechnikov", 1.0, empty="nan").fit(X, y)
    far = np.full((1, 3), 1e4)
    assert np.isnan(model.predict_proba(far)).all()
    with pytest.raises(ValueError, match="empty='nan'"):
        model.predict(far)
    np.testing.assert_allclose(model.set_params(empty="mean").predict_proba(far)[0], one_hot(y).mean(axis=0))
    with pytest.raises(ValueError, match="no training row within reach"):
        model.set_params(empty="raise").predict_proba(far)
