"""Which rivers did the fishermen's catch come from? Class proportions of data without labels.

Reference genotypes of 39 regions train a classifier; the catch of three fisheries off California has no labels.
Counting decisions, or averaging probabilities, carries over the proportions of the reference sample.
PriorShiftAdjuster finds those of the catch. For rec1 the R package rubias, which works with the likelihoods of
genotypes, reports Central Valley fall run .820 (.791 to .847), Klamath .050 to .086, Rogue .044 to .081, California
Coast .019 to .043.

Data: chinook.csv.gz and chinook_mix.csv.gz (R package rubias, CC0), in the folder given on the command line.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from sksoft import PriorShiftAdjuster, SoftmaxRegression

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "bio"


def allele_counts(frame):
    """How often each of five alleles was read at each locus."""
    alleles = frame.iloc[:, 4:].to_numpy()
    return np.hstack([(alleles[:, ::2] == a) * 1.0 + (alleles[:, 1::2] == a) for a in range(1, 6)])


def main(folder):
    reference, catch = (pd.read_csv(folder / name) for name in ("chinook.csv.gz", "chinook_mix.csv.gz"))
    model = SoftmaxRegression(C=0.3).fit(allele_counts(reference), reference.repunit)
    for fishery, fish in catch.groupby("collection"):
        X = allele_counts(fish)
        adjuster = PriorShiftAdjuster(reference.repunit.value_counts(), classes=model.classes_)
        adjuster.fit(model.decision_function(X))
        table = pd.DataFrame(
            {
                "decisions": pd.Series(model.predict(X)).value_counts(normalize=True),
                "mean probability": pd.Series(model.predict_proba(X).mean(axis=0), index=model.classes_),
                "PriorShiftAdjuster": pd.Series(adjuster.target_prior_, index=model.classes_),
                "standard error": pd.Series(adjuster.target_prior_stderr_, index=model.classes_),
            }
        ).fillna(0.0)
        print(f"\n{fishery}, {len(fish)} fish; log-likelihood within {adjuster.gap_:.0e} nats of its maximum")
        print(table.sort_values("PriorShiftAdjuster", ascending=False).head(5).round(3).to_string())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
