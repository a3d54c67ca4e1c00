"""Label what is worth it: how many of 1200 handwritten digits have to be labelled?

Random rows, the most uncertain rows and diverse batches, each five times, with a logistic regression; then the rows
that the last model would like to see and that no pool holds.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from sksoft import ActiveLearningLoop, UncertaintySampler

X, y = load_digits(return_X_y=True)
X_pool, X_test, y_pool, y_test = train_test_split(X / 16, y, test_size=597, stratify=y, random_state=0)
TEST = {"X_test": X_test, "y_test": y_test}


class RandomRows(UncertaintySampler):
    """What everything has to be compared with."""

    def query(self, X_pool, n_instances=1, *, return_scores=False, candidates=None, cost=None):
        rows = np.random.default_rng([self.random_state, len(candidates)]).choice(candidates, n_instances, False)
        return (rows, np.zeros(n_instances)) if return_scores else rows


def run(sampler, seed):
    """Ten first rows and fourteen batches of ten."""
    loop = ActiveLearningLoop(sampler, X_pool, lambda rows: y_pool[rows], random_state=seed, **TEST)
    return loop.run(14)


model = LogisticRegression(max_iter=1000)
print(f"{'':10s}{'area':>7s}{'after 150':>11s}{'labels for 90 %':>17s}")
for name in ("random", "margin", "diverse"):
    kind = RandomRows if name == "random" else UncertaintySampler
    strategy = "margin" if name == "random" else name
    loops = [run(kind(model, strategy, random_state=seed), seed) for seed in range(5)]
    score = np.mean([loop.history_["score"] for loop in loops], axis=0)
    enough = np.flatnonzero(score >= 0.9)
    needed = loops[0].history_["n_labeled"][enough[0]] if len(enough) else "more"
    area = np.mean([loop.area_under_curve() for loop in loops])
    print(f"{name:10s}{area:7.3f}{score[-1]:11.3f}{needed:>17}")

sampler = loops[0].sampler_
state = loops[0].state()  # plain lists: json.dump it, and go on tomorrow with ActiveLearningLoop.from_state
made, entropy = sampler.synthesize(X_pool, 3, return_scores=True)
print(f"\n{len(state['labels'])} labels in the state; entropy of three digits that were made up:", entropy.round(2))
print("and of the rows of the pool next to them:", end=" ")
print(sampler.synthesize(X_pool, 3, project_to=X_pool, return_scores=True)[1].round(2))
