"""PriorShiftAdjuster: known proportions, the iteration it replaces, and the published ones of three fisheries."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from sksoft import PriorShiftAdjuster, SoftmaxRegression

SOURCE = np.array([0.2, 0.3, 0.5])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def sample(rng, n=2000, target=(0.6, 0.3, 0.1), source=SOURCE):
    """Scores log πₖ + log fₖ(x), right for the source, of rows from the target; and the labels nobody has."""
    target = np.asarray(target)
    y = rng.choice(len(target), n, p=target)
    x = rng.normal(size=n) + 1.5 * y
    return np.log(source) - 0.5 * (x[:, None] - 1.5 * np.arange(len(target))) ** 2, y


def saerens(proba, source, n_steps):
    """Equations (2.9) of the paper, word for word."""
    prior = source.copy()
    for _ in range(n_steps):
        posterior = proba * (prior / source)
        posterior /= posterior.sum(axis=1, keepdims=True)
        prior = posterior.mean(axis=0)
    return prior


def test_where_expectation_maximisation_ends(rng):
    scores, _ = sample(rng)
    adjuster = PriorShiftAdjuster(SOURCE).fit(scores)
    expected = saerens(softmax(scores, axis=1), SOURCE, 3000)
    np.testing.assert_allclose(adjuster.target_prior_, expected, atol=1e-9)
    assert adjuster.converged_
    assert adjuster.gap_ < 1e-12
    posterior = softmax(scores, axis=1) * (expected / SOURCE)
    np.testing.assert_allclose(
        adjuster.predict_proba(scores), posterior / posterior.sum(axis=1, keepdims=True), atol=1e-8
    )
    likelihood = np.log((softmax(scores, axis=1) * (expected / SOURCE)).sum(axis=1)).mean()
    np.testing.assert_allclose(adjuster.log_likelihood_, likelihood, rtol=1e-12)


def test_proportions_are_found_and_errors_are_their_spread(rng):
    fits = [PriorShiftAdjuster(SOURCE).fit(sample(rng)[0]) for _ in range(400)]
    found = np.array([fit.target_prior_ for fit in fits])
    spread = found.std(axis=0)
    np.testing.assert_allclose(found.mean(axis=0), [0.6, 0.3, 0.1], atol=4 * spread.max() / 20)
    errors = np.median([fit.target_prior_stderr_ for fit in fits], axis=0)
    np.testing.assert_allclose(errors, spread, rtol=0.12)


def test_adjusted_probabilities_are_right_and_the_old_ones_are_not(rng):
    scores, y = sample(rng, n=20000)
    adjuster = PriorShiftAdjuster(SOURCE).fit(scores)
    adjusted, old = adjuster.predict_proba(scores), softmax(scores, axis=1)
    rows = np.arange(len(y))
    assert -np.log(adjusted[rows, y]).mean() < -np.log(old[rows, y]).mean() - 0.15
    np.testing.assert_allclose(adjusted.mean(axis=0), np.bincount(y) / len(y), atol=0.02)
    assert (adjuster.predict(scores) == y).mean() > (old.argmax(axis=1) == y).mean() + 0.05


def test_fisheries_of_chinook_salmon(shared_data):
    """Proportions of rubias for the fishery rec1: its README prints intervals for six regions, and .820 for one.

    Anderson, Vasemägi, Lowe & Bulit, rubias 0.3: 95 % credible intervals from the likelihoods of the genotypes.
    """
    published = {
        "CentralValleyfa": (0.791, 0.847),
        "KlamathR": (0.0502, 0.0857),
        "RogueR": (0.0440, 0.0812),
        "CaliforniaCoast": (0.0186, 0.0426),
        "NCaliforniaSOregonCoast": (0.00318, 0.0184),
        "SnakeRfa": (0.0, 0.0120),
    }
    reference = pd.read_csv(shared_data / "bio" / "chinook.csv.gz")
    mixture = pd.read_csv(shared_data / "bio" / "chinook_mix.csv.gz")
    counts, of_mixture = allele_counts(reference), allele_counts(mixture[mixture.collection == "rec1"])
    used = counts.any(axis=0)
    model = SoftmaxRegression(C=0.3).fit(counts[:, used], reference.repunit)
    scores = model.decision_function(of_mixture[:, used])
    adjuster = PriorShiftAdjuster(reference.repunit.value_counts(), classes=model.classes_).fit(scores)
    found = pd.Series(adjuster.target_prior_, index=adjuster.classes_)
    for region, (low, high) in published.items():
        assert low <= found[region] <= high, region
    np.testing.assert_allclose(found["CentralValleyfa"], 0.820, atol=0.015)
    # what counting decisions and averaging probabilities make of it
    decisions = (model.predict(of_mixture[:, used]) == "CentralValleyfa").mean()
    average = softmax(scores, axis=1).mean(axis=0)[list(model.classes_).index("CentralValleyfa")]
    assert average < decisions < 0.791
    assert adjuster.gap_ < 1e-11


def allele_counts(frame):
    """How often each of five alleles was read at each of 91 loci, (n, 455)."""
    alleles = frame.iloc[:, 4:].to_numpy()
    return np.hstack([(alleles[:, ::2] == a) * 1.0 + (alleles[:, 1::2] == a) for a in range(1, 6)])


def test_class_without_a_trace_gets_exactly_nothing(rng):
    scores, _ = sample(rng, target=(0.7, 0.3, 0.0))
    scores = np.column_stack([scores, scores[:, 0] - 5.0])  # and one that another class explains better everywhere
    adjuster = PriorShiftAdjuster([0.2, 0.3, 0.3, 0.2]).fit(scores)
    assert adjuster.target_prior_[3] == 0.0
    assert np.isnan(adjuster.target_prior_stderr_[3])
    assert (adjuster.predict_proba(scores)[:, 3] == 0.0).all()
    np.testing.assert_allclose(adjuster.predict_proba(scores).sum(axis=1), 1.0, rtol=1e-14)


def test_classes_that_look_the_same_have_no_error_to_speak_of(rng):
    scores, _ = sample(rng)
    adjuster = PriorShiftAdjuster("uniform").fit(np.column_stack([scores, scores[:, 2]]))
    assert np.isinf(adjuster.target_prior_stderr_[2:]).all()
    assert np.isfinite(adjuster.target_prior_stderr_[:2]).all()


def test_weight_is_repetition_and_zero_weight_is_removal(rng):
    scores, _ = sample(rng, n=300)
    s = rng.integers(0, 4, size=300)
    weighted = PriorShiftAdjuster(SOURCE, weight_type="frequency").fit(scores, sample_weight=s)
    repeated = PriorShiftAdjuster(SOURCE, weight_type="frequency").fit(np.repeat(scores, s, axis=0))
    np.testing.assert_allclose(weighted.target_prior_, repeated.target_prior_, atol=1e-10)
    np.testing.assert_allclose(weighted.target_prior_stderr_, repeated.target_prior_stderr_, rtol=1e-8)
    np.testing.assert_allclose(weighted.log_likelihood_, repeated.log_likelihood_, rtol=1e-12)
    sampling = PriorShiftAdjuster(SOURCE).fit(scores, sample_weight=s)
    n_eff = s.sum() ** 2 / (s**2).sum()
    np.testing.assert_allclose(
        sampling.target_prior_stderr_ / weighted.target_prior_stderr_, np.sqrt(s.sum() / n_eff), rtol=1e-10
    )


def test_proportions_by_label_and_in_the_order_of_columns(rng):
    scores, _ = sample(rng)
    labels = ["wild", "hatchery", "unknown"]
    reference = PriorShiftAdjuster(SOURCE, classes=labels).fit(scores)
    by_label = dict(zip(labels, SOURCE))
    shuffled = pd.Series({label: 1000 * by_label[label] for label in ("unknown", "wild", "hatchery")})
    for prior in (by_label, shuffled):
        adjuster = PriorShiftAdjuster(prior, classes=labels).fit(scores)
        np.testing.assert_allclose(adjuster.target_prior_, reference.target_prior_, rtol=1e-12)
    assert reference.predict(scores)[0] in labels
    by_keys = PriorShiftAdjuster({5: 0.5, 1: 0.2, 3: 0.3}).fit(scores)
    np.testing.assert_array_equal(by_keys.classes_, [1, 3, 5])
    np.testing.assert_allclose(by_keys.target_prior_, reference.target_prior_, rtol=1e-12)
    np.testing.assert_array_equal(PriorShiftAdjuster("uniform").fit(scores).classes_, [0, 1, 2])


def test_probabilities_and_one_dimensional_scores(rng):
    scores, _ = sample(rng, target=(0.7, 0.3), source=np.array([0.5, 0.5]))
    full = PriorShiftAdjuster("uniform").fit(scores)
    margin = PriorShiftAdjuster("uniform").fit(scores[:, 1] - scores[:, 0])
    proba = PriorShiftAdjuster("uniform", input="proba").fit(softmax(scores, axis=1)[:, 1])
    for other in (margin, proba):
        np.testing.assert_allclose(other.target_prior_, full.target_prior_, rtol=1e-9)
    few = scores.astype(np.float32)
    single, same = PriorShiftAdjuster("uniform").fit(few), PriorShiftAdjuster("uniform").fit(few.astype(np.float64))
    np.testing.assert_allclose(single.target_prior_, full.target_prior_, rtol=1e-4)
    assert abs(single.log_likelihood_ - same.log_likelihood_) < 1e-13  # as close as gap_ says


def test_exact_zeros_in_probabilities():
    proba = np.eye(3)[[0, 0, 0, 1, 1, 2]]
    adjuster = PriorShiftAdjuster("uniform", input="proba").fit(proba)
    np.testing.assert_allclose(adjuster.target_prior_, [3 / 6, 2 / 6, 1 / 6], atol=1e-12)


def test_what_max_iter_leaves_is_reported(rng):
    with pytest.warns(ConvergenceWarning, match="PriorShiftAdjuster did not reach tol=1e-10 in max_iter=1 iterations"):
        adjuster = PriorShiftAdjuster(SOURCE, max_iter=1).fit(sample(rng)[0])
    assert not adjuster.converged_


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"source_prior": [0.5, 0.5]}, "the 'source_prior' parameter must have as many entries"),
        ({"source_prior": [0.5, 0.5, 0.0]}, "source_prior must hold positive, finite proportions or counts"),
        ({"source_prior": {"a": 1, "b": 2}, "classes": ["a", "b", "c"]}, "must have one entry for each class"),
        ({"source_prior": "uniform", "classes": [0, 1]}, "the 'classes' parameter must have as many entries"),
        ({"source_prior": "uniform", "classes": [0, 1, 1]}, "must be a list of different labels"),
        ({"source_prior": {"a": 1, 2: 3, "c": 1}}, "The keys of source_prior must hold labels of one type"),
        ({"source_prior": "balanced"}, "The 'source_prior' parameter of PriorShiftAdjuster must be"),
    ],
)
def test_errors(rng, params, message):
    with pytest.raises(ValueError, match=message):
        PriorShiftAdjuster(**params).fit(sample(rng)[0])


def test_prediction_before_fit_and_of_other_columns(rng):
    scores, _ = sample(rng)
    with pytest.raises(NotFittedError):
        PriorShiftAdjuster(SOURCE).predict_proba(scores)
    with pytest.raises(ValueError, match="X has 2 features, but PriorShiftAdjuster is expecting 3"):
        PriorShiftAdjuster(SOURCE).fit(scores).predict_proba(scores[:, :2])
