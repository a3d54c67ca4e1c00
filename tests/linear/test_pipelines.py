"""SoftmaxRegression where people use it: in pipelines, searches, metadata routing and workers."""

import numpy as np
import pandas as pd
import pytest
from joblib import Parallel, delayed, parallel_config
from sklearn import config_context
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import sksoft
from sksoft import SoftmaxRegression, SoftmaxRegressionCV
from sksoft._config import effective_n_threads
from sksoft.kernels.blocks import map_blocks
from sksoft.metrics import neg_soft_log_loss

GRID = {
    "model__C": [0.1, 1.0],
    "model__l1_ratio": [0.0, 0.5],
    "model__label_smoothing": [0.0, 0.1],
    "model__link": ["softmax", "entmax15"],
}


def table(n=150):
    """Numbers and categories with holes, and the species they speak of."""
    rng = np.random.default_rng(0)
    species = rng.choice(["Adelie", "Chinstrap", "Gentoo"], size=n, p=[0.5, 0.2, 0.3])
    code = pd.Series(species).map({"Adelie": 0, "Chinstrap": 1, "Gentoo": 2}).to_numpy()
    islands = np.array(["Torgersen", "Dream", "Biscoe"])
    frame = pd.DataFrame(
        {
            "bill": 38.0 + 5.0 * (code > 0) + rng.normal(scale=2.0, size=n),
            "mass": 3700.0 + 1300.0 * (code == 2) + rng.normal(scale=400.0, size=n),
            "island": islands[np.where(rng.uniform(size=n) < 0.7, code, rng.integers(3, size=n))],
        }
    )
    frame.loc[rng.choice(n, 15, replace=False), "bill"] = np.nan
    frame.loc[rng.choice(n, 10, replace=False), "island"] = None
    return frame, pd.Series(species, name="species")


def pipeline(model=None):
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer([("numbers", numbers, ["bill", "mass"]), ("words", words, ["island"])])
    return Pipeline([("columns", columns), ("model", SoftmaxRegression() if model is None else model)])


def test_a_grid_over_penalties_smoothing_and_links_of_a_table():
    frame, species = table()
    search = GridSearchCV(pipeline(), GRID, cv=3, scoring="neg_log_loss", error_score="raise").fit(frame, species)
    assert len(search.cv_results_["params"]) == 16
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    guess = search.best_estimator_.predict(frame)
    assert set(guess) <= set(species)
    assert (guess == species).mean() > 0.85
    np.testing.assert_array_equal(search.classes_, ["Adelie", "Chinstrap", "Gentoo"])
    # each parameter reached the model: no two columns of the grid are the same fits
    scores = search.cv_results_["mean_test_score"].reshape(2, 2, 2, 2)
    for axis in range(4):
        assert np.abs(np.diff(scores, axis=axis)).max() > 1e-4


def test_names_of_the_columns_reach_the_summary():
    frame, species = table()
    fitted = pipeline(SoftmaxRegression(C=np.inf)).set_params(
        columns__words__onehotencoder__drop="first", columns__words__onehotencoder__sparse_output=False
    )
    fitted.set_output(transform="pandas")
    model = fitted.fit(frame, species)["model"]
    names = ["numbers__bill", "numbers__mass", "words__island_Dream", "words__island_Torgersen"]
    np.testing.assert_array_equal(model.feature_names_in_, names)
    summary = model.summary(fitted[:-1].transform(frame), species)
    assert set(names) <= set(summary.index.get_level_values(1))


def test_soft_labels_are_searched_by_their_own_score():
    frame, species = table()
    soft = pd.DataFrame(0.9 * pd.get_dummies(species).to_numpy() + 0.1 / 3.0, columns=sorted(set(species)))
    grid = {name: GRID[name] for name in ("model__C", "model__l1_ratio")}
    search = GridSearchCV(pipeline(), grid, cv=3, scoring=neg_soft_log_loss, error_score="raise").fit(frame, soft)
    np.testing.assert_array_equal(search.best_estimator_.classes_, ["Adelie", "Chinstrap", "Gentoo"])
    best = search.best_estimator_.set_params(**search.best_params_)
    looped = []
    for train, test in KFold(3).split(frame):
        proba = best.fit(frame.iloc[train], soft.iloc[train]).predict_proba(frame.iloc[test])
        looped.append((soft.iloc[test].to_numpy() * np.log(proba)).sum(axis=1).mean())
    np.testing.assert_allclose(search.best_score_, np.mean(looped), rtol=1e-12)


