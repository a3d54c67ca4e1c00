"""The most uncertain rows of an array: against explicit sums in high precision, sorted, ties by index, bad input."""

import mpmath
import numpy as np
import pytest

from sksoft import config_context
from sksoft.active import query_uncertain

STRATEGIES = ("margin", "entropy", "least_confidence")


def random_proba(n_rows, n_classes, seed=0):
    proba = np.random.default_rng(seed).standard_exponential((n_rows, n_classes))
    return proba / proba.sum(axis=1, keepdims=True)


def exact(strategy, row):
    with mpmath.workdps(50):
        p = sorted(map(mpmath.mpf, row.tolist()), reverse=True)
        if strategy == "margin":
            return float(1 - (p[0] - p[1]))
        if strategy == "least_confidence":
            return float(1 - p[0])
        return float(-mpmath.fsum(x * mpmath.log(x) for x in p if x > 0))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_scores_are_those_of_high_precision(strategy, backend):
    proba = random_proba(80, 5)
    proba[7] = [0.5, 0.5, 0.0, 0.0, 0.0]
    proba[8] = [1.0, 0.0, 0.0, 0.0, 0.0]
    expected = np.array([exact(strategy, row) for row in proba])
    with config_context(backend=backend):
        indices, scores = query_uncertain(proba, 80, strategy=strategy, return_scores=True)
    np.testing.assert_array_equal(indices, np.argsort(-expected, kind="stable"))
    np.testing.assert_allclose(scores, expected[indices], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_sorted_and_equal_scores_in_the_order_of_their_index(strategy, backend):
    # modAL 0.4.2.1 breaks ties by the global generator or returns argpartition's order, which is not sorted
    proba = np.tile(random_proba(40, 4), (5, 1))
    with config_context(backend=backend):
        indices, scores = query_uncertain(proba, 100, strategy=strategy, return_scores=True)
    assert (np.diff(scores) <= 0).all()
    assert (np.diff(indices)[np.diff(scores) == 0] > 0).all()
    np.testing.assert_array_equal(indices, np.lexsort((np.arange(200), -scores_of(proba, strategy)))[:100])


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("n_classes", [3, 10, 37])
def test_rows_that_hold_the_same_numbers_in_another_order_are_equal(n_classes, strategy, backend):
    # as the probabilities of a forest or of neighbours are: a sum in the order of the columns would prefer some classes
    rng = np.random.default_rng(n_classes)
    distinct = random_proba(6, n_classes)
    proba = np.concatenate([rng.permuted(distinct, axis=1) for _ in range(30)])
    with config_context(backend=backend):
        indices, scores = query_uncertain(proba, 180, strategy=strategy, return_scores=True)
    for group in range(6):
        of_group = indices[indices % 6 == group]
        np.testing.assert_array_equal(of_group, np.arange(group, 180, 6))
        assert len(set(scores[indices % 6 == group])) == 1


def scores_of(proba, strategy):
    """Scores of equal rows are equal bits here: those of the first of them."""
    scores = np.array([exact(strategy, row) for row in proba[:40]])
    return np.tile(scores, 5)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_global_generator_is_neither_read_nor_moved(strategy):
    proba = np.full((50, 4), 0.25)
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = query_uncertain(proba, 5, strategy=strategy)
    np.random.seed(1)  # noqa: NPY002
    np.testing.assert_array_equal(query_uncertain(proba, 5, strategy=strategy), first)
    np.testing.assert_array_equal(first, np.arange(5))
    np.random.seed(0)  # noqa: NPY002
    query_uncertain(proba, 5, strategy=strategy)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_large_arrays_take_compiled_code_and_find_the_same(strategy):
    for proba in (random_proba(20_000, 20), random_proba(20_000, 20) ** 6):
        proba /= proba.sum(axis=1, keepdims=True)
        with config_context(backend="numpy"):
            expected = query_uncertain(proba, 50, strategy=strategy)
        np.testing.assert_array_equal(query_uncertain(proba, 50, strategy=strategy), expected)


@pytest.mark.parametrize("n_classes", [2, 3, 40])
def test_no_bound_loses_a_row_whatever_the_shape(n_classes):
    # rows from uniform to certain, with sums within the tolerance: where the bounds of the compiled entropy bite
    rng = np.random.default_rng(n_classes)
    proba = rng.dirichlet(np.ones(n_classes), 4000) ** rng.uniform(0, 30, (4000, 1))
    proba /= proba.sum(axis=1, keepdims=True)
    proba *= rng.uniform(0.9991, 1.0009, (4000, 1))
    for m in (1, 10, 3999):
        with config_context(backend="numpy"):
            expected = query_uncertain(proba, m, strategy="entropy")
        with config_context(backend="numba"):
            np.testing.assert_array_equal(query_uncertain(proba, m, strategy="entropy"), expected)


def test_one_column_is_the_positive_class():
    positive = np.array([0.9, 0.45, 0.2])
    np.testing.assert_array_equal(query_uncertain(positive, 3), [1, 2, 0])
    np.testing.assert_array_equal(query_uncertain(np.column_stack([1 - positive, positive]), 3), [1, 2, 0])


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({(3, 1): np.nan}, "contains NaN or infinity: row 3"),
        ({(3, 1): -0.5}, "must not be negative: row 3"),
        ({(3, 1): 7.0}, "row 3 sums to"),
    ],
)
def test_rows_that_are_no_distributions(change, message, backend):
    proba = random_proba(10, 3)
    for position, value in change.items():
        proba[position] = value
    with config_context(backend=backend), pytest.raises(ValueError, match=message):
        query_uncertain(proba, 2)


@pytest.mark.parametrize("n_instances", [0, 11, -1, 1.5, True, "2"])
def test_a_number_that_is_not_one_of_rows(n_instances):
    with pytest.raises(ValueError, match="'n_instances' parameter must be an int from 1 to 10"):
        query_uncertain(random_proba(10, 3), n_instances)


def test_unknown_strategy_and_no_rows():
    with pytest.raises(ValueError, match=r"'strategy' parameter must be one of .*'margin'.* Got 'bald'"):
        query_uncertain(random_proba(10, 3), strategy="bald")
    with pytest.raises(ValueError, match="'strategy' parameter must be one of"):
        query_uncertain(random_proba(10, 3), strategy=["margin"])
    with pytest.raises(ValueError, match=r"0 sample\(s\) in y_proba"):
        query_uncertain(np.empty((0, 3)))
    with pytest.raises(ValueError, match="at least two classes"):
        query_uncertain(np.ones((5, 1)))
