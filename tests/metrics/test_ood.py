"""Out-of-distribution scores: formulas at 250 digits, other packages' distances, rankings under temperature, digits."""

import mpmath
import numpy as np
import pytest
from scipy.spatial.distance import cdist, mahalanobis
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors

from sksoft.metrics import mahalanobis_scores, neighbor_scores, ood_scores, predictive_entropy
from sksoft.metrics.ood import METHODS

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(40, 5)) * 3


def exact(row, method, temperature=1.0, gamma=0.1, n_largest=None):
    with mpmath.workdps(250):
        z, t = [mpmath.mpf(float(value)) for value in row], mpmath.mpf(temperature)
        exps = [mpmath.exp(value / t) for value in z]
        p = sorted((value / sum(exps) for value in exps), reverse=True)
        return float(
            {
                "max_softmax": lambda: 1 - p[0],
                "max_logit": lambda: -max(z),
                "energy": lambda: -t * mpmath.log(sum(exps)),
                "entropy": lambda: -sum(value * mpmath.log(value) for value in p),
                "generalized_entropy": lambda: sum((v * (1 - v)) ** mpmath.mpf(gamma) for v in p[:n_largest]),
            }[method]()
        )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 20.0])
def test_formulas_at_many_digits(method, temperature):
    found = ood_scores(LOGITS, method=method, temperature=temperature)
    expected = [exact(row, method, temperature) for row in LOGITS]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("scale", [30.0, 200.0])
@pytest.mark.parametrize("method", ["max_softmax", "generalized_entropy", "entropy"])
def test_nearly_certain_inputs_are_told_apart(method, scale):
    """1 − max p computed as a difference would be 0 for all of them."""
    rows = np.array([[scale, 0.0, -1.0], [scale + 1, 0.0, -1.0]])
    found = ood_scores(rows, method=method)
    np.testing.assert_allclose(found, [exact(row, method) for row in rows], rtol=1e-12)
    assert found[0] > found[1] > 0


def test_generalized_entropy_of_the_largest():
    found = ood_scores(LOGITS, method="generalized_entropy", gamma=0.4, n_largest=2)
    np.testing.assert_allclose(found, [exact(r, "generalized_entropy", 1.0, 0.4, 2) for r in LOGITS], rtol=1e-12)
    every = ood_scores(LOGITS, method="generalized_entropy", n_largest=99)
    np.testing.assert_array_equal(every, ood_scores(LOGITS, method="generalized_entropy"))


@pytest.mark.parametrize("method", ["max_softmax", "entropy", "generalized_entropy"])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_probabilities_give_what_their_logits_do(method, temperature):
    proba = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    found = ood_scores(proba, method=method, input="proba", temperature=temperature)
    np.testing.assert_allclose(found, ood_scores(LOGITS, method=method, temperature=temperature), rtol=1e-10)


def test_probabilities_with_exact_zeros():
    proba = [[1.0, 0.0], [0.5, 0.5]]
    np.testing.assert_array_equal(ood_scores(proba, input="proba"), [0, 0.5])
    np.testing.assert_allclose(ood_scores(proba, input="proba", method="entropy", temperature=3.0), [0, np.log(2)])
    np.testing.assert_array_equal(ood_scores([1.0, 0.5], input="proba"), [0, 0.5])


@pytest.mark.parametrize("method", METHODS)
def test_one_dimensional_scores_are_two_classes(method):
    z = RNG.normal(size=9)
    both = ood_scores(np.column_stack([np.zeros(9), z]), method=method)
    np.testing.assert_allclose(ood_scores(z, method=method), both, rtol=1e-13)


def test_a_class_may_be_excluded():
    found = ood_scores([[1.0, 2.0, -np.inf]], method="entropy")
    np.testing.assert_allclose(found, predictive_entropy([[1 / (1 + np.e), np.e / (1 + np.e)]]))


def test_float32_and_blocks(monkeypatch):
    rows = LOGITS.astype(np.float32)
    whole = ood_scores(rows, method="energy")
    assert whole.dtype == np.float64
    np.testing.assert_allclose(whole, ood_scores(rows.astype(np.float64), method="energy"), rtol=1e-14)
    from sksoft.metrics import ood

    monkeypatch.setattr(ood, "row_blocks", lambda n, row_bytes: [slice(i, i + 1) for i in range(n)])
    np.testing.assert_array_equal(ood_scores(rows, method="energy"), whole)


