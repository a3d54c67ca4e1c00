"""Tables of tests: those of the metrics, adjusted over the table, and nothing where there is no test."""

import numpy as np
import pytest

from sksoft.audit.hypotheses import TESTS, calibration_test_table, class_test_table, sampled
from sksoft.metrics import calibration_test
from sksoft.metrics.multiplicity import holm
from sksoft.metrics.predictions import check_predictions


def test_table_is_of_the_tests_and_their_adjustment(settings, draws):
    y, proba = draws(800, power=1.3)
    table = calibration_test_table(check_predictions(y, proba), settings).set_index("test")
    assert list(table.index) == list(TESTS)
    for name, options in TESTS.items():
        drawn = {"n_resamples": 99} if options["method"] in ("bootstrap", "skce") else {}
        found = calibration_test(y, proba, random_state=0, **drawn, **options)
        assert table.loc[name, ["statistic", "p_value"]].tolist() == pytest.approx(list(found), rel=1e-12), name
    np.testing.assert_array_equal(table["p_value_holm"], holm(table["p_value"]))
    assert (table["note"] == "").all()


def test_one_probability_is_not_tested_by_class(settings, draws):
    y, proba = draws(300, n_classes=2)
    table = calibration_test_table(check_predictions(y, proba[:, 1]), settings)
    assert len(table) == len(TESTS) - 1
    assert set(table["judges"]) == {"binary"}


def test_kernel_takes_a_sample_of_many_rows_the_same_for_a_seed(settings, draws):
    predictions = check_predictions(*draws(4000))
    sample = sampled(predictions, 1)
    assert len(sample.codes) ** 2 * 3 <= 10_000_000 < (len(sample.codes) + 1) ** 2 * 3
    np.testing.assert_array_equal(sample.proba, sampled(predictions, 1).proba)
    assert (sample.proba != sampled(predictions, 2).proba).any()
    assert sampled(check_predictions(*draws(500)), 1).proba.shape == (500, 3)
    table = calibration_test_table(predictions, settings | {"n_resamples": 9}).set_index("test")
    assert table.loc["kernel error (SKCE)", "n"] == len(sample.codes)
    assert table.loc["kernel error (SKCE)", "note"] == "a random sample of the rows"


def test_what_is_not_defined_has_a_note_and_does_not_count(settings, draws):
    table = calibration_test_table(check_predictions([0, 1] * 50, [0.5] * 100), settings).set_index("test")
    missing = table[table["p_value"].isna()]
    assert {"Brier score (Spiegelhalter)", "slope and intercept (Cox)"} == set(missing.index)
    assert (missing["note"] != "").all()
    np.testing.assert_array_equal(table["p_value_holm"], holm(table["p_value"]))
    none = calibration_test_table(check_predictions(*draws(90)), settings | {"n_resamples": 0}).set_index("test")
    assert np.isnan(none.loc["binned error (bootstrap)", "p_value"])
    assert none.loc["kernel error (SKCE)", "note"] == "no draws were asked for"


def test_classes_are_tested_against_the_rest_and_the_wrong_one_found(settings, draws):
    y, proba = draws(4000)
    wrong = proba.copy()
    moved = 0.3 * wrong[:, 0]
    wrong[:, 0] -= moved
    wrong[:, 1] += moved
    table = class_test_table(check_predictions(np.array(["a", "b", "c"])[y], wrong), settings).set_index("class")
    assert table["verdict"].tolist() == ["miscalibrated", "miscalibrated", "calibration not rejected"]
    for k, name in enumerate("abc"):
        found = calibration_test(y == k, wrong[:, k], method="cumulative", labels=[False, True])
        assert table.loc[name, "statistic"] == pytest.approx(found.statistic)
        assert table.loc[name, "p_value"] == pytest.approx(found.pvalue)
    np.testing.assert_array_equal(table["p_value_holm"], holm(table["p_value"]))


def test_classes_of_few_rows_are_not_tested(settings):
    proba = np.tile([0.49, 0.5, 0.01], (1000, 1))
    y = np.r_[np.zeros(490), np.ones(500), np.full(10, 2)].astype(int)
    table = class_test_table(check_predictions(y, proba), settings)
    assert table["verdict"].tolist()[2] == "insufficient evidence"
    assert np.isnan(table["p_value"][2])
    assert table["p_value"][:2].notna().all()
