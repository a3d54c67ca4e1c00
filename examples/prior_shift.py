"""Class proportions of data without labels: leading digits follow Benford's law, training digits do not.

A classifier is trained on as many images of each digit. The images it then meets are leading digits of prices and
populations, so a 1 is six times as frequent as a 9. Counting decisions, or averaging probabilities, carries over part
of the training proportions; PriorShiftAdjuster finds those of the new images, with standard errors, and adjusts.
"""

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sksoft import CalibratedSoftmaxClassifier, PriorShiftAdjuster, SoftmaxRegression
from sksoft.metrics import negative_log_likelihood


def main():
    X, y = load_digits(return_X_y=True)
    X, y = X[y > 0] + 6.0 * np.random.default_rng(0).normal(size=X[y > 0].shape), y[y > 0]  # bad scans
    X_train, X_new, y_train, y_new = train_test_split(X, y, test_size=0.5, random_state=0, stratify=y)
    benford = np.log10(1.0 + 1.0 / np.arange(1, 10))
    rng = np.random.default_rng(1)
    leading = rng.choice(len(y_new), size=2000, p=benford[y_new - 1] / benford[y_new - 1].sum())
    X_new, y_new = X_new[leading], y_new[leading]

    model = CalibratedSoftmaxClassifier(SoftmaxRegression(C=0.01)).fit(X_train, y_train)
    proba = model.predict_proba(X_new)
    adjuster = PriorShiftAdjuster("uniform", input="proba", classes=model.classes_).fit(proba)
    table = pd.DataFrame(
        {
            "truth": pd.Series(y_new).value_counts(normalize=True),
            "decisions": pd.Series(model.predict(X_new)).value_counts(normalize=True),
            "mean probability": pd.Series(proba.mean(axis=0), index=model.classes_),
            "PriorShiftAdjuster": pd.Series(adjuster.target_prior_, index=model.classes_),
            "standard error": pd.Series(adjuster.target_prior_stderr_, index=model.classes_),
        }
    )
    print(table.round(3).to_string())
    print(f"log-likelihood within {adjuster.gap_:.0e} nats of its maximum")
    before, after = (
        negative_log_likelihood(y_new, p, labels=model.classes_) for p in (proba, adjuster.predict_proba(proba))
    )
    print(f"log-loss of the new images: {before:.3f} → {after:.3f}")


if __name__ == "__main__":
    main()
