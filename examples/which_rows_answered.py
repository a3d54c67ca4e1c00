"""Which training rows answered: a prediction, its neighbours with their weights, and how sure that is.

    python examples/which_rows_answered.py [picture.png]

A kernel regression answers by training rows, so each of its predictions can be traced to them. Here to patients: the
progress of diabetes after a year, from ten measurements.
"""

import sys

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from sksoft import AttentionRegressor
from sksoft.displays import AttentionDisplay

X, y = load_diabetes(return_X_y=True, as_frame=True)
X, X_test, y, y_test = train_test_split(X, y, random_state=0)

model = AttentionRegressor().fit(X, y)
print(f"R² on {len(X_test)} patients: {model.score(X_test, y_test):.2f}")
print(f"leave-one-out error {np.sqrt(-model.loo_score_):.1f}, effective degrees of freedom {model.effective_dof_:.0f}")
print("bandwidths in standard deviations (who is further apart than that in one of them is no neighbour):")
for h, name in sorted(zip(model.bandwidth_ / X.std().to_numpy(), X.columns))[:5]:
    print(f"  {name:4s} {h:.2f}")

patients = X_test.iloc[:2]
interval = model.predict_interval(patients, coverage=0.8)
weights = model.kneighbors_weights(patients)
for i, (low, high) in enumerate(interval):
    row = weights[[i]]
    heaviest = np.argsort(-row.data)[:3]
    names = ", ".join(f"{row.indices[j]} ({row.data[j]:.2f}, y = {y.iloc[row.indices[j]]:.0f})" for j in heaviest)
    print(f"patient {i}: {model.predict(patients)[i]:.0f}, between {low:.0f} and {high:.0f}; weights of {names}")

# the same from the ten nearest patients only, with what that can have changed
few = AttentionRegressor(bandwidth=model.bandwidth_, top_k=10).fit(X, y)
answer, bound = few.predict(patients, return_bound=True)
print("of the ten nearest:", ", ".join(f"{a:.0f} ± {b:.0f}" for a, b in zip(answer, bound)))

if len(sys.argv) > 1:
    labels = [f"y = {value:.0f}" for value in y]
    AttentionDisplay.from_estimator(model, patients, labels=labels, n_rows=8).figure_.savefig(sys.argv[1])