def ranks(values):
    return np.argsort(values, kind="stable")


@pytest.mark.parametrize("method", ["max_softmax", "entropy", "generalized_entropy"])
def test_temperature_keeps_the_ranking_of_two_classes_only(method):
    two, many = RNG.normal(size=(200, 2)), RNG.normal(size=(200, 6)) * 2
    warm, cold = ({"method": method, "temperature": t} for t in (5.0, 1.0))
    np.testing.assert_array_equal(ranks(ood_scores(two, **warm)), ranks(ood_scores(two, **cold)))
    assert (ranks(ood_scores(many, **warm)) != ranks(ood_scores(many, **cold))).any()


def test_limits_of_energy():
    cold = ood_scores(LOGITS, method="energy", temperature=1e-6)
    np.testing.assert_allclose(cold, ood_scores(LOGITS, method="max_logit"), atol=1e-5)
    hot = ood_scores(LOGITS, method="energy", temperature=1e7)
    np.testing.assert_array_equal(ranks(hot), ranks(-LOGITS.mean(axis=1)))


def features(seed=0):
    rng = np.random.default_rng(seed)
    y = rng.choice(["$x$", "_b", "c"], 300)
    X = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4)) + 3 * (y[:, None] == ["$x$", "_b", "c", "d"])
    return X, y, rng.normal(size=(50, 4)) * 4


def test_mahalanobis_is_scipys_distance_to_the_nearest_mean():
    X, y, new = features()
    means = np.stack([X[y == label].mean(axis=0) for label in np.unique(y)])
    residuals = np.concatenate([X[y == label] - X[y == label].mean(axis=0) for label in np.unique(y)])
    precision = np.linalg.inv(residuals.T @ residuals / len(X))
    expected = [min(mahalanobis(row, mean, precision) ** 2 for mean in means) for row in new]
    np.testing.assert_allclose(mahalanobis_scores(X, y, new), expected, rtol=1e-9)
    everything = np.linalg.inv(np.cov(X.T, ddof=0))
    background = [mahalanobis(row, X.mean(axis=0), everything) ** 2 for row in new]
    relative = mahalanobis_scores(X, y, new, relative=True)
    np.testing.assert_allclose(relative, np.subtract(expected, background), rtol=1e-8, atol=1e-8)


def test_mahalanobis_far_from_the_origin_does_not_cancel():
    X, y, new = features()
    np.testing.assert_allclose(mahalanobis_scores(X + 1e6, y, new + 1e6), mahalanobis_scores(X, y, new), rtol=1e-7)


def test_mahalanobis_weights_are_repetitions():
    X, y, new = features()
    w = RNG.integers(0, 3, len(X))
    weighted = mahalanobis_scores(X, y, new, sample_weight=w, shrinkage=0.1, relative=True)
    repeated = mahalanobis_scores(np.repeat(X, w, axis=0), np.repeat(y, w), new, shrinkage=0.1, relative=True)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-10, atol=1e-10)


def test_shrinkage():
    X, y, new = features()
    whole = mahalanobis_scores(X, y, new, shrinkage=1.0)
    means = np.stack([X[y == label].mean(axis=0) for label in np.unique(y)])
    variance = np.mean([((X[y == label] - m) ** 2).sum() for label, m in zip(np.unique(y), means)]) * 3 / len(X) / 4
    np.testing.assert_allclose(whole, cdist(new, means, "sqeuclidean").min(axis=1) / variance, rtol=1e-10)
    constant = np.column_stack([X, np.ones(len(X))])
    with pytest.raises(ValueError, match=r"singular.*positive 'shrinkage'"):
        mahalanobis_scores(constant, y, constant)
    with pytest.raises(ValueError, match="singular"):
        mahalanobis_scores(np.column_stack([X, X[:, 0] + X[:, 1]]), y, constant)
    assert np.isfinite(mahalanobis_scores(constant, y, constant, shrinkage=0.01)).all()


