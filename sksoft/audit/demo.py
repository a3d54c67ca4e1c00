"""The demonstration: a model of the Adult census data, fitted, recalibrated and audited.

Training part of the data: 80 % choose C by cross-validation and fit a pipeline of imputation, one-hot encoding and
softmax regression; 20 % fit its temperature. Test part: audited, by sex, race and their intersection.
"""

import csv
import gzip
import hashlib
import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from sksoft.calibration import TemperatureScaler
from sksoft.linear import SoftmaxRegression

SOURCE = "Adult (B. Becker, R. Kohavi, 1996), UCI Machine Learning Repository, doi:10.24432/C5XW20, CC BY 4.0"
TARGET, POSITIVE = "income", ">50K"
SKEWED = ["capital_gain", "capital_loss"]
NUMERIC = ["age", "hours_per_week"]
CATEGORICAL = [
    *("workclass", "education", "marital_status", "occupation", "relationship", "race", "sex", "native_country"),
]
SENSITIVE = ["sex", "race"]
GRID = [0.01, 0.1, 1.0, 10.0]
N_FOLDS = 3


@dataclass(frozen=True)
class Demonstration:
    """Predictions for the test part, its groups, and how they came about."""

    y_true: np.ndarray
    y_proba: np.ndarray
    labels: list[str]
    sensitive_features: pd.DataFrame
    provenance: dict[str, str]


def load_adult() -> tuple[pd.DataFrame, str]:
    """The Adult data, (48842, 15) with the column ``split``, missing values as NaN, and the SHA-256 of the file."""
    raw = files("sksoft.audit").joinpath("data", "adult.csv.gz").read_bytes()
    header, *rows = csv.reader(io.StringIO(gzip.decompress(raw).decode("ascii")))
    table = pd.DataFrame(rows, columns=header, dtype=object).replace("?", np.nan)
    numeric = NUMERIC + SKEWED + ["education_num"]
    return table.astype(dict.fromkeys(numeric, np.float64)), hashlib.sha256(raw).hexdigest()


def model() -> Pipeline:
    """Imputation and encoding of mixed columns, then softmax regression."""
    skewed = make_pipeline(
        SimpleImputer(strategy="median"),
        FunctionTransformer(np.log1p, feature_names_out="one-to-one"),
        StandardScaler(),
    )
    numeric = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    categorical = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(handle_unknown="ignore", min_frequency=20, sparse_output=False),
    )
    encoding = ColumnTransformer(
        [("skewed", skewed, SKEWED), ("numeric", numeric, NUMERIC), ("categorical", categorical, CATEGORICAL)]
    )
    return Pipeline([("encoding", encoding), ("softmax", SoftmaxRegression())])


def demonstrate(step: Callable[[str], AbstractContextManager], seed: int = 0) -> Demonstration:
    """Fit and recalibrate the model, and predict the test part.

    Parameters
    ----------
    step : callable
        Returns a context manager for each named step.
    seed : int >= 0
        Of the split into a fitting and a calibration part.
    """
    with step("Reading the Adult census data"):
        table, sha256 = load_adult()
        train, test = (table[table["split"] == part] for part in ("train", "test"))
        fitting, held_out = train_test_split(train, test_size=0.2, random_state=seed, stratify=train[TARGET])
    search = GridSearchCV(model(), {"softmax__C": GRID}, scoring="neg_log_loss", cv=N_FOLDS)
    with step(f"Choosing C of {len(GRID)} by {N_FOLDS}-fold cross-validation"):
        search.fit(fitting, fitting[TARGET])
    with step("Fitting the temperature on held-out rows"):
        scaler = TemperatureScaler().fit(search.decision_function(held_out), held_out[TARGET])
        y_proba = scaler.predict_proba(search.decision_function(test))
    fitted = search.best_estimator_["softmax"]
    return Demonstration(
        y_true=test[TARGET].to_numpy(dtype=object),
        y_proba=y_proba,
        labels=scaler.classes_.tolist(),
        sensitive_features=test[SENSITIVE].reset_index(drop=True),
        provenance={
            "data": SOURCE,
            "data_sha256": sha256,
            "model": f"imputation, one-hot encoding and SoftmaxRegression, fitted on {len(fitting):,} rows",
            "features": ", ".join(SKEWED + NUMERIC + CATEGORICAL),
            "choice_of_C": f"C = {fitted.C:g} of {', '.join(f'{c:g}' for c in GRID)}, by {N_FOLDS}-fold log-loss",
            "proof_of_fit": f"duality gap {fitted.gap_:.1e} nats after {fitted.n_iter_} Newton steps",
            "temperature": (
                f"{scaler.temperature_:.4f} ± {scaler.temperature_stderr_:.4f} (standard error), fitted on "
                f"{len(held_out):,} held-out rows"
            ),
            "audited": f"the {len(test):,} rows of the published test part",
        },
    )
