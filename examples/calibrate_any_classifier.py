"""Is the improvement real? The calibrator that cross-fitting chooses behind three classifiers, judged on new digits."""

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksoft import CalibratedSoftmaxClassifier, SoftmaxRegression
from sksoft.metrics import expected_calibration_error, negative_log_likelihood


def main():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=0, stratify=y)
    classifiers = [
        GaussianNB(),
        RandomForestClassifier(200, random_state=0),
        make_pipeline(StandardScaler(), SoftmaxRegression(C=100.0)),
    ]
    print(f"{'classifier':25} {'chosen':18}   NLL before → after    ECE before → after")
    for classifier in classifiers:
        before = classifier.fit(X_train, y_train).predict_proba(X_test)
        model = CalibratedSoftmaxClassifier(classifier).fit(X_train, y_train)
        after = model.predict_proba(X_test)
        print(
            f"{type(classifier).__name__:25} {model.selection_['method'][model.selection_['chosen']].item():18}"
            f"   {negative_log_likelihood(y_test, before):7.3f} → {negative_log_likelihood(y_test, after):.3f}"
            f"     {expected_calibration_error(y_test, before):6.3f} → {expected_calibration_error(y_test, after):.3f}"
        )


if __name__ == "__main__":
    main()