@pytest.mark.parametrize("normalize", [True, False])
def test_neighbours_are_scikit_learns(normalize):
    X, _, new = features()
    a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) if normalize else rows for rows in (X, new))
    expected = NearestNeighbors(n_neighbors=7).fit(a).kneighbors(b)[0][:, 6]
    np.testing.assert_allclose(neighbor_scores(X, new, n_neighbors=7, normalize=normalize), expected, rtol=1e-10)


def test_neighbour_weights_are_repetitions():
    X, _, new = features()
    w = RNG.integers(0, 4, len(X))
    weighted = neighbor_scores(X, new, n_neighbors=9, sample_weight=w)
    np.testing.assert_allclose(weighted, neighbor_scores(np.repeat(X, w, axis=0), new, n_neighbors=9), rtol=1e-9)
    one = neighbor_scores([[0.0], [1.0]], [[0.0]], n_neighbors=5, normalize=False, sample_weight=[4, 1])
    assert one[0] == 1.0


def test_digits_from_scrambled_images():
    """Images with shuffled pixels have the same values and are no digits: the table of docs/out_of_distribution.md."""
    X, y = load_digits(return_X_y=True)
    train, test, y_train, _ = train_test_split(X / 16, y, random_state=0)
    scrambled = np.random.default_rng(0).permuted(test, axis=1)
    truth, both = np.repeat([0, 1], len(test)), np.concatenate([test, scrambled])
    logits = LogisticRegression(max_iter=1000).fit(train, y_train).decision_function(both)
    printed = {
        "max_softmax": [0.835, 0.843, 0.849, 0.847],
        "max_logit": [0.847, 0.847, 0.847, 0.847],
        "energy": [0.845, 0.841, 0.805, 0.778],
        "entropy": [0.839, 0.848, 0.824, 0.782],
        "generalized_entropy": [0.849, 0.846, 0.809, 0.779],
    }
    for method, areas in printed.items():
        scores = [ood_scores(logits, method=method, temperature=t) for t in (0.5, 1, 5, 50)]
        np.testing.assert_allclose([roc_auc_score(truth, score) for score in scores], areas, atol=2e-3)
    assert roc_auc_score(truth, mahalanobis_scores(train, y_train, both, shrinkage=0.01)) > 0.9995
    assert roc_auc_score(truth, neighbor_scores(train, both, n_neighbors=10)) > 0.9995


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "msp"}, "'method' parameter must be one of"),
        ({"input": "scores"}, "'input' parameter must be one of"),
        ({"method": "energy", "input": "proba"}, "needs input='logits'"),
        ({"temperature": 0}, "'temperature' parameter must be a positive, finite float"),
        ({"temperature": np.inf}, "'temperature' parameter"),
        ({"gamma": 1.0}, r"'gamma' parameter must be a float in \(0, 1\)"),
        ({"n_largest": 0}, "'n_largest' parameter must be an int >= 1"),
    ],
)
def test_bad_parameters_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ood_scores([[0.5, 0.5]], **options)


@pytest.mark.parametrize("bad", [[[np.nan, 1.0]], [[np.inf, 1.0]], [[-np.inf, -np.inf]]])
def test_bad_scores_are_named(bad):
    with pytest.raises(ValueError, match="scores contains NaN or infinity: row 1"):
        ood_scores([[1.0, 2.0], *bad])
    with pytest.raises(ValueError, match="at least two classes"):
        ood_scores([[1.0], [2.0]])


def test_bad_features_are_named():
    X, y, new = features()
    with pytest.raises(ValueError, match="X has 3 features, but X_train has 4"):
        mahalanobis_scores(X, y, new[:, :3])
    with pytest.raises(ValueError, match="'shrinkage' parameter"):
        mahalanobis_scores(X, y, new, shrinkage=2)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        mahalanobis_scores(X, y[:-1], new)
    with pytest.raises(ValueError, match="'n_neighbors' parameter must not exceed"):
        neighbor_scores(X[:3], new)
    with pytest.raises(ValueError, match="'n_neighbors' parameter must be an int"):
        neighbor_scores(X, new, n_neighbors=0)
    with pytest.raises(ValueError, match="whole numbers"):
        neighbor_scores(X, new, sample_weight=np.full(len(X), 0.5))


def test_scores_are_numbers():
    with pytest.raises(ValueError, match="'scores' parameter must hold numbers"):
        ood_scores([["a", "b"]])