def test_routed_weights_reach_the_model_through_search_and_pipeline():
    frame, species = table()
    weights = np.random.default_rng(1).uniform(0.0, 3.0, size=len(frame))
    with config_context(enable_metadata_routing=True):
        asked = pipeline(SoftmaxRegression().set_fit_request(sample_weight=True))
        asked["columns"].transformers[0][1]["standardscaler"].set_fit_request(sample_weight=False)
        scorer = neg_soft_log_loss.set_score_request(sample_weight=True)
        search = GridSearchCV(asked, {"model__C": [0.1, 1.0]}, cv=3, scoring=scorer, error_score="raise")
        search.fit(frame, species, sample_weight=weights)
    direct = pipeline().set_params(**search.best_params_).fit(frame, species, model__sample_weight=weights)
    np.testing.assert_array_equal(search.best_estimator_["model"].coef_, direct["model"].coef_)
    np.testing.assert_array_equal(search.best_estimator_["model"].intercept_, direct["model"].intercept_)
    plain = pipeline().set_params(**search.best_params_).fit(frame, species)
    assert np.abs(plain["model"].coef_ - direct["model"].coef_).max() > 1e-3
    for fold, (train, test) in enumerate(StratifiedKFold(3).split(frame, species)):
        one = pipeline().set_params(**search.best_params_)
        one.fit(frame.iloc[train], species[train], model__sample_weight=weights[train])
        expected = neg_soft_log_loss(one, frame.iloc[test], species[test], sample_weight=weights[test])
        found = search.cv_results_[f"split{fold}_test_score"][search.best_index_]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def digits():
    X, y = load_digits(return_X_y=True)
    return X[:600] / 16.0, y[:600]


def searched(**params):
    search = GridSearchCV(SoftmaxRegression(), {"C": [0.01, 1.0]}, cv=3, scoring="neg_log_loss", **params).fit(
        *digits()
    )
    return search.cv_results_["mean_test_score"], search.best_estimator_.coef_


def cores():
    with sksoft.config_context(n_threads=None):
        return effective_n_threads()


def threads_seen(_):
    """In a worker: threads that a call may use, and different threads that its blocks ran on."""
    import threading

    return effective_n_threads(), len(set(map_blocks(lambda _: threading.get_ident(), list(range(50)))))


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_searches_in_workers_have_the_same_bits_and_one_thread_each(backend):
    scores, coef = searched()
    with parallel_config(backend, n_jobs=2):
        scores_in_workers, coef_after = searched()
        seen = Parallel()(delayed(threads_seen)(i) for i in range(4))
    np.testing.assert_array_equal(scores_in_workers, scores)
    np.testing.assert_array_equal(coef_after, coef)
    assert set(seen) == {(1, 1)}


def test_workers_inside_workers_stay_within_the_cores():
    X, y = digits()
    model = SoftmaxRegressionCV([0.01, 1.0], cv=3, n_jobs=2)
    alone = model.fit(X, y).coef_
    with parallel_config("loky", n_jobs=2):
        seen = Parallel()(delayed(fit_and_count)(model, X, y) for _ in range(2))
    for coef, threads in seen:
        np.testing.assert_array_equal(coef, alone)
        assert threads == 1


def fit_and_count(model, X, y):
    return model.fit(X, y).coef_, effective_n_threads()


def test_threads_times_workers_do_not_exceed_the_cores():
    n_workers = cores()
    with parallel_config("threading", n_jobs=n_workers):
        seen = Parallel()(delayed(threads_seen)(i) for i in range(2 * n_workers))
    assert max(threads for threads, _ in seen) * n_workers <= cores()


def test_a_dask_cluster_has_the_same_bits_and_one_thread_a_task():
    distributed = pytest.importorskip("distributed", reason="needs the package distributed")
    scores, coef = searched()
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
        parallel_config("dask"),
    ):
        scores_in_workers, coef_after = searched()
        seen = client.gather(client.map(threads_seen, range(4), pure=False))
    np.testing.assert_array_equal(scores_in_workers, scores)
    np.testing.assert_array_equal(coef_after, coef)
    assert {tuple(one) for one in seen} == {(1, 1)}
